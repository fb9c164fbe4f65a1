/* SPDX-License-Identifier: MIT */
/* Folders of a user; see folders.h. */
#include "folders.h"

static const struct {
    const char *variable;
    const char *in_home;
} folders[] = {
    [KH_FOLDER_CONFIG] = {"XDG_CONFIG_HOME", ".config"},
    [KH_FOLDER_DATA] = {"XDG_DATA_HOME", ".local/share"},
    [KH_FOLDER_CACHE] = {"XDG_CACHE_HOME", ".cache"},
};

static const char *
absolute_variable(const char *name)
{
    const char *value = g_getenv(name);

    return value != NULL && g_path_is_absolute(value) ? value : NULL;
}

char *
kh_folder_path(KhFolder folder)
{
    const char *named = absolute_variable(folders[folder].variable);

    if (named != NULL)
        return g_strdup(named);
    return g_build_filename(g_get_home_dir(), folders[folder].in_home, NULL);
}

const char *
kh_folder_runtime(void)
{
    return absolute_variable("XDG_RUNTIME_DIR");
}
