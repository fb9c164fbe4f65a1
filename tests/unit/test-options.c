/* SPDX-License-Identifier: MIT */
/* Options of a command line, whatever the locale: dbus-interfaces/options.c. */
#include "options.h"

#include <string.h>

#include "error.h"

typedef struct {
    char *text, *path;
    char **texts;
    gboolean flag;
    char **left;
} Parsed;

static void
parsed_clear(Parsed *self)
{
    g_free(self->text);
    g_free(self->path);
    g_strfreev(self->texts);
    g_strfreev(self->left);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Parsed, parsed_clear)

static gboolean
parse(Parsed *parsed, const char *const *words, GError **error)
{
    const GOptionEntry entries[] = {
        {"text", 't', 0, G_OPTION_ARG_STRING, &parsed->text, "A text", "TEXT"},
        {"path", 0, 0, G_OPTION_ARG_FILENAME, &parsed->path, "A path", "FILE"},
        {"label", 0, 0, G_OPTION_ARG_STRING_ARRAY, &parsed->texts, "Texts", "TEXT"},
        {"flag", 0, 0, G_OPTION_ARG_NONE, &parsed->flag, "A flag", NULL},
        {"hidden", 0, G_OPTION_FLAG_HIDDEN, G_OPTION_ARG_NONE, &parsed->flag, NULL, NULL},
        {NULL, 0, 0, G_OPTION_ARG_NONE, NULL, NULL, NULL},
    };
    g_autoptr(GOptionContext) context = g_option_context_new(NULL);

    g_strfreev(parsed->left);
    parsed->left = g_strdupv((char **)words);
    return kh_options_parse(context, entries, "it --help", &parsed->left, error);
}

/* The C locale, which this program has, knows none of these letters. */
static void
good(void)
{
    const char *const words[] = {"it",       "--text=\u00fc", "--path", "\xff/\xfc", "--label",
                                 "\u00fc=1", "--label=b",     "left",   "\xff",      NULL};
    g_auto(Parsed) parsed = {NULL};
    g_autoptr(GError) error = NULL;

    g_assert_true(parse(&parsed, words, &error));
    g_assert_no_error(error);
    g_assert_cmpstr(parsed.text, ==, "\u00fc");
    g_assert_cmpstr(parsed.path, ==, "\xff/\xfc");
    g_assert_cmpstr(parsed.texts[0], ==, "\u00fc=1");
    g_assert_cmpstr(parsed.texts[1], ==, "b");
    g_assert_cmpuint(g_strv_length(parsed.left), ==, 3);
    g_assert_cmpstr(parsed.left[2], ==, "\xff");
}

/* What looks like a flag with a value, but is none of ours or a value itself. */
static void
no_flags(void)
{
    const char *const words[] = {"it", "--label", "--flag=no", "--flag", "--", "--flag=no", NULL};
    g_auto(Parsed) parsed = {NULL};
    g_autoptr(GError) error = NULL;

    g_assert_true(parse(&parsed, words, &error));
    g_assert_no_error(error);
    g_assert_true(parsed.flag);
    g_assert_cmpstr(parsed.texts[0], ==, "--flag=no");
}

static void
refused(void)
{
    static const struct {
        const char *words[4];
        const char *says;
    } cases[] = {
        {{"it", "--text", "\xfc", NULL}, "--text is"},
        {{"it", "-t", "\xfc", NULL}, "--text is"},
        {{"it", "--label=ok", "--label=\xfc", NULL}, "--label is"},
        {{"it", "--text", NULL}, "Missing argument for --text; see it --help"},
        {{"it", "--txet=x", NULL}, "Unknown option --txet=x; did you mean --text?"},
        {{"it", "--flga", NULL}, "did you mean --flag?"},
        {{"it", "--label", "--flga", "--labe"}, "did you mean --label?"},
        {{"it", "--hiden", NULL}, "Unknown option --hiden; see it --help"},
        {{"it", "--flag", "--\xff", NULL}, "see it --help"},
        {{"it", "--flag=no", NULL}, "--flag takes no value"},
        {{"it", "--hidden=", NULL}, "--hidden takes no value"},
        {{"it", "-x", NULL}, "Unknown option -x; see it --help"},
        {{"it", "--x", "--", "--txet"}, "Unknown option --x; see it --help"},
        {{"it", "-x", "--", "--txet"}, "Unknown option -x; see it --help"},
    };

    for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
        const char *words[5] = {cases[i].words[0], cases[i].words[1], cases[i].words[2],
                                cases[i].words[2] == NULL ? NULL : cases[i].words[3], NULL};
        g_auto(Parsed) parsed = {NULL};
        g_autoptr(GError) error = NULL;

        g_assert_false(parse(&parsed, words, &error));
        g_assert_error(error, KH_ERROR, KH_ERROR_INVALID_ARGUMENT);
        if (strstr(error->message, cases[i].says) == NULL)
            g_error("\"%s\" does not say \"%s\"", error->message, cases[i].says);
        g_assert_true(g_utf8_validate(error->message, -1, NULL));
    }
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/options/good", good);
    g_test_add_func("/options/no-flags", no_flags);
    g_test_add_func("/options/refused", refused);
    return g_test_run();
}
