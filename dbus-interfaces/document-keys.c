/* SPDX-License-Identifier: MIT */
/*
 * document-keys [--check] FILE: writes the list of configuration keys, as the service knows it,
 * into the documentation in an interface's XML, after the line "Configuration keys:" and up to
 * the next empty one; with --check it changes nothing, and ends with 1 where that would change.
 * Run by hand after a change of the list; a test runs it with --check.
 */
#include <gio/gio.h>
#include <string.h>

#include "config-keys.h"

#define HEADING "      Configuration keys:\n"

/* Of an option's help what is true of the key: no example of its spelling, no other option. */
static char *
meaning_of(const KhConfigKey *key)
{
    static const char *const ends[] = {", such as ", "; may be given"};
    g_auto(GStrv) words = NULL;
    g_autofree char *text = g_strdup(key->help);

    for (guint i = 0; i < G_N_ELEMENTS(ends); i++) {
        char *end = strstr(text, ends[i]);

        if (end != NULL)
            *end = '\0';
    }
    words = g_strsplit(text, "--", -1);
    return g_strjoinv("", words);
}

static void
append_bounds(GString *text, const KhConfigKey *key)
{
    if (key->max == 0)
        return;
    g_string_append_printf(text, "; %s%" G_GUINT64_FORMAT " to %" G_GUINT64_FORMAT,
                           key->min > 0 && g_str_equal(key->fallback, "0") ? "0, or " : "",
                           key->min, key->max);
}

static char *
describe_all(void)
{
    GString *text = g_string_new(NULL);

    for (const KhConfigKey *key = kh_config_keys(); key->key != NULL; key++) {
        g_autofree char *meaning = meaning_of(key);

        g_string_append_printf(text, "      \"%s\" (%s): %s", key->key, key->type, meaning);
        append_bounds(text, key);
        if (strstr(meaning, "(default") == NULL)
            g_string_append_printf(text, "; default %s", key->fallback);
        g_string_append_c(text, '\n');
    }
    return g_string_free(text, FALSE);
}

/* @document with the list in its place; NULL where there is no such place. Transfer full. */
static char *
put_in(const char *document)
{
    const char *heading = strstr(document, HEADING);
    const char *begin = heading == NULL ? NULL : heading + strlen(HEADING);
    const char *end = begin == NULL ? NULL : begin[0] == '\n' ? begin : strstr(begin, "\n\n");
    g_autofree char *list = describe_all();
    g_autofree char *before = NULL;

    if (end == NULL)
        return NULL;
    before = g_strndup(document, (gsize)(begin - document));
    return g_strconcat(before, list, end == begin ? end : end + 1, NULL);
}

int
main(int argc, char **argv)
{
    gboolean check = argc == 3 && g_str_equal(argv[1], "--check");
    g_autoptr(GError) error = NULL;
    g_autofree char *document = NULL, *wanted = NULL;

    if (argc != 2 + check) {
        g_printerr("usage: document-keys [--check] FILE\n");
        return 2;
    }
    if (g_file_get_contents(argv[argc - 1], &document, NULL, &error))
        wanted = put_in(document);
    if (wanted == NULL)
        g_printerr("%s: %s\n", argv[argc - 1],
                   error != NULL ? error->message : "no line \"Configuration keys:\"");
    else if (g_str_equal(document, wanted))
        return 0;
    else if (check)
        g_printerr("%s does not have the keys of config-keys.c; run ninja document-keys\n",
                   argv[2]);
    else if (g_file_set_contents(argv[1], wanted, -1, &error))
        return 0;
    else
        g_printerr("%s\n", error->message);
    return 1;
}
