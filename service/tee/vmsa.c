/* SPDX-License-Identifier: MIT */
/* The VMSA of each monitor; see vmsa.h. */
#include "vmsa.h"

#include <string.h>

#include "error.h"

/* Places of the fields: AMD64 manual volume 2 (24593), appendix B, save area for SEV-ES. */
enum {
    ES = 0x000,
    CS = 0x010,
    SS = 0x020,
    DS = 0x030,
    FS = 0x040,
    GS = 0x050,
    GDTR = 0x060,
    LDTR = 0x070,
    IDTR = 0x080,
    TR = 0x090,
    EFER = 0x0d0,
    CR4 = 0x148,
    CR0 = 0x158,
    DR7 = 0x160,
    DR6 = 0x168,
    RFLAGS = 0x170,
    RIP = 0x178,
    G_PAT = 0x268,
    RDX = 0x310,
    SEV_FEATURES = 0x3b0,
    XCR0 = 0x3e8,
    MXCSR = 0x408,
    X87_FCW = 0x410,
};

#define SEGMENT_LIMIT 0xffff

/* Where the monitors differ; measured with each, the values stand in no specification. */
static const struct {
    const char *name;
    guint16 cs_bsp, cs_ap, ss, tr;
    guint64 g_pat;
    gboolean signature; /* in rdx; else the family 6 that a reset leaves */
    guint32 mxcsr;
    guint16 fcw;
} vmms[KH_N_VMMS] = {
    [KH_VMM_QEMU] = {"qemu", 0x9b, 0x9b, 0x93, 0x8b, G_GUINT64_CONSTANT(0x0007040600070406), TRUE,
                     0x1f80, 0x37f},
    [KH_VMM_EC2] = {"ec2", 0x9a, 0x9b, 0x92, 0x83, G_GUINT64_CONSTANT(0x0007040600070406), FALSE, 0,
                    0},
    [KH_VMM_GCE] = {"gce", 0x9b, 0x9b, 0x93, 0x8b, 0x70106, FALSE, 0, 0},
};

#define RESET_RDX 0x600

const char *
kh_vmm_name(KhVmm vmm)
{
    return vmms[vmm].name;
}

gboolean
kh_vmm_parse(const char *name, KhVmm *vmm, GError **error)
{
    g_autofree char *shown = g_strescape(name, NULL);

    for (guint i = 0; i < KH_N_VMMS; i++)
        if (g_ascii_strcasecmp(vmms[i].name, name) == 0) {
            *vmm = (KhVmm)i;
            return TRUE;
        }
    return kh_error_set(error, KH_ERROR_INVALID_ARGUMENT,
                        "The virtual machine monitor \"%s\" is unknown; it is qemu, ec2 or gce",
                        shown);
}

gboolean
kh_vmm_has_signature(KhVmm vmm)
{
    return vmms[vmm].signature;
}

static void
put(guint8 *page, gsize place, guint64 value, gsize n)
{
    guint64 little = GUINT64_TO_LE(value);

    memcpy(page + place, &little, n);
}

/* u16 selector, u16 attributes, u32 limit, u64 base. */
static void
put_segment(guint8 *page, gsize place, guint16 selector, guint16 attributes, guint64 base)
{
    put(page, place, selector, 2);
    put(page, place + 2, attributes, 2);
    put(page, place + 4, SEGMENT_LIMIT, 4);
    put(page, place + 8, base, 8);
}

static void
put_segments(guint8 *page, KhVmm vmm, guint32 eip)
{
    static const guint16 plain[] = {ES, DS, FS, GS};
    gboolean bsp = eip == KH_VMSA_BSP_EIP;

    for (gsize i = 0; i < G_N_ELEMENTS(plain); i++)
        put_segment(page, plain[i], 0, 0x93, 0);
    put_segment(page, CS, 0xf000, bsp ? vmms[vmm].cs_bsp : vmms[vmm].cs_ap, eip & 0xffff0000);
    put_segment(page, SS, 0, vmms[vmm].ss, 0);
    put_segment(page, GDTR, 0, 0, 0);
    put_segment(page, IDTR, 0, 0, 0);
    put_segment(page, LDTR, 0, 0x82, 0);
    put_segment(page, TR, 0, vmms[vmm].tr, 0);
}

void
kh_vmsa_fill(guint8 page[KH_PAGE_SIZE], KhVmm vmm, guint32 eip, guint32 signature,
             guint64 guest_features)
{
    memset(page, 0, KH_PAGE_SIZE);
    put_segments(page, vmm, eip);
    put(page, EFER, 0x1000, 8);
    put(page, CR4, 0x40, 8);
    put(page, CR0, 0x10, 8);
    put(page, DR7, 0x400, 8);
    put(page, DR6, 0xffff0ff0, 8);
    put(page, RFLAGS, 0x2, 8);
    put(page, RIP, eip & 0xffff, 8);
    put(page, G_PAT, vmms[vmm].g_pat, 8);
    put(page, RDX, vmms[vmm].signature ? signature : RESET_RDX, 8);
    put(page, SEV_FEATURES, guest_features, 8);
    put(page, XCR0, 1, 8);
    put(page, MXCSR, vmms[vmm].mxcsr, 4);
    put(page, X87_FCW, vmms[vmm].fcw, 2);
}
