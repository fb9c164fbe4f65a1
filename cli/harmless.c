/* SPDX-License-Identifier: MIT */
/* Text made harmless; see harmless.h. */
#include "harmless.h"

#include <string.h>

#include "names.h"

#define REPLACEMENT 0xfffd

static gunichar
harmless(gunichar c)
{
    if (c == '\n')
        return c;
    if (c == '\r')
        return ' ';
    return kh_text_is_harmful(c) ? REPLACEMENT : c;
}

/* One character of @length bytes, or a byte that is none; how many were used, 0 for too few. */
static gsize
append_next(GString *out, const char *bytes, gsize length)
{
    /* GLib calls a zero byte incomplete. */
    gunichar c = *bytes == '\0' ? 0 : g_utf8_get_char_validated(bytes, (gssize)length);

    if (c == (gunichar)-2)
        return 0;
    g_string_append_unichar(out, c == (gunichar)-1 ? REPLACEMENT : harmless(c));
    return c == (gunichar)-1 ? 1 : (gsize)(g_utf8_next_char(bytes) - bytes);
}

GString *
kh_harmless_text(KhHarmless *state, const char *bytes, gsize length)
{
    g_autoptr(GString) text = g_string_new_len(state->bytes, (gssize)state->length);
    GString *out = g_string_sized_new(length);
    gsize at = 0, used;

    g_string_append_len(text, bytes, (gssize)length);
    while (at < text->len && (used = append_next(out, text->str + at, text->len - at)) > 0)
        at += used;
    state->length = text->len - at;
    if (length == 0 && state->length > 0) {
        g_string_append_unichar(out, REPLACEMENT);
        state->length = 0;
    }
    memcpy(state->bytes, text->str + at, state->length);
    return out;
}
