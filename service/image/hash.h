/* SPDX-License-Identifier: MIT */
/* SHA-256 by libcrypto, of files and of text. Used by the image store, in its threads. */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* Hashes @fd from its start to its end; adds up @size. Hex digits, transfer full. */
char *kh_hash_fd(int fd, guint64 *size, GError **error);

/* Of a string; hex digits, transfer full. */
char *kh_hash_text(const char *text);

G_END_DECLS
