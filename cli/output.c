/* SPDX-License-Identifier: MIT */
/* Tables and JSON; see output.h. */
#include "output.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "bytes.h"
#include "names.h"
#include "sizes.h"
#include "words.h"

#define TEXT_MAX 4096
#define KEY_WIDTH 20
#define REPLACEMENT 0xfffd

char *
kh_output_key(const char *property)
{
    g_auto(GStrv) parts = g_strsplit(property, "USec", -1);
    g_autofree char *plain = g_strjoinv("Usec", parts);
    GString *key = g_string_new(NULL);

    for (const char *c = plain; *c != '\0'; c++) {
        if (g_ascii_isupper(*c) && c != plain)
            g_string_append_c(key, '_');
        g_string_append_c(key, *c == '-' ? '_' : g_ascii_tolower(*c));
    }
    return g_string_free(key, FALSE);
}

/* Takes @object. */
static JsonNode *
node_of_object(JsonObject *object)
{
    JsonNode *node = json_node_new(JSON_NODE_OBJECT);

    json_node_take_object(node, object);
    return node;
}

/* An array of structs of strings as objects with these names. */
static JsonNode *
objects_of(GVariant *rows, const char *const *names)
{
    g_autoptr(JsonArray) array = json_array_new();
    JsonNode *node = json_node_new(JSON_NODE_ARRAY);

    for (gsize i = 0; i < g_variant_n_children(rows); i++) {
        g_autoptr(GVariant) row = g_variant_get_child_value(rows, i);
        JsonObject *object = json_object_new();

        for (gsize j = 0; j < g_variant_n_children(row); j++) {
            g_autoptr(GVariant) field = g_variant_get_child_value(row, j);

            json_object_set_member(object, names[j], json_gvariant_serialize(field));
        }
        json_array_add_object_element(array, object);
    }
    json_node_set_array(node, array);
    return node;
}

/* {"name":…,"message":…}, or null where there is no error. */
static JsonNode *
error_node(GVariant *pair)
{
    JsonObject *object;
    const char *name, *message;

    g_variant_get(pair, "(&s&s)", &name, &message);
    if (name[0] == '\0')
        return json_node_new(JSON_NODE_NULL);
    object = json_object_new();
    json_object_set_string_member(object, "name", name);
    json_object_set_string_member(object, "message", message);
    return node_of_object(object);
}

/* Lower-case hexadecimal digits; transfer full. */
static char *
hex_of(GVariant *bytes)
{
    gsize n = 0;
    const guint8 *data = g_variant_get_fixed_array(bytes, &n, 1);

    return kh_bytes_to_hex(data, n);
}

static JsonNode *
hex_node(GVariant *bytes)
{
    g_autofree char *hex = hex_of(bytes);
    JsonNode *node = json_node_new(JSON_NODE_VALUE);

    json_node_set_string(node, hex);
    return node;
}

static JsonNode *
value_node(const char *property, GVariant *value)
{
    static const char *const component[] = {"part", "path", "sha256"};

    if (g_str_equal(property, "LastError") && g_variant_is_of_type(value, G_VARIANT_TYPE("(ss)")))
        return error_node(value);
    if (g_variant_is_of_type(value, G_VARIANT_TYPE("a(sss)")))
        return objects_of(value, component);
    if (g_variant_is_of_type(value, G_VARIANT_TYPE_BYTESTRING))
        return hex_node(value);
    return json_gvariant_serialize(value);
}

JsonNode *
kh_output_properties(GVariant *properties)
{
    JsonObject *object = json_object_new();
    GVariantIter iter;
    const char *name;
    GVariant *item;

    g_variant_iter_init(&iter, properties);
    while (g_variant_iter_next(&iter, "{&sv}", &name, &item)) {
        g_autoptr(GVariant) value = item;
        g_autofree char *key = kh_output_key(name);

        json_object_set_member(object, key, value_node(name, value));
    }
    return node_of_object(object);
}

/* In JSON, of one beyond the first 65536 both halves of UTF-16 (RFC 8259, 7). */
static void
append_escaped(GString *out, gunichar c)
{
    if (c < 0x10000)
        g_string_append_printf(out, "\\u%04x", c);
    else
        g_string_append_printf(out, "\\u%04x\\u%04x", 0xd800 + ((c - 0x10000) >> 10),
                               0xdc00 + ((c - 0x10000) & 0x3ff));
}

/* Outside of its strings JSON has no harmful characters but line feeds, which are none here. */
static char *
escape_json(const char *json)
{
    GString *out = g_string_sized_new(strlen(json));
    const char *next;

    for (const char *at = json; *at != '\0'; at = next) {
        gunichar c = g_utf8_get_char_validated(at, -1);
        gboolean valid = c < (gunichar)-2;

        next = valid ? g_utf8_next_char(at) : at + 1;
        if (!valid)
            g_string_append_unichar(out, REPLACEMENT);
        else if (c != '\n' && kh_text_is_harmful(c))
            append_escaped(out, c);
        else
            g_string_append_len(out, at, next - at);
    }
    return g_string_free(out, FALSE);
}

