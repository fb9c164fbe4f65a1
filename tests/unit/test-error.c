/* SPDX-License-Identifier: MIT */
/* The error domain and its names on the bus: dbus-interfaces/error.c. */
#include "error.h"

#include <errno.h>
#include <string.h>

static void
names(void)
{
    for (int code = 0; code < KH_N_ERRORS; code++) {
        g_autofree char *full =
            g_strconcat("org.katana.Hypervisor.Error.", kh_error_name(code), NULL);
        g_autoptr(GError) error = g_error_new(KH_ERROR, code, "text");
        g_autofree char *encoded = g_dbus_error_encode_gerror(error);

        g_assert_cmpstr(encoded, ==, full);
    }
    g_assert_cmpstr(kh_error_name(9999), ==, "Failed");
}

static void
foreign_errors(void)
{
    g_autoptr(GError) full = kh_error_import(g_error_new(G_IO_ERROR, G_IO_ERROR_NO_SPACE, "full"),
                                             KH_ERROR_FAILED, "data disk");
    g_autoptr(GError) other = kh_error_import(g_error_new(G_FILE_ERROR, G_FILE_ERROR_IO, "bad"),
                                              KH_ERROR_LAUNCH_FAILED, "qemu");
    g_autoptr(GError) ours =
        kh_error_import(g_error_new(KH_ERROR, KH_ERROR_BUSY, "busy"), KH_ERROR_FAILED, "ignored");

    g_assert_error(full, KH_ERROR, KH_ERROR_RESOURCE_UNAVAILABLE);
    g_assert_cmpstr(full->message, ==, "data disk: full");
    g_assert_error(other, KH_ERROR, KH_ERROR_LAUNCH_FAILED);
    g_assert_error(ours, KH_ERROR, KH_ERROR_BUSY);
    g_assert_cmpstr(ours->message, ==, "busy");
}

static void
errno_codes(void)
{
    static const struct {
        int number;
        KhError code;
    } cases[] = {{ENOSPC, KH_ERROR_RESOURCE_UNAVAILABLE},
                 {EDQUOT, KH_ERROR_RESOURCE_UNAVAILABLE},
                 {EMFILE, KH_ERROR_RESOURCE_UNAVAILABLE},
                 {ENFILE, KH_ERROR_RESOURCE_UNAVAILABLE},
                 {ENOMEM, KH_ERROR_RESOURCE_UNAVAILABLE},
                 {ENOENT, KH_ERROR_NOT_FOUND},
                 {EACCES, KH_ERROR_FAILED}};

    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(GError) error = NULL;

        errno = cases[i].number;
        g_assert_false(kh_error_set_errno(&error, "it", "opened"));
        g_assert_error(error, KH_ERROR, (int)cases[i].code);
        g_assert_true(g_str_has_prefix(error->message, "it cannot be opened: "));
    }
}

static void
symbolic_link(void)
{
    g_autoptr(GError) error = NULL;

    errno = ELOOP;
    kh_error_set_errno(&error, "/x/lock", "opened");
    g_assert_error(error, KH_ERROR, KH_ERROR_FAILED);
    g_assert_nonnull(strstr(error->message, "/x/lock cannot be opened: "));
    g_assert_nonnull(strstr(error->message, "symbolic link"));
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/error/names", names);
    g_test_add_func("/error/foreign", foreign_errors);
    g_test_add_func("/error/errno", errno_codes);
    g_test_add_func("/error/symbolic-link", symbolic_link);
    return g_test_run();
}
