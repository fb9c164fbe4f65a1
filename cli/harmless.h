/* SPDX-License-Identifier: MIT */
/*
 * Makes text of a guest harmless for a terminal while it comes in pieces, which may end in
 * the middle of a character. Used by the verb logs.
 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* The beginning of a character whose rest is still to come; all zero at the start. */
typedef struct {
    char bytes[4];
    gsize length;
} KhHarmless;

/*
 * The piece @bytes as UTF-8 in which line feeds and tabs are the only control characters: a
 * carriage return is a blank, what is none or would lead a terminal astray is U+FFFD. A
 * @length of 0 is the end of the text. Transfer full.
 */
GString *kh_harmless_text(KhHarmless *state, const char *bytes, gsize length);

G_END_DECLS
