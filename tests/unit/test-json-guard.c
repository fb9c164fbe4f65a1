/* SPDX-License-Identifier: MIT */
/* Tests of the bounded JSON reader. */
#include <string.h>

#include "error.h"
#include "json-guard.h"

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
    for (const char *const *bad =
             (const char *const[]){"", "[]", "1", "{", "{\"a\":}", "nonsense", "\"\\",
                                   "{\"a\":\"\xff\"}", "{\"a\":010}", "{\"a\":0x10}", "{\"a\":1.}",
                                   "{\"a\":-}", "{\"a\":\"\n\"}", "{\"a\":\"\\x\"}", "]", "{}{}",
                                   "{} 1", "{}]", NULL};
         *bad != NULL; bad++) {
        g_autoptr(GError) error = NULL;

        g_assert_null(parse(*bad, &error));
        g_assert_error(error, KH_ERROR, KH_ERROR_FAILED);
    }
}

/* json-glib skips comments and knows single quotes: what they hide from a count of brackets
 * ended the process. */
static void
no_more_than_json(void)
{
    g_autofree char *bomb = g_strnfill(1000000, '[');

    for (const char *const *lead = (const char *const[]){"/* \" */{\"a\":", "// \"\n{\"a\":",
                                                         "{'\"':", "var a = \"", NULL};
         *lead != NULL; lead++) {
        g_autofree char *text = g_strconcat(*lead, bomb, NULL);
        g_autoptr(GError) error = NULL;

        g_assert_null(parse(text, &error));
        g_assert_error(error, KH_ERROR, KH_ERROR_FAILED);
    }
    g_assert_null(kh_json_parse_object(NULL, 0, NULL));
    g_assert_null(parse("/* */ {}", NULL));
    g_assert_null(parse("var a = {}", NULL));
    g_assert_null(parse("{'a':1}", NULL));
}

/* json-glib makes strings of these that are not UTF-8, or leaves digits out. */
static void
escapes(void)
{
    for (const char *const *bad =
             (const char *const[]){
                 "{\"a\":\"\\ud800x\"}", "{\"a\":\"\\ud83d\\n\"}", "{\"a\":\"\\udc00x\"}",
                 "{\"a\":\"\\ud800\\u0041\"}", "{\"a\":\"\\udc00\\udc00\"}", "{\"a\":\"\\ud800\"}",
                 "{\"\\ud800x\":1}", "{\"a\":\"\\uzzzz\"}", "{\"a\":\"\\u12\"}", NULL};
         *bad != NULL; bad++) {
        g_autoptr(GError) error = NULL;

        g_assert_null(parse(*bad, &error));
        g_assert_error(error, KH_ERROR, KH_ERROR_FAILED);
    }
    for (const char *const *good =
             (const char *const[]){"{\"a\":\"\\ud83d\\ude00\"}", "{\"a\":\"\\uDBFF\\uDFFF\"}",
                                   "{\"a\":\"\\ud7ff\\ue000\\uffff\\u0001\"}", NULL};
         *good != NULL; good++) {
        g_autoptr(JsonObject) object = parse(*good, NULL);

        g_assert_nonnull(object);
        g_assert_true(g_utf8_validate(json_object_get_string_member(object, "a"), -1, NULL));
    }
}

static JsonObject *
parse_exact(const char *text, GError **error)
{
    return kh_json_parse_exact(text, strlen(text), error);
}

