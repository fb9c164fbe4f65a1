/* SPDX-License-Identifier: MIT */
/* Folders of a user: dbus-interfaces/folders.c. */
#include "folders.h"

static void
absolute_or_ignored(void)
{
    static const struct {
        const char *variable;
        KhFolder folder;
        const char *in_home;
    } cases[] = {
        {"XDG_CONFIG_HOME", KH_FOLDER_CONFIG, "/home/of-a-test/.config"},
        {"XDG_DATA_HOME", KH_FOLDER_DATA, "/home/of-a-test/.local/share"},
        {"XDG_CACHE_HOME", KH_FOLDER_CACHE, "/home/of-a-test/.cache"},
    };
    const char *const relative[] = {"", "a", "./a", "../a", "~/a"};

    g_setenv("HOME", "/home/of-a-test", TRUE);
    for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *unset = NULL, *set = NULL;

        g_unsetenv(cases[i].variable);
        unset = kh_folder_path(cases[i].folder);
        g_assert_cmpstr(unset, ==, cases[i].in_home);
        for (gsize j = 0; j < G_N_ELEMENTS(relative); j++) {
            g_autofree char *ignored = NULL;

            g_setenv(cases[i].variable, relative[j], TRUE);
            ignored = kh_folder_path(cases[i].folder);
            g_assert_cmpstr(ignored, ==, cases[i].in_home);
        }
        g_setenv(cases[i].variable, "/else/where", TRUE);
        set = kh_folder_path(cases[i].folder);
        g_assert_cmpstr(set, ==, "/else/where");
    }
}

static void
runtime(void)
{
    g_unsetenv("XDG_RUNTIME_DIR");
    g_assert_null(kh_folder_runtime());
    g_setenv("XDG_RUNTIME_DIR", "run", TRUE);
    g_assert_null(kh_folder_runtime());
    g_setenv("XDG_RUNTIME_DIR", "/run/of-a-test", TRUE);
    g_assert_cmpstr(kh_folder_runtime(), ==, "/run/of-a-test");
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/folders/absolute-or-ignored", absolute_or_ignored);
    g_test_add_func("/folders/runtime", runtime);
    return g_test_run();
}
