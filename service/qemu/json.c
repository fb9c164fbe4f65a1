/* SPDX-License-Identifier: MIT */
/* Bounded JSON; see json.h. */
#include "json.h"

#include "error.h"

/* Counts brackets outside strings. */
static gboolean
is_shallow(const char *text, gsize length)
{
    gboolean in_string = FALSE;
    guint depth = 0;

    for (gsize i = 0; i < length; i++) {
        char c = text[i];

        if (in_string && c == '\\')
            i++;
        else if (c == '"')
            in_string = !in_string;
        else if (!in_string && (c == '{' || c == '['))
            depth++;
        else if (!in_string && (c == '}' || c == ']') && depth > 0)
            depth--;
        if (depth > KH_JSON_DEPTH_MAX)
            return FALSE;
    }
    return TRUE;
}

JsonObject *
kh_json_parse_object(const char *text, gsize length, GError **error)
{
    g_autoptr(JsonParser) parser = json_parser_new_immutable();
    JsonNode *root;

    if (!g_utf8_validate(text, (gssize)length, NULL) || !is_shallow(text, length)) {
        g_set_error(error, KH_ERROR, KH_ERROR_FAILED,
                    "The JSON text is not UTF-8, or nested deeper than %d", KH_JSON_DEPTH_MAX);
        return NULL;
    }
    if (!json_parser_load_from_data(parser, text, (gssize)length, NULL)) {
        g_set_error(error, KH_ERROR, KH_ERROR_FAILED, "The text is not JSON");
        return NULL;
    }
    root = json_parser_get_root(parser);
    if (root == NULL || !JSON_NODE_HOLDS_OBJECT(root)) {
        g_set_error(error, KH_ERROR, KH_ERROR_FAILED, "The JSON text is not an object");
        return NULL;
    }
    return json_object_ref(json_node_get_object(root));
}
