/* SPDX-License-Identifier: MIT */
/*
 * Files that somebody else has made: opened, measured against a limit, then read or hashed.
 * Used for firmware, kernel and initrd. Blocks: the service calls it in a thread.
 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

#define KH_SHA256_SIZE 32

typedef struct {
    char *path;
    guint64 size;
    guint8 sha256[KH_SHA256_SIZE];
} KhFileHash;

void kh_file_hash_clear(KhFileHash *self);

/*
 * The content of the regular file @path; @what ("firmware") names it in errors. /dev/null
 * counts as an empty file. One of more than @max bytes is refused by its size, unread.
 * KH_ERROR_NOT_FOUND, KH_ERROR_NOT_SUPPORTED, KH_ERROR_FAILED.
 */
GBytes *kh_input_file_read(const char *path, const char *what, guint64 max, GError **error);

/* The same where @path itself must be no link. */
GBytes *kh_input_file_read_own(const char *path, const char *what, guint64 max, GError **error);

/* The same, but its SHA-256, in one pass with bounded memory. */
gboolean kh_input_file_hash(const char *path, const char *what, guint64 max, KhFileHash *hash,
                            GError **error);

/* The SHA-256 of @n bytes. */
gboolean kh_sha256(const void *bytes, gsize n, guint8 digest[KH_SHA256_SIZE], GError **error);

G_END_DECLS
