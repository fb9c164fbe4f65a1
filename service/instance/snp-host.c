/* SPDX-License-Identifier: MIT */
/* Whether this host can run confidential machines; see snp-host.h. */
#include "snp-host.h"

#ifdef __x86_64__
#include <cpuid.h>
#endif

#include "error.h"

#define LEAF 0x8000001f /* AMD publication 24594, E.4.17: encrypted memory */
#define LEAF_SNP (1u << 4)
#define PARAMETER "/sys/module/kvm_amd/parameters/sev_snp"
#define DEVICE "/sys/class/misc/sev"
#define USUAL_C_BIT 51

static gboolean
read_leaf(guint *eax, guint *ebx)
{
#ifdef __x86_64__
    guint ecx = 0, edx = 0;

    return __get_cpuid_count(LEAF, 0, eax, ebx, &ecx, &edx) != 0;
#else
    return FALSE;
#endif
}

static gboolean
refuse(GError **error, const char *found)
{
    g_set_error(error, KH_ERROR, KH_ERROR_NOT_SUPPORTED,
                "This host cannot run confidential machines (SEV-SNP): %s", found);
    return FALSE;
}

/* The parameter is Y or N, in older kernels 1 or 0. */
static gboolean
module_has_snp(const char **found)
{
    g_autofree char *value = NULL;

    *found = "kvm_amd is not loaded, or knows no sev_snp; load it, with Linux 6.11 or newer";
    if (!g_file_get_contents(PARAMETER, &value, NULL, NULL))
        return FALSE;
    *found = PARAMETER " says that it is off; enable SEV-SNP in the firmware's setup, and load "
                       "kvm_amd with sev=1 sev_es=1 sev_snp=1";
    return value[0] == 'Y' || value[0] == '1';
}

gboolean
kh_snp_host_check(GError **error)
{
    const char *found = "";
    guint eax = 0, ebx = 0;

    if (!read_leaf(&eax, &ebx) || (eax & LEAF_SNP) == 0)
        return refuse(error, "the processor has no SEV-SNP (CPUID 0x8000001f); it takes an AMD "
                             "EPYC 7003 or newer");
    if (!module_has_snp(&found))
        return refuse(error, found);
    if (!g_file_test(DEVICE, G_FILE_TEST_EXISTS))
        return refuse(error, "there is no /dev/sev; load the module ccp, and see the kernel's log");
    return TRUE;
}

guint
kh_snp_host_c_bit(void)
{
    guint eax = 0, ebx = 0;

    return read_leaf(&eax, &ebx) && (ebx & 0x3f) != 0 ? ebx & 0x3f : USUAL_C_BIT;
}
