/* SPDX-License-Identifier: MIT */
/* Ranges of ports and uids; see ranges.h. */
#include "ranges.h"

#include "error.h"
#include "sizes.h"

#define PORT_MIN 1024
#define UID_MIN 1000

/* "FIRST-LAST" of the setting @name, which may look like @example. */
static gboolean
parse(const char *text, const char *name, const char *example, guint64 min, guint64 max,
      guint64 bounds[2], GError **error)
{
    g_auto(GStrv) parts = g_strsplit(text, "-", 2);

    if (g_strv_length(parts) != 2)
        return kh_error_set(error, KH_ERROR_INVALID_ARGUMENT, "%s is \"%s\"; it must look like %s",
                            name, text, example);
    return kh_number_parse(parts[0], name, min, max, &bounds[0], error) &&
           kh_number_parse(parts[1], name, bounds[0], max, &bounds[1], error);
}

gboolean
kh_port_range_parse(const char *text, KhPortRange *range, GError **error)
{
    guint64 bounds[2];

    if (!parse(text, "port-range", "5050-25049", PORT_MIN, KH_PORT_MAX, bounds, error))
        return FALSE;
    *range = (KhPortRange){(guint16)bounds[0], (guint16)bounds[1]};
    return TRUE;
}

gboolean
kh_uid_range_parse(const char *text, KhUidRange *range, GError **error)
{
    guint64 bounds[2];

    if (!parse(text, "vm-uid-range", KH_UID_RANGE_DEFAULT, UID_MIN, KH_UID_MAX, bounds, error))
        return FALSE;
    *range = (KhUidRange){(guint32)bounds[0], (guint32)bounds[1]};
    return TRUE;
}
