/* SPDX-License-Identifier: MIT */
/*
 * The last argument of most methods, a{sv}: checked against a table, so that an unknown
 * or ill-typed option is refused and not ignored. Used by the bus objects.
 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

typedef struct {
    const char *name;
    const char *type; /* GVariant type string */
} KhOption;

/*
 * KH_ERROR_INVALID_ARGUMENT naming the option, unless every entry of @options is one of
 * @known (ended by a NULL name) and has its type.
 */
gboolean kh_options_check(GVariant *options, const KhOption *known, GError **error);

gboolean kh_options_get_boolean(GVariant *options, const char *name);

/*
 * The time "timeout-usec" between a second and an hour; 0 when it is not given.
 * KH_ERROR_INVALID_ARGUMENT else.
 */
gboolean kh_options_get_timeout(GVariant *options, gint64 *timeout_usec, GError **error);

G_END_DECLS
