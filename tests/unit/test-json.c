/* SPDX-License-Identifier: MIT */
/* Tests of the bounded JSON reader. */
#include "error.h"
#include "qemu/json.h"

static char *
nested(guint depth)
{
    GString *text = g_string_new("{\"a\":");

    for (guint i = 1; i < depth; i++)
        g_string_append_c(text, '[');
    for (guint i = 1; i < depth; i++)
        g_string_append_c(text, ']');
    g_string_append_c(text, '}');
    return g_string_free(text, FALSE);
}

static JsonObject *
parse(const char *text, GError **error)
{
    return kh_json_parse_object(text, strlen(text), error);
}

static void
depth(void)
{
    g_autofree char *deepest = nested(KH_JSON_DEPTH_MAX);
    g_autofree char *deeper = nested(KH_JSON_DEPTH_MAX + 1);
    g_autofree char *bomb = g_strnfill(100000, '[');
    g_autoptr(JsonObject) object = parse(deepest, NULL);

    g_assert_nonnull(object);
    g_assert_null(parse(deeper, NULL));
    g_assert_null(parse(bomb, NULL));
}

static void
brackets_in_strings_do_not_count(void)
{
    g_autofree char *brackets = g_strnfill(1000, '[');
    g_autofree char *text = g_strdup_printf("{\"a\":\"\\\"%s\"}", brackets);
    g_autoptr(JsonObject) object = parse(text, NULL);

    g_assert_nonnull(object);
    g_assert_cmpuint(strlen(json_object_get_string_member(object, "a")), ==, 1001);
}

static void
refusals(void)
{
    for (const char *const *bad = (const char *const[]){"", "[]", "1", "{", "{\"a\":}", "nonsense",
                                                        "\"\\", "{\"a\":\"\xff\"}", NULL};
         *bad != NULL; bad++) {
        g_autoptr(GError) error = NULL;

        g_assert_null(parse(*bad, &error));
        g_assert_error(error, KH_ERROR, KH_ERROR_FAILED);
    }
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/json/depth", depth);
    g_test_add_func("/json/strings", brackets_in_strings_do_not_count);
    g_test_add_func("/json/refusals", refusals);
    return g_test_run();
}
