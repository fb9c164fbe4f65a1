/* SPDX-License-Identifier: MIT */
/* What start, stop and delete share; see verbs.h. */
#include <string.h>

#include "client.h"
#include "error.h"
#include "names.h"
#include "sizes.h"
#include "verbs.h"

/* A deletion takes what was named, never what happens to begin like it. */
static gboolean
check_exact(KhCli *cli, const char *path, const char *name, GError **error)
{
    g_autoptr(GVariant) all = kh_client_get_all(cli, path, KH_INTERFACE_INSTANCE, error);
    const char *id = "", *real = "";

    if (all == NULL)
        return FALSE;
    g_variant_lookup(all, "Id", "&s", &id);
    g_variant_lookup(all, "Name", "&s", &real);
    if (g_str_equal(id, name) || g_str_equal(real, name))
        return TRUE;
    g_set_error(error, KH_ERROR, KH_ERROR_NOT_FOUND,
                "There is no instance \"%s\"; give its whole name or id", name);
    return FALSE;
}

static gboolean
call_on(KhCli *cli, const char *name, gboolean exact, const char *method, GVariant *options,
        GError **error)
{
    g_autofree char *path = kh_client_find(cli, name, error);
    g_autoptr(GVariant) reply = NULL;

    if (path == NULL || (exact && !check_exact(cli, path, name, error)))
        return FALSE;
    reply = kh_client_call(cli, path, KH_INTERFACE_INSTANCE, method,
                           g_variant_new("(@a{sv})", options), NULL, error);
    return reply != NULL;
}

int
kh_verb_on_each(KhCli *cli, char **names, gboolean exact, const char *method, GVariant *options)
{
    g_autoptr(GVariant) held = g_variant_ref_sink(options);
    int first = 0;

    for (; *names != NULL; names++) {
        GError *error = NULL;
        int code;

        if (call_on(cli, *names, exact, method, held, &error))
            continue;
        code = kh_cli_fail(cli, error);
        first = first != 0 ? first : code;
    }
    return first;
}

gboolean
kh_verb_add_timeout(GVariantDict *dict, const char *seconds, GError **error)
{
    double value;
    char *end;

    if (seconds == NULL)
        return TRUE;
    value = g_ascii_strtod(seconds, &end);
    if (end == seconds || *end != '\0' || !(value >= 1 && value <= 3600)) {
        g_set_error(error, KH_ERROR, KH_ERROR_INVALID_ARGUMENT,
                    "--timeout is \"%s\", it must be from 1 to 3600 seconds", seconds);
        return FALSE;
    }
    g_variant_dict_insert(dict, "timeout-usec", "t", (guint64)(value * G_USEC_PER_SEC));
    return TRUE;
}
