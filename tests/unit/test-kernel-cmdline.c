/* SPDX-License-Identifier: MIT */
/*
 * Tests that whoever starts, measures, verifies or explains has one and the same command line of
 * the kernel: the one of kernel-cmdline.h.
 */
#include "kernel-cmdline.h"

#include <glib/gstdio.h>
#include <string.h>

#include "attest-options.h"
#include "build-info.h"
#include "bytes.h"
#include "confidential/expected-measurement.h"
#include "firmware-tail.h"
#include "neighbour-cmdlines.h"
#include "qemu/command-line.h"

#define UUID "3d1c5a30-8a0f-4d4e-9a63-7d0d0a1b2c3d"
#define SEALED "console=ttyS0 KATANA_EXPECTED_LUKS_UUID=" UUID

typedef struct {
    char *folder, *firmware, *kernel, *initrd, *qemu, *build_info;
} Files;

static char *
make_file(const char *folder, const char *name, const void *bytes, gssize length, int mode)
{
    char *path = g_build_filename(folder, name, NULL);

    g_assert_true(
        g_file_set_contents_full(path, bytes, length, G_FILE_SET_CONTENTS_CONSISTENT, mode, NULL));
    return path;
}

static void
set_up(Files *files, gconstpointer data)
{
    g_autofree guint8 *tail = tail_new(TAIL_AMDSEV);

    files->folder = g_dir_make_tmp("kh-cmdline-XXXXXX", NULL);
    files->firmware = make_file(files->folder, "ovmf.fd", tail, TAIL_SIZE, 0600);
    files->kernel = make_file(files->folder, "vmlinuz", "kernel", -1, 0600);
    files->initrd = make_file(files->folder, "initrd.img", "initrd", -1, 0600);
    files->qemu = make_file(files->folder, "qemu", "#!/bin/sh\necho EPYC-v4\n", -1, 0700);
    files->build_info = g_build_filename(files->folder, "build-info.txt", NULL);
}

static void
remove_file(char *path)
{
    g_unlink(path);
    g_free(path);
}

static void
tear_down(Files *files, gconstpointer data)
{
    remove_file(files->firmware);
    remove_file(files->kernel);
    remove_file(files->initrd);
    remove_file(files->qemu);
    remove_file(files->build_info);
    g_assert_cmpint(g_rmdir(files->folder), ==, 0);
    g_free(files->folder);
}

static void
made(void)
{
    static const struct {
        const char *cmdline, *sealed, *unsealed;
    } rows[] = {
        {"console=ttyS0", SEALED, "console=ttyS0"},
        {"quiet \n", "quiet KATANA_EXPECTED_LUKS_UUID=" UUID, "quiet \n"},
        {"", "KATANA_EXPECTED_LUKS_UUID=" UUID, ""},
        {SEALED " quiet", SEALED " quiet KATANA_EXPECTED_LUKS_UUID=" UUID, "console=ttyS0 quiet"},
        {SEALED "\n", SEALED " KATANA_EXPECTED_LUKS_UUID=" UUID, "console=ttyS0\n"},
        {"NO_KATANA_EXPECTED_LUKS_UUID=1",
         "NO_KATANA_EXPECTED_LUKS_UUID=1 KATANA_EXPECTED_LUKS_UUID=" UUID,
         "NO_KATANA_EXPECTED_LUKS_UUID=1"},
    };
    g_autofree char *plain = kh_kernel_cmdline(NULL), *ours = kh_kernel_cmdline(UUID);

    g_assert_cmpstr(plain, ==, "console=ttyS0");
    g_assert_cmpstr(ours, ==, SEALED);
    for (guint i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autofree char *sealed = kh_kernel_cmdline_seal(rows[i].cmdline, UUID);
        g_autofree char *unsealed = kh_kernel_cmdline_unseal(rows[i].cmdline);

        g_assert_cmpstr(sealed, ==, rows[i].sealed);
        g_assert_cmpstr(unsealed, ==, rows[i].unsealed);
    }
}

/* What a start gives to QEMU, in either form. */
static void
check_start(const char *uuid, const char *cmdline)
{
    const KhConfig config = {.vcpus = 1, .rpc_address = "127.0.0.1", .vcpu_type = "EPYC-v4"};
    const KhMachine machine = {.config = &config,
                               .name = "demo",
                               .accelerator = "tcg",
                               .qemu = "qemu",
                               .image_folder = "/i",
                               .data_folder = "/d",
                               .luks_uuid = uuid};
    g_auto(GStrv) args = kh_command_line_build(&machine);
    g_auto(GStrv) portable = kh_command_line_build_portable(&machine);

    g_assert_true(g_strv_contains((const char *const *)args, cmdline));
    g_assert_true(g_strv_contains((const char *const *)portable, cmdline));
}

/* Of what another was taken for: the one that this host starts is tried. */
static void
check_neighbours(const char *uuid, const char *cmdline)
{
    g_autoptr(GPtrArray) cmdlines = kh_neighbour_cmdlines("quiet", NULL);
    g_autoptr(GPtrArray) sealed = kh_neighbour_cmdlines("console=ttyS0 ", uuid);
    gboolean found = FALSE;

    for (guint i = 0; uuid == NULL && i < cmdlines->len; i++)
        found = found || g_str_equal(((KhNeighbourCmdline *)cmdlines->pdata[i])->bytes, cmdline);
    for (guint i = 0; uuid != NULL && i < sealed->len; i++)
        found = found || g_str_equal(((KhNeighbourCmdline *)sealed->pdata[i])->bytes, cmdline);
    g_assert_true(found);
}

