/* SPDX-License-Identifier: MIT */
/* From published hashes to parts; see build-info.h. */
#include "build-info.h"

#include <string.h>

#include "bytes.h"
#include "error.h"
#include "kernel-cmdline.h"
#include "launch-options.h"

#define FILE_MAX (64 * 1024)

static char **
read_lines(const char *path, GError **error)
{
    g_autoptr(GBytes) bytes = kh_bytes_read_file(path, FILE_MAX, FALSE, error);
    g_autofree char *text = NULL;
    gsize length;
    const char *data;

    if (bytes == NULL)
        return NULL;
    data = g_bytes_get_data(bytes, &length);
    if (length > FILE_MAX || memchr(data == NULL ? "" : data, '\0', length) != NULL) {
        kh_error_set(error, KH_ERROR_INVALID_ARGUMENT,
                     "%s is not a build-info.txt: it has a zero byte, or more than %d bytes", path,
                     FILE_MAX);
        return NULL;
    }
    text = g_strndup(data == NULL ? "" : data, length);
    return g_strsplit(text, "\n", -1);
}

/* The value of @key, *value NULL: there is none. FALSE: it is there twice. Owned by @lines. */
static gboolean
find_value(char **lines, const char *key, const char **value, GError **error)
{
    gsize length = strlen(key);

    *value = NULL;
    for (guint i = 0; lines[i] != NULL; i++) {
        if (strncmp(lines[i], key, length) != 0 || lines[i][length] != '=')
            continue;
        if (*value != NULL)
            return kh_error_set(error, KH_ERROR_INVALID_ARGUMENT, "%s appears twice", key);
        *value = g_strchomp(lines[i]) + length + 1;
    }
    return TRUE;
}

static gboolean
need_hash(char **lines, const char *key, guint8 sha256[KH_SHA256_SIZE], GError **error)
{
    const char *value;

    if (!find_value(lines, key, &value, error))
        return FALSE;
    if (value == NULL)
        return kh_error_set(error, KH_ERROR_INVALID_ARGUMENT, "%s is missing", key);
    return kh_bytes_from_hex(value, key, sha256, KH_SHA256_SIZE, error);
}

static gboolean
need_part(char **lines, const char *key, KhFileHash *hash, GError **error)
{
    hash->path = g_strdup(key);
    return need_hash(lines, key, hash->sha256, error);
}

/* Transfer full; OVMF.fd where there is neither, for the error. */
static char *
find_firmware(const char *path)
{
    g_autofree char *folder = g_path_get_dirname(path);
    g_autofree char *small = g_build_filename(folder, "ovmf.fd", NULL);
    g_autofree char *big = g_build_filename(folder, "OVMF.fd", NULL);

    if (!g_file_test(big, G_FILE_TEST_EXISTS) && g_file_test(small, G_FILE_TEST_EXISTS))
        return g_steal_pointer(&small);
    return g_steal_pointer(&big);
}

/* One that was named is the verifier's own word; one that lay there is the file's. */
static gboolean
check_firmware(char **lines, const KhBootParts *parts, gboolean named, GError **error)
{
    guint8 published[KH_SHA256_SIZE];
    const char *value;

    if (!find_value(lines, "OVMF_SHA256", &value, error))
        return FALSE;
    if (value == NULL && named)
        return kh_firmware_check_kernel(parts->firmware, error);
    if (!need_hash(lines, "OVMF_SHA256", published, error))
        return FALSE;
    if (memcmp(published, parts->firmware->sha256, KH_SHA256_SIZE) != 0)
        return kh_error_set(error, KH_ERROR_INTEGRITY_MISMATCH,
                            "%s is not the firmware that OVMF_SHA256 names", parts->firmware->name);
    return kh_firmware_check_kernel(parts->firmware, error);
}

