/* SPDX-License-Identifier: MIT */
/* From text to values of the bus; see values.h. */
#include "values.h"

#include <errno.h>
#include <gio/gio.h>
#include <stdio.h>
#include <string.h>

#include "error.h"
#include "names.h"
#include "sizes.h"

#define TIME_TEXT_MAX 256
#define ARGS_FILE_MAX (64 * 4096 + 64)
/* What some editors put before UTF-8: no part of the first argument. */
#define BYTE_ORDER_MARK "\xef\xbb\xbf"

static GVariant *
number_value(const KhConfigKey *key, guint64 number)
{
    switch (key->type[0]) {
    case 'q':
        return g_variant_new_uint16((guint16)number);
    case 'u':
        return g_variant_new_uint32((guint32)number);
    default:
        return g_variant_new_uint64(number);
    }
}

GVariant *
kh_value_parse(const KhConfigKey *key, const char *what, const char *text, GError **error)
{
    guint64 number = 0;

    if (key->form == KH_CONFIG_TEXT) {
        if (g_utf8_validate(text, -1, NULL))
            return g_variant_ref_sink(g_variant_new_string(text));
        g_set_error(error, KH_ERROR, KH_ERROR_INVALID_ARGUMENT, "%s is not UTF-8", what);
        return NULL;
    }
    if (key->form == KH_CONFIG_SIZE && !kh_size_parse(text, &number, error)) {
        g_prefix_error(error, "%s: ", what);
        return NULL;
    }
    if (key->form == KH_CONFIG_NUMBER &&
        !kh_number_parse(text, what, key->min, key->max, &number, error))
        return NULL;
    return g_variant_ref_sink(number_value(key, number));
}

GVariant *
kh_value_parse_change(const KhConfigKey *key, const char *text, GError **error)
{
    if (key->form == KH_CONFIG_FLAG) {
        if (g_str_equal(text, "true") || g_str_equal(text, "false"))
            return g_variant_ref_sink(g_variant_new_boolean(text[0] == 't'));
        g_set_error(error, KH_ERROR, KH_ERROR_INVALID_ARGUMENT, "%s must be true or false",
                    key->option);
        return NULL;
    }
    if (key->form == KH_CONFIG_NUMBER && g_str_equal(text, "0") && g_str_equal(key->fallback, "0"))
        return g_variant_ref_sink(number_value(key, 0));
    return kh_value_parse(key, key->option, text, error);
}

/* Bounded: the file may be a device. */
static char *
read_args_file(const char *path, GError **error)
{
    g_autofree char *text = g_malloc0(ARGS_FILE_MAX + 2);
    FILE *file = g_str_equal(path, "-") ? stdin : fopen(path, "re");
    gsize n = file == NULL ? 0 : fread(text, 1, ARGS_FILE_MAX + 1, file);
    gboolean failed = file == NULL || ferror(file);
    int saved = errno;

    if (file != NULL && file != stdin)
        fclose(file);
    if (failed) {
        g_set_error(error, KH_ERROR, KH_ERROR_INVALID_ARGUMENT,
                    "The arguments file %s cannot be read: %s", path, g_strerror(saved));
        return NULL;
    }
    if (n > ARGS_FILE_MAX || !g_utf8_validate(text, (gssize)n, NULL)) {
        g_set_error(error, KH_ERROR, KH_ERROR_INVALID_ARGUMENT, "The arguments file %s %s", path,
                    n > ARGS_FILE_MAX ? "is longer than 64 lines of 4096 bytes, as many as Katana "
                                        "can be given"
                                      : "is not UTF-8 text; save it as UTF-8");
        return NULL;
    }
    return g_steal_pointer(&text);
}

static gboolean
add_lines(GStrvBuilder *args, const char *file, GError **error)
{
    g_autofree char *text = read_args_file(file, error);
    gboolean marked = text != NULL && g_str_has_prefix(text, BYTE_ORDER_MARK);
    const char *begin = marked ? text + strlen(BYTE_ORDER_MARK) : text;
    g_auto(GStrv) lines = begin == NULL ? NULL : g_strsplit(begin, "\n", -1);

    for (guint i = 0; lines != NULL && lines[i] != NULL; i++)
        if (g_strstrip(lines[i])[0] != '\0')
            g_strv_builder_add(args, lines[i]);
    return lines != NULL;
}

GVariant *
kh_value_katana_args(const char *file, char **rest, GError **error)
{
    g_autoptr(GStrvBuilder) args = g_strv_builder_new();
    g_auto(GStrv) all = NULL;

    if (file != NULL && !add_lines(args, file, error))
        return NULL;
    if (rest != NULL)
        g_strv_builder_addv(args, (const char **)rest);
    all = g_strv_builder_end(args);
    for (guint i = 0; all[i] != NULL; i++)
        if (!g_utf8_validate(all[i], -1, NULL)) {
            g_set_error(error, KH_ERROR, KH_ERROR_INVALID_ARGUMENT,
                        "Katana argument %u is not UTF-8", i + 1);
            return NULL;
        }
    return g_variant_ref_sink(g_variant_new_strv((const char *const *)all, -1));
}

void
kh_value_name_option(const char *dashes, GError **error)
{
    g_autofree char *word = NULL;
    const KhConfigKey *key;

    if (error == NULL || *error == NULL)
        return;
    g_dbus_error_strip_remote_error(*error);
    word = g_strndup((*error)->message, strcspn((*error)->message, " "));
    key = kh_config_key_find(word);
    if (key != NULL && key->option != NULL && !g_str_equal(key->option, word))
        g_prefix_error(error, "%s%s: ", dashes, key->option);
}

gboolean
kh_time_parse(const char *text, gint64 *seconds, GError **error)
{
    g_autoptr(GTimeZone) utc = g_time_zone_new_utc();
    g_autoptr(GDateTime) time = NULL;
    g_autofree char *whole = NULL;
    g_autofree char *shown = NULL;

    if (text == NULL) {
        *seconds = g_get_real_time() / G_USEC_PER_SEC;
        return TRUE;
    }
    whole = g_strconcat(text, strchr(text, 'T') == NULL ? "T00:00:00" : "", NULL);
    time = g_date_time_new_from_iso8601(whole, utc);
    if (time != NULL) {
        *seconds = g_date_time_to_unix(time);
        return TRUE;
    }
    shown = kh_text_sanitize(text, TIME_TEXT_MAX);
    return kh_error_set(
        error, KH_ERROR_INVALID_ARGUMENT,
        "--at is \"%s\"; it must be a day or a time, 2025-06-01 or 2025-06-01T12:00:00Z", shown);
}