static void
exact(void)
{
    for (const char *const *bad =
             (const char *const[]){"{\"a\":1,\"a\":1}", "{\"b\":[{\"a\":1,\"\\u0061\":{}}]}",
                                   "{\"a\":{},\"a\":{\"a\":1}}", "{\"a\":9007199254740993}",
                                   "{\"a\":-9007199254740993}", "{\"a\":18446744073709551617}",
                                   "{\"a\":\"0x1\\u00002\"}", NULL};
         *bad != NULL; bad++) {
        g_autoptr(GError) error = NULL;

        g_assert_null(parse_exact(*bad, &error));
        g_assert_error(error, KH_ERROR, KH_ERROR_FAILED);
    }
    for (const char *const *good =
             (const char *const[]){"{}", "{\"a\":{\"a\":1},\"b\":[{\"a\":1},{\"a\":2}]}",
                                   "{\"a\":9007199254740992,\"b\":-1.5e+300,\"c\":0}",
                                   "{\"a\":\"\\\\u0000\",\"b\":[true,false,null]}", NULL};
         *good != NULL; good++) {
        g_autoptr(JsonObject) object = parse_exact(*good, NULL);

        g_assert_nonnull(object);
    }
}

/* An object at the depth @before, with so many members; behind it one with a few. */
static char *
make_members(guint n, const char *before, const char *after)
{
    GString *text = g_string_new(before);

    for (guint i = 0; i < n; i++)
        g_string_append_printf(text, "%s\"%u\":{\"a\":[1,2]}", i == 0 ? "{" : ",", i);
    g_string_append(text, "}");
    g_string_append(text, after);
    return g_string_free(text, FALSE);
}

static void
too_many_members(void)
{
    g_autofree char *most = make_members(KH_JSON_MEMBERS_MAX, "", "");
    g_autofree char *over = make_members(KH_JSON_MEMBERS_MAX + 1, "", "");
    g_autofree char *two = make_members(KH_JSON_MEMBERS_MAX, "{\"a\":", ",\"b\":{\"c\":1}}");
    g_autofree char *inner = make_members(KH_JSON_MEMBERS_MAX + 1, "{\"a\":[", "]}");
    g_autoptr(JsonObject) one = parse(most, NULL);
    g_autoptr(JsonObject) both = parse_exact(two, NULL);
    g_autoptr(GError) error = NULL;

    g_assert_nonnull(one);
    g_assert_nonnull(both);
    g_assert_null(parse(over, NULL));
    g_assert_null(parse_exact(inner, &error));
    g_assert_error(error, KH_ERROR, KH_ERROR_FAILED);
    g_assert_nonnull(strstr(error->message, "members"));
}

static void
too_long(void)
{
    gsize size = 100 * 1000 * 1000;
    g_autofree char *text = g_strnfill(size, ' ');
    g_autoptr(JsonObject) object = NULL;
    g_autoptr(GError) error = NULL;

    text[0] = '{';
    text[KH_JSON_SIZE_MAX - 1] = '}';
    object = kh_json_parse_exact(text, KH_JSON_SIZE_MAX, NULL);
    g_assert_nonnull(object);
    g_assert_null(kh_json_parse_exact(text, size, &error));
    g_assert_error(error, KH_ERROR, KH_ERROR_LIMIT_EXCEEDED);
}

static void
too_many_values(void)
{
    g_autoptr(GString) text = g_string_new("{\"a\":[{}");
    g_autoptr(JsonObject) object = NULL;
    g_autoptr(GError) error = NULL;

    for (guint i = 0; i < KH_JSON_VALUES_MAX / 2; i++)
        g_string_append(text, ",{}");
    g_string_append(text, "]}");
    object = kh_json_parse_object(text->str, text->len, NULL);
    g_assert_nonnull(object);
    g_assert_null(kh_json_parse_exact(text->str, text->len, &error));
    g_assert_error(error, KH_ERROR, KH_ERROR_FAILED);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/json/depth", depth);
    g_test_add_func("/json/strings", brackets_in_strings_do_not_count);
    g_test_add_func("/json/refusals", refusals);
    g_test_add_func("/json/no-more-than-json", no_more_than_json);
    g_test_add_func("/json/exact", exact);
    g_test_add_func("/json/escapes", escapes);
    g_test_add_func("/json/too-many-members", too_many_members);
    g_test_add_func("/json/too-long", too_long);
    g_test_add_func("/json/too-many-values", too_many_values);
    return g_test_run();
}
