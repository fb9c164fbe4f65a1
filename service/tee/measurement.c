/* SPDX-License-Identifier: MIT */
/*
 * The launch measurement; see measurement.h. The order of the pages is QEMU's: the firmware,
 * the sections of its SEV metadata as they stand there, one page for each processor.
 */
#include "measurement.h"

#include <string.h>

#include "error.h"
#include "kernel-hashes.h"

static gboolean
load_kernel(KhBootParts *parts, const char *kernel, const char *initrd, GError **error)
{
    if (!kh_firmware_check_kernel(parts->firmware, error) ||
        !kh_input_file_hash(kernel, "kernel", KH_KERNEL_MAX, &parts->kernel, error))
        return FALSE;
    parts->has_kernel = TRUE;
    parts->has_initrd = initrd != NULL;
    if (initrd == NULL)
        return kh_sha256("", 0, parts->initrd.sha256, error);
    return kh_input_file_hash(initrd, "initrd", KH_KERNEL_MAX, &parts->initrd, error);
}

KhBootParts *
kh_boot_parts_load(const char *ovmf, const char *kernel, const char *initrd, GError **error)
{
    g_autoptr(KhBootParts) parts = g_new0(KhBootParts, 1);

    if (kernel == NULL && initrd != NULL) {
        g_set_error(error, KH_ERROR, KH_ERROR_INVALID_ARGUMENT,
                    "An initrd is only measured together with a kernel; give the kernel too");
        return NULL;
    }
    parts->firmware = kh_firmware_load(ovmf, error);
    if (parts->firmware == NULL || (kernel != NULL && !load_kernel(parts, kernel, initrd, error)))
        return NULL;
    return g_steal_pointer(&parts);
}

void
kh_boot_parts_free(KhBootParts *self)
{
    g_clear_pointer(&self->firmware, kh_firmware_free);
    kh_file_hash_clear(&self->kernel);
    kh_file_hash_clear(&self->initrd);
    g_free(self);
}

static gboolean
add_kernel_hashes(KhLaunchDigest *digest, const KhBootParts *parts, const char *cmdline,
                  const KhFirmwareSection *section, GError **error)
{
    guint8 page[KH_PAGE_SIZE];
    guint8 sha256[KH_SHA256_SIZE];

    if (!kh_kernel_hashes_of_cmdline(cmdline, sha256, error))
        return FALSE;
    kh_kernel_hashes_fill(page, parts->firmware->hashes_offset, sha256, parts->initrd.sha256,
                          parts->kernel.sha256);
    kh_launch_digest_add_data(digest, page, KH_PAGE_SIZE, section->gpa);
    return TRUE;
}

/* What the monitor puts into a section whose content is not measured. */
static KhPageType
blank_type(const KhFirmwareSection *section, KhVmm vmm)
{
    switch (section->type) {
    case KH_SECTION_SECRETS:
        return KH_PAGE_SECRETS;
    case KH_SECTION_CPUID:
        return KH_PAGE_CPUID;
    case KH_SECTION_MEMORY:
        return vmm == KH_VMM_GCE ? KH_PAGE_UNMEASURED : KH_PAGE_ZERO;
    default:
        return KH_PAGE_ZERO;
    }
}

static gboolean
add_section(KhLaunchDigest *digest, const KhBootParts *parts, const char *cmdline, KhVmm vmm,
            const KhFirmwareSection *section, GError **error)
{
    if (section->type == KH_SECTION_KERNEL_HASHES && parts->has_kernel)
        return add_kernel_hashes(digest, parts, cmdline, section, error);
    kh_launch_digest_add_blank(digest, blank_type(section, vmm), section->size, section->gpa);
    return TRUE;
}

/* EC2 adds the CPUID page after all others. */
static gboolean
add_sections(KhLaunchDigest *digest, const KhBootParts *parts, const char *cmdline, KhVmm vmm,
             gboolean late, GError **error)
{
    const KhFirmware *firmware = parts->firmware;

    for (guint i = 0; i < firmware->n_sections; i++) {
        const KhFirmwareSection *section = &firmware->sections[i];
        gboolean is_late = vmm == KH_VMM_EC2 && section->type == KH_SECTION_CPUID;

        if (is_late == late && !add_section(digest, parts, cmdline, vmm, section, error))
            return FALSE;
    }
    return TRUE;
}

gboolean
kh_launch_measure_memory(KhLaunchDigest *digest, const KhBootParts *parts, const char *cmdline,
                         KhVmm vmm, GError **error)
{
    if (parts->has_kernel && !kh_firmware_check_kernel(parts->firmware, error))
        return FALSE;
    if (cmdline != NULL && strlen(cmdline) > KH_CMDLINE_MAX)
        return kh_error_set(error, KH_ERROR_INVALID_ARGUMENT,
                            "The kernel's command line has %zu bytes; at most %d are measured",
                            strlen(cmdline), KH_CMDLINE_MAX);
    kh_launch_digest_set(digest, parts->firmware->pages_digest);
    return add_sections(digest, parts, cmdline, vmm, FALSE, error) &&
           add_sections(digest, parts, cmdline, vmm, TRUE, error) &&
           kh_launch_digest_check(digest, error);
}

void
kh_launch_measure_vmsa(KhLaunchDigest *digest, const KhBootParts *parts, const KhLaunchShape *shape,
                       gboolean bsp, guint8 contents[KH_LAUNCH_DIGEST_SIZE])
{
    guint8 page[KH_PAGE_SIZE];

    kh_vmsa_fill(page, shape->vmm, bsp ? KH_VMSA_BSP_EIP : parts->firmware->ap_eip,
                 shape->vcpu_signature, shape->guest_features);
    kh_launch_digest_of_page(digest, page, contents);
}

static void
add_processors(KhLaunchDigest *digest, const KhLaunch *launch)
{
    guint8 bsp[KH_LAUNCH_DIGEST_SIZE], ap[KH_LAUNCH_DIGEST_SIZE];

    kh_launch_measure_vmsa(digest, launch->parts, &launch->shape, TRUE, bsp);
    kh_launch_measure_vmsa(digest, launch->parts, &launch->shape, FALSE, ap);
    for (guint i = 0; i < launch->shape.vcpus; i++)
        kh_launch_digest_add_vmsa(digest, i == 0 ? bsp : ap);
}

gboolean
kh_launch_measure(const KhLaunch *launch, guint8 measurement[KH_LAUNCH_DIGEST_SIZE], GError **error)
{
    g_autoptr(KhLaunchDigest) digest = kh_launch_digest_new(error);
    guint vcpus = launch->shape.vcpus;

    if (vcpus < 1 || vcpus > KH_MEASURED_VCPUS_MAX)
        return kh_error_set(error, KH_ERROR_INVALID_ARGUMENT,
                            "The number of vCPUs is %u; give 1 to %d", vcpus,
                            KH_MEASURED_VCPUS_MAX);
    if (digest == NULL ||
        !kh_launch_measure_memory(digest, launch->parts, launch->cmdline, launch->shape.vmm, error))
        return FALSE;
    add_processors(digest, launch);
    memcpy(measurement, kh_launch_digest_peek(digest), KH_LAUNCH_DIGEST_SIZE);
    return kh_launch_digest_check(digest, error);
}
