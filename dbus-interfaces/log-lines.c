/* SPDX-License-Identifier: MIT */
/* Lines of a log; see log-lines.h. */
#include "log-lines.h"

#include "error.h"
#include "names.h"

/* Of a line, in bytes. */
#define LINE_MAX_BYTES 240

gboolean
kh_log_lines_explain(const GError *error)
{
    return g_error_matches(error, KH_ERROR, KH_ERROR_TIMED_OUT) ||
           g_error_matches(error, KH_ERROR, KH_ERROR_GUEST_FAILED) ||
           g_error_matches(error, KH_ERROR, KH_ERROR_LAUNCH_FAILED);
}

void
kh_log_lines_add(GError *error, char *text, gsize length)
{
    g_autoptr(GString) message = g_string_new(error->message);
    g_auto(GStrv) lines = NULL;

    for (gsize i = 0; i < length; i++)
        if (text[i] == '\0')
            text[i] = ' ';
    if (length == 0)
        return;
    lines = g_strsplit(g_strchomp(text), "\n", KH_LOG_LINES);
    g_string_append(message, "; its log ends:");
    for (guint i = 0; lines[i] != NULL; i++) {
        g_autofree char *line = kh_text_sanitize(g_strchomp(lines[i]), LINE_MAX_BYTES);

        g_string_append_printf(message, "\n  %s", line);
    }
    g_free(error->message);
    error->message = g_string_free(g_steal_pointer(&message), FALSE);
}
