/* SPDX-License-Identifier: MIT */
/* The rule for names, the names of states, object paths. See names.h. */
#include "names.h"

#include "error.h"

static const char *const state_names[KH_N_STATES] = {
    [KH_STATE_CREATED] = "created",   [KH_STATE_STARTING] = "starting",
    [KH_STATE_RUNNING] = "running",   [KH_STATE_PAUSED] = "paused",
    [KH_STATE_STOPPING] = "stopping", [KH_STATE_STOPPED] = "stopped",
    [KH_STATE_FAILED] = "failed",     [KH_STATE_DELETING] = "deleting",
};

const char *
kh_state_name(KhState state)
{
    g_return_val_if_fail((unsigned)state < KH_N_STATES, "failed");
    return state_names[state];
}

gboolean
kh_state_from_name(const char *name, KhState *state)
{
    for (unsigned i = 0; i < KH_N_STATES; i++) {
        if (g_str_equal(name, state_names[i])) {
            *state = (KhState)i;
            return TRUE;
        }
    }
    return FALSE;
}

static gboolean
is_name_edge(char c)
{
    return g_ascii_islower(c) || g_ascii_isdigit(c);
}

static gboolean
name_is_good(const char *name)
{
    gsize length = strlen(name);

    if (length == 0 || length > KH_NAME_MAX)
        return FALSE;
    if (!is_name_edge(name[0]) || !is_name_edge(name[length - 1]) || strstr(name, ".."))
        return FALSE;
    return strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789._-") == length;
}

gboolean
kh_name_check(const char *name, GError **error)
{
    g_autofree char *shown = NULL;

    if (name_is_good(name))
        return TRUE;
    shown = kh_text_sanitize(name, 80);
    return kh_error_set(
        error, KH_ERROR_INVALID_ARGUMENT,
        "\"%s\" is not an instance name: use 1 to %d of a-z, 0-9, '.', '_' and '-', "
        "beginning and ending with a letter or digit, without two dots in a row",
        shown, KH_NAME_MAX);
}

char *
kh_path_of_instance(const char *id)
{
    g_autofree char *element = g_strdelimit(g_strdup(id), "-", '_');

    return g_strconcat(KH_PATH_INSTANCES "/", element, NULL);
}

char *
kh_path_of_image(const char *id)
{
    if (!id || !*id)
        return g_strdup("/");
    return g_strconcat(KH_PATH_IMAGES "/", id, NULL);
}

char *
kh_path_of_job(guint number)
{
    return g_strdup_printf(KH_PATH_JOBS "/%u", number);
}

/* By Unicode's categories: Cc, Cf (with all that reorders what a terminal shows), Zl, Zp. */
gboolean
kh_text_is_harmful(gunichar c)
{
    switch (g_unichar_type(c)) {
    case G_UNICODE_CONTROL:
        return c != '\t';
    case G_UNICODE_FORMAT:
    case G_UNICODE_LINE_SEPARATOR:
    case G_UNICODE_PARAGRAPH_SEPARATOR:
        return TRUE;
    default:
        return FALSE;
    }
}

char *
kh_text_sanitize(const char *text, gsize max)
{
    g_autofree char *valid = g_utf8_make_valid(text, (gssize)strnlen(text, max));
    GString *out = g_string_new(NULL);

    for (const char *p = valid; *p; p = g_utf8_next_char(p)) {
        gunichar c = g_utf8_get_char(p);

        g_string_append_unichar(out, kh_text_is_harmful(c) ? 0xfffd : c);
    }
    return g_string_free(out, FALSE);
}

/* What a word can be and still be compared: the rows below are of that length. */
#define WORD_MAX 64

guint
kh_word_distance(const char *a, const char *b)
{
    guint rows[3][WORD_MAX + 1];
    guint *before = rows[0], *last = rows[1], *row = rows[2];
    gsize width = strlen(b);

    if (strlen(a) > WORD_MAX || width > WORD_MAX)
        return G_MAXUINT;
    for (guint j = 0; j <= width; j++)
        last[j] = j;
    for (guint i = 1; a[i - 1] != '\0'; i++) {
        guint *freed = before;

        row[0] = i;
        for (guint j = 1; j <= width; j++) {
            row[j] = MIN(last[j - 1] + (a[i - 1] != b[j - 1]), MIN(row[j - 1], last[j]) + 1);
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                row[j] = MIN(row[j], before[j - 2] + 1);
        }
        before = last;
        last = row;
        row = freed;
    }
    return last[width];
}

const char *
kh_nearest_word(const char *word, const char *const *known)
{
    const char *best = NULL;
    gsize best_distance = strlen(word) / 3 + 1;

    for (gsize i = 0; known[i] != NULL; i++) {
        guint distance = kh_word_distance(word, known[i]);

        if (distance < best_distance) {
            best = known[i];
            best_distance = distance;
        }
    }
    return best;
}