/* The words of LAUNCH_SHAPE, as boot-components/build.sh writes them; the last is the rest. */
static char *
read_shape(const char *text, KhLaunchOptions *options)
{
    g_auto(GStrv) halves = g_strsplit(text, " cmdline=", 2);
    g_auto(GStrv) words = g_strsplit(halves[0] == NULL ? "" : halves[0], " ", 16);
    const struct {
        const char *key;
        char **place;
    } known[] = {{"vcpus=", &options->vcpus},
                 {"vcpu-type=", &options->vcpu_type},
                 {"guest-features=", &options->guest_features},
                 {"vmm=", &options->vmm}};

    for (guint i = 0; words[i] != NULL; i++)
        for (gsize k = 0; k < G_N_ELEMENTS(known); k++)
            if (g_str_has_prefix(words[i], known[k].key) && *known[k].place == NULL)
                *known[k].place = g_strdup(words[i] + strlen(known[k].key));
    return halves[0] != NULL && halves[1] != NULL ? g_strdup(halves[1]) : NULL;
}

/*
 * The command line that belongs to the published measurement, and its shape. Katana's releases
 * name the UUID instead: one EPYC-v4, sealed (its verify-build.sh). Transfer full.
 */
static char *
published_launch(char **lines, KhLaunchOptions *options, GError **error)
{
    const char *shape, *uuid;
    char *cmdline = NULL;

    if (!find_value(lines, "LAUNCH_SHAPE", &shape, error) ||
        !find_value(lines, "LUKS_UUID", &uuid, error))
        return NULL;
    if (shape != NULL) {
        cmdline = read_shape(shape, options);
    } else if (uuid != NULL) {
        options->vcpus = g_strdup("1");
        cmdline = kh_kernel_cmdline(uuid);
    }
    if (cmdline == NULL)
        kh_error_set(
            error, KH_ERROR_INVALID_ARGUMENT,
            "LAUNCH_MEASUREMENT is given, but no LAUNCH_SHAPE with cmdline= and no LUKS_UUID to "
            "say what was measured");
    return cmdline;
}

/* A digest of the file that is not that of its own hashes: one of them is wrong. */
static gboolean
check_measurement(char **lines, const KhBootParts *parts, GError **error)
{
    const char *published;
    g_auto(KhLaunchOptions) options = {NULL};
    g_autofree char *cmdline = NULL, *hex = NULL;
    KhLaunch launch = {.parts = parts};
    guint8 digest[KH_LAUNCH_DIGEST_SIZE];

    if (!find_value(lines, "LAUNCH_MEASUREMENT", &published, error))
        return FALSE;
    if (published == NULL)
        return TRUE;
    launch.cmdline = cmdline = published_launch(lines, &options, error);
    if (cmdline == NULL)
        return FALSE;
    if (!kh_launch_options_shape(&options, &launch.shape, error) ||
        !kh_launch_measure(&launch, digest, error)) {
        g_prefix_error(error, "LAUNCH_SHAPE: ");
        return FALSE;
    }
    hex = kh_bytes_to_hex(digest, sizeof digest);
    return g_ascii_strcasecmp(hex, published) == 0 ||
           kh_error_set(error, KH_ERROR_INTEGRITY_MISMATCH,
                        "LAUNCH_MEASUREMENT does not match the hashes in the same file");
}

/* All that the file says of @parts, which have their firmware. */
static gboolean
take_lines(char **lines, KhBootParts *parts, gboolean named, GError **error)
{
    if (!check_firmware(lines, parts, named, error) ||
        !need_part(lines, "KERNEL_SHA256", &parts->kernel, error) ||
        !need_part(lines, "INITRD_SHA256", &parts->initrd, error))
        return FALSE;
    parts->has_kernel = TRUE;
    parts->has_initrd = TRUE;
    return check_measurement(lines, parts, error);
}

KhBootParts *
kh_build_info_load(const char *path, const char *ovmf, GError **error)
{
    g_auto(GStrv) lines = read_lines(path, error);
    g_autofree char *firmware = ovmf == NULL ? find_firmware(path) : g_strdup(ovmf);
    g_autoptr(KhBootParts) parts = NULL;

    if (lines == NULL)
        return NULL;
    parts = kh_boot_parts_load(firmware, NULL, NULL, error);
    if (parts == NULL)
        return NULL;
    if (take_lines(lines, parts, ovmf != NULL, error))
        return g_steal_pointer(&parts);
    g_prefix_error(error, "%s: ", path);
    return NULL;
}
