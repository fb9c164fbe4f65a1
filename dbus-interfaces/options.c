/* SPDX-License-Identifier: MIT */
/* GOption with texts that are UTF-8; see options.h. */
#include "options.h"

#include <string.h>

#include "error.h"
#include "names.h"

#define SHOWN_MAX 80
#define ENTRIES_MAX 128

/* As GOption is to read them: texts as the bytes that they are. */
static void
add_raw_entries(GOptionContext *context, const GOptionEntry *entries)
{
    for (; entries->long_name != NULL; entries++) {
        GOptionEntry raw[] = {*entries, {.long_name = NULL}};

        if (entries->arg == G_OPTION_ARG_STRING)
            raw[0].arg = G_OPTION_ARG_FILENAME;
        else if (entries->arg == G_OPTION_ARG_STRING_ARRAY)
            raw[0].arg = G_OPTION_ARG_FILENAME_ARRAY;
        g_option_context_add_main_entries(context, raw, NULL);
    }
}

static gboolean
check_text(const char *option, const char *text, GError **error)
{
    g_autofree char *shown = NULL;

    if (text == NULL || g_utf8_validate(text, -1, NULL))
        return TRUE;
    shown = kh_text_sanitize(text, SHOWN_MAX);
    return kh_error_set(error, KH_ERROR_INVALID_ARGUMENT,
                        "--%s is \"%s\", which is not UTF-8; texts are UTF-8 in every locale",
                        option, shown);
}

static gboolean
check_texts(const GOptionEntry *entry, GError **error)
{
    if (entry->arg == G_OPTION_ARG_STRING)
        return check_text(entry->long_name, *(char **)entry->arg_data, error);
    if (entry->arg != G_OPTION_ARG_STRING_ARRAY)
        return TRUE;
    for (char **text = *(char ***)entry->arg_data; text != NULL && *text != NULL; text++)
        if (!check_text(entry->long_name, *text, error))
            return FALSE;
    return TRUE;
}

/* The entry that the long option @word, without its dashes, is one of; NULL: unknown. */
static const GOptionEntry *
find_entry(const GOptionEntry *entries, const char *word)
{
    gsize length = strcspn(word, "=");

    for (; entries->long_name != NULL; entries++)
        if (strlen(entries->long_name) == length && strncmp(entries->long_name, word, length) == 0)
            return entries;
    return NULL;
}

/*
 * The next long option of @args, without its dashes, and its *entry (NULL: unknown); *at goes
 * behind it and its value. NULL: there are no more.
 */
static const char *
next_option(const GOptionEntry *entries, char **args, guint *at, const GOptionEntry **entry)
{
    while (args[*at] != NULL && !g_str_equal(args[*at], "--")) {
        const char *word = args[(*at)++];

        if (!g_str_has_prefix(word, "--"))
            continue;
        *entry = find_entry(entries, word + 2);
        /* Its value may look like an option. */
        if (*entry != NULL && (*entry)->arg != G_OPTION_ARG_NONE && strchr(word, '=') == NULL &&
            args[*at] != NULL)
            (*at)++;
        return word + 2;
    }
    return NULL;
}

/* The first long option of @args that is unknown, without its dashes; NULL: none is. */
static const char *
find_unknown(const GOptionEntry *entries, char **args)
{
    const GOptionEntry *entry;
    const char *word;
    guint at = 0;

    while ((word = next_option(entries, args, &at, &entry)) != NULL)
        if (entry == NULL)
            return word;
    return NULL;
}

/* GOption takes any value of a flag for yes, "--force=no" as well. */
static gboolean
check_flags(const GOptionEntry *entries, char **args, GError **error)
{
    const GOptionEntry *entry;
    const char *word;
    guint at = 0;

    while ((word = next_option(entries, args, &at, &entry)) != NULL) {
        if (entry == NULL || entry->arg != G_OPTION_ARG_NONE || strchr(word, '=') == NULL)
            continue;
        return kh_error_set(error, KH_ERROR_INVALID_ARGUMENT,
                            "--%s takes no value; give it alone, or leave it out",
                            entry->long_name);
    }
    return TRUE;
}

/* NULL: no option is near enough. Of @entries. */
static const char *
nearest_option(const GOptionEntry *entries, char **args)
{
    const char *known[ENTRIES_MAX + 1] = {NULL};
    const char *word = find_unknown(entries, args);
    g_autofree char *name = NULL;
    guint n = 0;

    if (word == NULL)
        return NULL;
    for (; n < ENTRIES_MAX && entries->long_name != NULL; entries++)
        if ((entries->flags & G_OPTION_FLAG_HIDDEN) == 0)
            known[n++] = entries->long_name;
    name = g_strndup(word, strcspn(word, "="));
    return kh_nearest_word(name, known);
}

static void
refuse(const GOptionEntry *entries, const char *help, char **args, const GError *failure,
       GError **error)
{
    g_autofree char *shown = kh_text_sanitize(failure->message, SHOWN_MAX * 4);
    const char *nearest = NULL;

    if (g_error_matches(failure, G_OPTION_ERROR, G_OPTION_ERROR_UNKNOWN_OPTION))
        nearest = nearest_option(entries, args);
    if (nearest != NULL)
        g_set_error(error, KH_ERROR, KH_ERROR_INVALID_ARGUMENT, "%s; did you mean --%s?", shown,
                    nearest);
    else
        g_set_error(error, KH_ERROR, KH_ERROR_INVALID_ARGUMENT, "%s; see %s", shown, help);
}

gboolean
kh_options_parse(GOptionContext *context, const GOptionEntry *entries, const char *help,
                 char ***args, GError **error)
{
    g_auto(GStrv) before = g_strdupv(*args);
    g_autoptr(GError) failure = NULL;

    if (!check_flags(entries, before, error))
        return FALSE;
    add_raw_entries(context, entries);
    if (!g_option_context_parse_strv(context, args, &failure)) {
        refuse(entries, help, before, failure, error);
        return FALSE;
    }
    for (; entries->long_name != NULL; entries++)
        if (!check_texts(entries, error))
            return FALSE;
    return TRUE;
}
