/* SPDX-License-Identifier: MIT */
/* Tests of how QEMU is asked for its processors, with programs that answer as none does. */
#include "confidential/expected-measurement.h"

#include <glib/gstdio.h>
#include <string.h>

#include "error.h"

typedef struct {
    const char *script; /* a shell's */
    KhError code;
    const char *message; /* a part of it */
} Row;

static const Row rows[] = {
    {"exec head -c 100000000 /dev/zero", KH_ERROR_LAUNCH_FAILED, "prints more than"},
    {"exit 0", KH_ERROR_INVALID_ARGUMENT, "vcpu-type is EPYC-v4"},
    {"echo EPYC-v4; exit 3", KH_ERROR_LAUNCH_FAILED, "cannot be asked"},
    {"echo EPYC-v44 EPYC-v4", KH_ERROR_INVALID_ARGUMENT, "vcpu-type is EPYC-v4"},
    /* Has it, and the next step misses the firmware. */
    {"echo; echo '  EPYC-v4  (a note)'", KH_ERROR_NOT_FOUND, "firmware"},
};

static void
on_done(GObject *source, GAsyncResult *result, gpointer data)
{
    GAsyncResult **place = data;

    *place = g_object_ref(result);
}

static void
ask(const char *qemu, const Row *row)
{
    const KhConfig config = {.vcpus = 1, .vcpu_type = "EPYC-v4"};
    g_autoptr(KhImage) image = kh_image_new();
    const KhMeasuredLaunch launch = {&config, "one", image, "/nonexistent", qemu};
    g_autoptr(GAsyncResult) result = NULL;
    g_autoptr(GError) error = NULL;

    kh_expected_measurement_async(&launch, on_done, &result);
    while (result == NULL)
        g_main_context_iteration(NULL, TRUE);
    g_assert_null(kh_expected_measurement_finish(result, &error));
    g_assert_error(error, KH_ERROR, (int)row->code);
    g_assert_nonnull(strstr(error->message, row->message));
}

static void
answers(void)
{
    g_autofree char *folder = g_dir_make_tmp("kh-XXXXXX", NULL);
    g_autofree char *qemu = g_build_filename(folder, "qemu", NULL);

    for (guint i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autofree char *text = g_strdup_printf("#!/bin/sh\n%s\n", rows[i].script);

        g_assert_true(
            g_file_set_contents_full(qemu, text, -1, G_FILE_SET_CONTENTS_CONSISTENT, 0700, NULL));
        ask(qemu, &rows[i]);
    }
    g_assert_cmpint(g_unlink(qemu), ==, 0);
    g_assert_cmpint(g_rmdir(folder), ==, 0);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/expected-measurement/answers", answers);
    return g_test_run();
}
