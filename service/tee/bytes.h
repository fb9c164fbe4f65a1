/* SPDX-License-Identifier: MIT */
/*
 * Hex digits, little-endian numbers and bounded files, for report, policy and certificates.
 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* Lower-case hex digits of @data; transfer full. */
char *kh_bytes_to_hex(const guint8 *data, gsize length);

/*
 * Reads exactly @length bytes of hex digits, of either case, with or without "0x". @what names
 * them in the KH_ERROR_INVALID_ARGUMENT.
 */
gboolean kh_bytes_from_hex(const char *text, const char *what, guint8 *data, gsize length,
                           GError **error);

gboolean kh_bytes_are_zero(const guint8 *data, gsize length);

guint16 kh_bytes_read16(const guint8 *data);
guint32 kh_bytes_read32(const guint8 *data);
guint64 kh_bytes_read64(const guint8 *data);

/* Reads to the end, or @room bytes, over interruptions. How many; -1 and errno. */
gssize kh_bytes_read_fd(int fd, guint8 *data, gsize room);

/*
 * At most @max bytes of the file @path; a longer one is cut at @max + 1 bytes, which tells the
 * caller that it is longer. A pipe is read too, unless @regular. KH_ERROR_NOT_FOUND,
 * KH_ERROR_FAILED. Transfer full.
 */
GBytes *kh_bytes_read_file(const char *path, gsize max, gboolean regular, GError **error);

G_END_DECLS