static void
starts_and_is_explained(void)
{
    static const char *const uuids[] = {NULL, UUID};

    for (guint i = 0; i < G_N_ELEMENTS(uuids); i++) {
        g_autofree char *cmdline = kh_kernel_cmdline(uuids[i]);

        check_start(uuids[i], cmdline);
        check_neighbours(uuids[i], cmdline);
    }
}

static char *
digest_of(const Files *files, const char *cmdline)
{
    g_autoptr(KhBootParts) parts =
        kh_boot_parts_load(files->firmware, files->kernel, files->initrd, NULL);
    const KhLaunch launch = {parts, cmdline, {1, 0x800f12, KH_GUEST_FEATURES, KH_VMM_QEMU}};
    guint8 digest[KH_LAUNCH_DIGEST_SIZE];

    g_assert_true(kh_launch_measure(&launch, digest, NULL));
    return kh_bytes_to_hex(digest, sizeof digest);
}

static char *
sha256_of(const char *path)
{
    g_autofree char *bytes = NULL;
    gsize length;

    g_assert_true(g_file_get_contents(path, &bytes, &length, NULL));
    return g_compute_checksum_for_data(G_CHECKSUM_SHA256, (guint8 *)bytes, length);
}

static KhImage *
image_of(const Files *files)
{
    static const char *const names[] = {KH_IMAGE_FIRMWARE, KH_IMAGE_KERNEL, KH_IMAGE_INITRD};
    KhImage *image = kh_image_new();

    for (guint i = 0; i < G_N_ELEMENTS(names); i++) {
        g_autofree char *path = g_build_filename(files->folder, names[i], NULL);
        g_autofree char *sha256 = sha256_of(path);

        kh_image_add_part(image, names[i], 0, sha256);
    }
    return image;
}

static void
on_measured(GObject *source, GAsyncResult *result, gpointer data)
{
    *(GAsyncResult **)data = g_object_ref(result);
}

/* What the service expects of a confidential instance. */
static void
expected(Files *files, gconstpointer data)
{
    g_autoptr(KhImage) image = image_of(files);

    for (int sealed = 0; sealed <= 1; sealed++) {
        const KhConfig config = {.vcpus = 1, .vcpu_type = "EPYC-v4", .sealed = sealed};
        const KhMeasuredLaunch launch = {&config, UUID, image, files->folder, files->qemu};
        g_autoptr(GAsyncResult) result = NULL;
        g_autofree char *cmdline = kh_kernel_cmdline(sealed ? UUID : NULL);
        g_autofree char *wanted = digest_of(files, cmdline), *hex = NULL;

        kh_expected_measurement_async(&launch, on_measured, &result);
        while (result == NULL)
            g_main_context_iteration(NULL, TRUE);
        hex = kh_expected_measurement_finish(result, NULL);
        g_assert_cmpstr(hex, ==, wanted);
    }
}

/* What attest and measure take where nobody gives one. */
static void
verified(Files *files, gconstpointer data)
{
    const struct {
        char *sealed, *given;
        gboolean unsealed;
        const char *cmdline;
    } rows[] = {{UUID, NULL, FALSE, SEALED},
                {NULL, NULL, TRUE, "console=ttyS0"},
                {NULL, (char *)"quiet", FALSE, "quiet"},
                {NULL, NULL, FALSE, ""}};
    KhCli cli = {NULL};

    for (guint i = 0; i < G_N_ELEMENTS(rows); i++) {
        KhAttestOptions options = {.sealed = rows[i].sealed, .unsealed = rows[i].unsealed};
        g_autoptr(KhBootParts) parts = NULL;
        g_autofree char *cmdline = NULL;

        options.launch = (KhLaunchOptions){.ovmf = files->firmware,
                                           .kernel = files->kernel,
                                           .initrd = files->initrd,
                                           .cmdline = rows[i].given};
        parts = kh_attest_options_load(&options, &cli, &cmdline, NULL);
        g_assert_nonnull(parts);
        g_assert_cmpstr(cmdline, ==, rows[i].cmdline);
    }
}

/* Katana's releases publish hashes, a UUID and what the sealed machine measures. */
static void
published(Files *files, gconstpointer data)
{
    g_autofree char *ovmf = sha256_of(files->firmware), *kernel = sha256_of(files->kernel);
    g_autofree char *initrd = sha256_of(files->initrd), *cmdline = kh_kernel_cmdline(UUID);
    g_autofree char *digest = digest_of(files, cmdline), *other = digest_of(files, "console=ttyS0");
    const char *const digests[] = {digest, other};

    for (guint i = 0; i < G_N_ELEMENTS(digests); i++) {
        g_autofree char *text =
            g_strdup_printf("OVMF_SHA256=%s\nKERNEL_SHA256=%s\nINITRD_SHA256=%s\nLUKS_UUID=" UUID
                            "\nLAUNCH_MEASUREMENT=%s\n",
                            ovmf, kernel, initrd, digests[i]);
        g_autoptr(KhBootParts) parts = NULL;

        g_assert_true(g_file_set_contents(files->build_info, text, -1, NULL));
        parts = kh_build_info_load(files->build_info, files->firmware, NULL);
        g_assert_true((parts != NULL) == (digests[i] == digest));
    }
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/kernel-cmdline/made", made);
    g_test_add_func("/kernel-cmdline/starts-and-is-explained", starts_and_is_explained);
    g_test_add("/kernel-cmdline/expected", Files, NULL, set_up, expected, tear_down);
    g_test_add("/kernel-cmdline/verified", Files, NULL, set_up, verified, tear_down);
    g_test_add("/kernel-cmdline/published", Files, NULL, set_up, published, tear_down);
    return g_test_run();
}