char *
kh_output_json_text(JsonNode *node, gboolean pretty)
{
    g_autofree char *text = json_to_string(node, pretty);

    return escape_json(text);
}

static gboolean
is_harmless(const char *word)
{
    for (const char *at = word; *at != '\0'; at = g_utf8_next_char(at))
        if (kh_text_is_harmful(g_utf8_get_char(at)))
            return FALSE;
    return TRUE;
}

/* Each byte by its number but for plain ASCII, in $'': any locale reads that alike. */
char *
kh_output_shell_word(const char *word)
{
    g_autoptr(GString) out = NULL;

    if (g_utf8_validate(word, -1, NULL) && is_harmless(word))
        return g_shell_quote(word);
    out = g_string_new("$'");
    for (const char *at = word; *at != '\0'; at++)
        if (g_ascii_isprint(*at) && *at != '\'' && *at != '\\')
            g_string_append_c(out, *at);
        else
            g_string_append_printf(out, "\\%03o", (guint)(guchar)*at);
    g_string_append_c(out, '\'');
    return g_string_free(g_steal_pointer(&out), FALSE);
}

static guint
width_of(gunichar c)
{
    if (c == '\t' || g_unichar_iswide(c))
        return c == '\t' ? 8 : 2;
    return g_unichar_iszerowidth(c) ? 0 : 1;
}

void
kh_output_cut(char *text, guint columns)
{
    guint width = 0;

    for (char *at = text; *at != '\0'; at = g_utf8_next_char(at)) {
        width += width_of(g_utf8_get_char(at));
        if (width > columns) {
            *at = '\0';
            return;
        }
    }
}

void
kh_output_set_text(JsonObject *object, const char *key, char *text)
{
    json_object_set_string_member(object, key, text);
    g_free(text);
}

void
kh_output_json(JsonNode *node)
{
    g_autofree char *text = kh_output_json_text(node, isatty(STDOUT_FILENO));

    puts(text);
    fflush(stdout);
    json_node_unref(node);
}

void
kh_output_json_object(JsonObject *object)
{
    kh_output_json(node_of_object(object));
}

void
kh_output_json_array(JsonArray *array)
{
    JsonNode *node = json_node_new(JSON_NODE_ARRAY);

    json_node_take_array(node, array);
    kh_output_json(node);
}

void
kh_output_table(GPtrArray *rows)
{
    char **heading = rows->pdata[0];
    guint n = g_strv_length(heading);
    g_autofree glong *widths = g_new0(glong, n);

    for (guint i = 0; i < rows->len; i++)
        for (guint j = 0; j < n; j++)
            widths[j] = MAX(widths[j], g_utf8_strlen(((char **)rows->pdata[i])[j], -1));
    for (guint i = 0; i < rows->len; i++) {
        char **row = rows->pdata[i];

        for (guint j = 0; j + 1 < n; j++)
            printf("%s%*s  ", row[j], (int)(widths[j] - g_utf8_strlen(row[j], -1)), "");
        printf("%s\n", row[n - 1]);
    }
    fflush(stdout);
}

static char *
time_text(guint64 usec)
{
    g_autoptr(GDateTime) utc = NULL;
    g_autoptr(GDateTime) local = NULL;

    if (usec == 0)
        return g_strdup("never");
    utc = g_date_time_new_from_unix_local((gint64)(usec / G_USEC_PER_SEC));
    return utc == NULL ? g_strdup("?") : g_date_time_format(utc, "%F %T %Z");
}

/* Words and labels in one line; "-" for none. */
static char *
list_text(GVariant *list)
{
    g_autoptr(GString) line = g_string_new(NULL);
    GVariantIter iter;
    GVariant *item;

    g_variant_iter_init(&iter, list);
    while ((item = g_variant_iter_next_value(&iter)) != NULL) {
        g_autoptr(GVariant) one = item;
        const char *key, *value;

        if (g_variant_is_of_type(one, G_VARIANT_TYPE_STRING)) {
            g_string_append_printf(line, " %s", g_variant_get_string(one, NULL));
        } else {
            g_variant_get(one, "{&s&s}", &key, &value);
            g_string_append_printf(line, " %s=%s", key, value);
        }
    }
    return line->len == 0 ? g_strdup("-") : kh_text_sanitize(line->str + 1, TEXT_MAX);
}

