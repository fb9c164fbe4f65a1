/* SPDX-License-Identifier: MIT */
/* The values of a call; see values.h. The bus bounds how deep they are. */
#include "values.h"

#include <string.h>

/* An array that GDBus makes no objects of: of numbers that are on the wire as GVariant has them. */
static gboolean
is_packed(GVariant *value)
{
    const char *type = g_variant_get_type_string(value);

    return type[0] == 'a' && type[1] != '\0' && strchr("ynqiuxtdh", type[1]) != NULL;
}

static void
count(GVariant *value, guint *left)
{
    gsize length;

    *left -= 1;
    if (!g_variant_is_container(value) || is_packed(value))
        return;
    length = g_variant_n_children(value);
    for (gsize i = 0; *left > 0 && i < length; i++) {
        g_autoptr(GVariant) child = g_variant_get_child_value(value, i);

        count(child, left);
    }
}

guint
kh_values_count(GVariant *body, guint most)
{
    guint left = most;

    count(body, &left);
    return most - left;
}
