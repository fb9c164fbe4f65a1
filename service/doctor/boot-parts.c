/* SPDX-License-Identifier: MIT */
/* What new instances boot from; see boot-parts.h. */
#include "boot-parts.h"

#include <string.h>

#include "error.h"
#include "image/image.h"
#include "tee/bytes.h"
#include "tee/firmware.h"

/* Larger ones are not hashed for a check. */
#define PART_MAX (G_GUINT64_CONSTANT(1024) * 1024 * 1024)

static const struct {
    const char *file;
    const char *key;
    gboolean needed;
} parts[] = {
    {KH_IMAGE_KERNEL, "KERNEL_SHA256", TRUE},
    {KH_IMAGE_INITRD, "INITRD_SHA256", TRUE},
    {KH_IMAGE_FIRMWARE, "OVMF_SHA256", FALSE},
};

/* The value of KEY= in build-info.txt; NULL: none. Transfer full. */
static char *
look_up(const char *build_info, const char *key)
{
    g_auto(GStrv) lines = g_strsplit(build_info, "\n", 1024);
    gsize n = strlen(key);

    for (guint i = 0; lines[i] != NULL; i++)
        if (g_str_has_prefix(lines[i], key) && lines[i][n] == '=')
            return g_strdup(lines[i] + n + 1);
    return NULL;
}

/* Whether @file is there and, where the build says what it made, that; "" else says why. */
static char *
find_fault(const char *path, const char *expected, gboolean needed)
{
    g_autoptr(GError) error = NULL;
    KhFileHash hash = {0};
    g_autofree char *digest = NULL;

    if (!kh_input_file_hash(path, "boot component", PART_MAX, &hash, &error)) {
        gboolean absent = g_error_matches(error, KH_ERROR, KH_ERROR_NOT_FOUND);

        return absent && !needed && expected == NULL ? NULL : g_strdup(error->message);
    }
    digest = kh_bytes_to_hex(hash.sha256, sizeof hash.sha256);
    if (hash.size == 0) {
        kh_file_hash_clear(&hash);
        return g_strdup_printf("%s is empty", path);
    }
    kh_file_hash_clear(&hash);
    if (expected != NULL && !g_str_equal(expected, digest))
        return g_strdup_printf("%s does not match build-info.txt: %s", path, digest);
    return NULL;
}

static char *
find_faults(const char *folder, const char *build_info)
{
    for (guint i = 0; i < G_N_ELEMENTS(parts); i++) {
        g_autofree char *path = g_build_filename(folder, parts[i].file, NULL);
        g_autofree char *expected = look_up(build_info, parts[i].key);
        char *fault = find_fault(path, expected, parts[i].needed);

        if (fault != NULL)
            return fault;
    }
    return NULL;
}

static void
check_parts(const KhCheckContext *context, KhFindings *findings)
{
    const char *folder = context->boot_components;
    g_autofree char *build_info = kh_check_context_read(folder, KH_IMAGE_BUILD_INFO);
    g_autofree char *fault = find_faults(folder, build_info == NULL ? "" : build_info);

    if (fault != NULL)
        kh_findings_add(findings, "boot-components", KH_FINDING_FAIL, "%s", fault);
    else if (build_info == NULL)
        kh_findings_add(
            findings, "boot-components", KH_FINDING_WARN,
            "%s has a kernel and an initrd, but no build-info.txt to say where they come from",
            folder);
    else
        kh_findings_add(findings, "boot-components", KH_FINDING_OK, "%s matches its build-info.txt",
                        folder);
    if (fault != NULL || build_info == NULL)
        kh_findings_mend(findings, "boot-components/build.sh --katana FILE --output %s", folder);
}

static void
check_firmware(const KhCheckContext *context, KhFindings *findings)
{
    g_autofree char *path = g_build_filename(context->boot_components, KH_IMAGE_FIRMWARE, NULL);
    g_autoptr(GError) error = NULL;
    g_autoptr(KhFirmware) firmware = kh_firmware_load(path, &error);

    if (firmware != NULL && kh_firmware_check_kernel(firmware, &error)) {
        kh_findings_add(findings, "snp-boot-firmware", KH_FINDING_OK,
                        "%s measures kernel, initrd and command line", path);
        return;
    }
    kh_findings_add(findings, "snp-boot-firmware", KH_FINDING_FAIL, "%s", error->message);
    kh_findings_mend(findings,
                     "boot-components/build.sh --katana FILE --output %s, without --no-ovmf: it "
                     "takes AmdSevX64's OVMF",
                     context->boot_components);
}

void
kh_boot_parts_check(const KhCheckContext *context, KhFindings *findings)
{
    check_parts(context, findings);
    check_firmware(context, findings);
}