/* Keys by the words that "set" takes. */
static char *
pending_text(GVariant *keys)
{
    g_autoptr(GString) line = g_string_new(NULL);
    g_autofree const char **names = g_variant_get_strv(keys, NULL);

    for (guint i = 0; names[i] != NULL; i++) {
        g_autofree char *words = kh_words_of(names[i]);

        g_string_append_printf(line, "%s%s", i > 0 ? " " : "", words);
    }
    return line->len == 0 ? g_strdup("-") : kh_text_sanitize(line->str, TEXT_MAX);
}

/* With its unit; NULL where it has none. */
static char *
number_text(const char *property, guint64 number)
{
    if (g_str_equal(property, "BootTimeUSec") || g_str_has_suffix(property, "TimeoutUSec"))
        return g_strdup_printf("%.2f s", (double)number / G_USEC_PER_SEC);
    if (g_str_has_suffix(property, "USec"))
        return time_text(number);
    if (g_str_equal(property, "BlockTime"))
        return g_strdup_printf("%" G_GUINT64_FORMAT " ms", number);
    if (g_str_has_suffix(property, "Bytes") || g_str_has_suffix(property, "-bytes"))
        return kh_size_format(number);
    return g_str_has_prefix(property, "Guest")
               ? g_strdup_printf("0x%" G_GINT64_MODIFIER "x", number)
               : NULL;
}

char *
kh_output_value(const char *property, GVariant *value)
{
    const char *none = kh_words_for_nothing(property, value);
    g_autofree char *printed = NULL;
    char *text = NULL;

    if (none != NULL)
        return g_strdup(none);
    if (g_variant_is_of_type(value, G_VARIANT_TYPE_STRING) ||
        g_variant_is_of_type(value, G_VARIANT_TYPE_OBJECT_PATH))
        return kh_text_sanitize(g_variant_get_string(value, NULL), TEXT_MAX);
    if (g_variant_is_of_type(value, G_VARIANT_TYPE_BOOLEAN))
        return g_strdup(g_variant_get_boolean(value) ? "yes" : "no");
    if (g_variant_is_of_type(value, G_VARIANT_TYPE_UINT64))
        text = number_text(property, g_variant_get_uint64(value));
    if (text != NULL)
        return text;
    if (g_variant_is_of_type(value, G_VARIANT_TYPE_UINT32) &&
        g_str_equal(property, "CpuQuotaPercent"))
        return g_strdup_printf("%u %% of one processor", g_variant_get_uint32(value));
    if (g_variant_is_of_type(value, G_VARIANT_TYPE("(ss)"))) {
        const char *message;

        g_variant_get_child(value, 1, "&s", &message);
        return kh_text_sanitize(message, TEXT_MAX);
    }
    if (g_variant_is_of_type(value, G_VARIANT_TYPE_STRING_ARRAY))
        return g_str_equal(property, "PendingChanges") ? pending_text(value) : list_text(value);
    if (g_variant_is_of_type(value, G_VARIANT_TYPE("a{ss}")))
        return list_text(value);
    if (g_variant_is_of_type(value, G_VARIANT_TYPE_BYTESTRING))
        return hex_of(value);
    printed = g_variant_print(value, FALSE);
    return kh_text_sanitize(printed, TEXT_MAX);
}

static void
print_components(GVariant *components)
{
    GVariantIter iter;
    const char *part, *path, *sha256;

    g_variant_iter_init(&iter, components);
    while (g_variant_iter_next(&iter, "(&s&s&s)", &part, &path, &sha256)) {
        g_autofree char *shown = kh_text_sanitize(path, TEXT_MAX);
        g_autofree char *digits = kh_text_sanitize(sha256, TEXT_MAX);

        printf("%-*s %s sha256:%s\n", KEY_WIDTH, "boot component", shown, digits);
    }
}

void
kh_output_fields(GVariant *properties)
{
    GVariantIter iter;
    const char *name;
    GVariant *item;
    gboolean enforced;

    g_variant_iter_init(&iter, properties);
    while (g_variant_iter_next(&iter, "{&sv}", &name, &item)) {
        g_autoptr(GVariant) value = item;
        g_autofree char *whole = kh_words_of(name);
        g_autofree char *key = kh_text_sanitize(whole, TEXT_MAX);
        g_autofree char *text = NULL;

        if (g_variant_is_of_type(value, G_VARIANT_TYPE("a(sss)"))) {
            print_components(value);
            continue;
        }
        if (g_str_equal(name, "Description") && kh_words_for_nothing(name, value) != NULL)
            continue;
        text = kh_output_value(name, value);
        printf("%-*s %s\n", KEY_WIDTH, key, text[0] == '\0' ? "-" : text);
    }
    if (g_variant_lookup(properties, "LimitsEnforced", "b", &enforced) && !enforced)
        puts("limits are not enforced");
    fflush(stdout);
}

void
kh_output_shown(gboolean json, GVariant *properties)
{
    if (json)
        kh_output_json(kh_output_properties(properties));
    else
        kh_output_fields(properties);
}
