/* SPDX-License-Identifier: MIT */
/* Checks the options of a method; see options.h. */
#include "options.h"

#include "error.h"
#include "names.h"

#define TIMEOUT_MAX (G_GINT64_CONSTANT(3600) * G_USEC_PER_SEC)

#define OPTIONS_MAX 16

/* What is near to @shown, or else all there is. */
static gboolean
refuse_unknown(const char *shown, const KhOption *known, GError **error)
{
    const char *names[OPTIONS_MAX + 1] = {NULL};
    g_autofree char *all = NULL;
    const char *nearest;

    for (guint i = 0; known[i].name != NULL && i < OPTIONS_MAX; i++)
        names[i] = known[i].name;
    nearest = kh_nearest_word(shown, names);
    all = g_strjoinv("\", \"", (char **)names);
    if (nearest != NULL)
        g_set_error(error, KH_ERROR, KH_ERROR_INVALID_ARGUMENT,
                    "This method has no option \"%s\"; did you mean \"%s\"?", shown, nearest);
    else if (all[0] != '\0')
        g_set_error(error, KH_ERROR, KH_ERROR_INVALID_ARGUMENT,
                    "This method has no option \"%s\"; it knows \"%s\"", shown, all);
    else
        g_set_error(error, KH_ERROR, KH_ERROR_INVALID_ARGUMENT,
                    "This method has no options yet; \"%s\" was given", shown);
    return FALSE;
}

static gboolean
check_one(const char *name, GVariant *value, const KhOption *known, GError **error)
{
    g_autofree char *shown = kh_text_sanitize(name, 64);
    const KhOption *all = known;

    for (; known->name != NULL; known++) {
        if (!g_str_equal(known->name, name))
            continue;
        if (g_variant_is_of_type(value, G_VARIANT_TYPE(known->type)))
            return TRUE;
        return kh_error_set(error, KH_ERROR_INVALID_ARGUMENT,
                            "The option \"%s\" has the D-Bus type '%s'; it must be '%s'", shown,
                            g_variant_get_type_string(value), known->type);
    }
    return refuse_unknown(shown, all, error);
}

gboolean
kh_options_check(GVariant *options, const KhOption *known, GError **error)
{
    GVariantIter iter;
    const char *name;
    GVariant *item;

    g_variant_iter_init(&iter, options);
    while (g_variant_iter_next(&iter, "{&sv}", &name, &item)) {
        g_autoptr(GVariant) value = item;

        if (!check_one(name, value, known, error))
            return FALSE;
    }
    return TRUE;
}

gboolean
kh_options_get_boolean(GVariant *options, const char *name)
{
    gboolean value = FALSE;

    g_variant_lookup(options, name, "b", &value);
    return value;
}

gboolean
kh_options_get_timeout(GVariant *options, gint64 *timeout_usec, GError **error)
{
    guint64 value = 0;

    *timeout_usec = 0;
    if (!g_variant_lookup(options, "timeout-usec", "t", &value))
        return TRUE;
    if (value < G_USEC_PER_SEC || value > (guint64)TIMEOUT_MAX)
        return kh_error_set(error, KH_ERROR_INVALID_ARGUMENT,
                            "timeout-usec is %" G_GUINT64_FORMAT
                            "; it must be from 1000000 (a second) to "
                            "3600000000 (an hour)",
                            value);
    *timeout_usec = (gint64)value;
    return TRUE;
}
