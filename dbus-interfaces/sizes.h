/* SPDX-License-Identifier: MIT */
/*
 * Sizes as people write them: "4G" = "4GiB" = 2^32, "512M", "4GB" = 4*10^9, "1.5G",
 * a bare number is bytes. Used by the service's settings and by the CLI.
 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/*
 * Reads @text into @bytes. Refuses with KH_ERROR_INVALID_ARGUMENT what is empty,
 * negative, zero, no number, of an unknown unit, with an exponent, or beyond 2^63.
 * A fraction of a byte is cut off.
 */
gboolean kh_size_parse(const char *text, guint64 *bytes, GError **error);

/* @bytes for people, in binary units: "4 GiB", "1.5 GiB", "512 MiB". Transfer full. */
char *kh_size_format(guint64 bytes);

/*
 * The size that was meant by a @number without a unit: with the smallest one that makes it
 * @min to @max, "4G". NULL when there is none. Transfer full.
 */
char *kh_size_guess(guint64 number, guint64 min, guint64 max);

/*
 * Reads an unsigned decimal number between @min and @max. @what names it in the
 * KH_ERROR_INVALID_ARGUMENT.
 */
gboolean kh_number_parse(const char *text, const char *what, guint64 min, guint64 max,
                         guint64 *number, GError **error);

G_END_DECLS
