/* SPDX-License-Identifier: MIT */
/* What there is to put in the place of a database; see copy-advice.h. */
#include "copy-advice.h"

#include <glib/gstdio.h>

/* NULL where there is none. */
static char *
describe_one(const char *path, const char *suffix)
{
    g_autofree char *copy = g_strconcat(path, suffix, NULL);
    g_autoptr(GDateTime) time = NULL;
    g_autofree char *shown = NULL;
    GStatBuf status;

    if (g_lstat(copy, &status) != 0)
        return NULL;
    time = g_date_time_new_from_unix_utc(status.st_mtime);
    shown = g_date_time_format(time, "%Y-%m-%d %H:%M UTC");
    return g_strdup_printf("put its copy %s, of %s, in its place", copy, shown);
}

char *
kh_copy_advice(const char *path)
{
    char *text = describe_one(path, KH_COPIES_SUFFIX);

    return text != NULL ? text : describe_one(path, KH_COPIES_OLDER_SUFFIX);
}
