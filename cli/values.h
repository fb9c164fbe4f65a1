/* SPDX-License-Identifier: MIT */
/*
 * Configuration values as they are written on a command line, by the list in
 * dbus-interfaces/config-keys.c. Used by create and set; and times, used by
 * report and attest.
 */
#pragma once

#include "config-keys.h"

G_BEGIN_DECLS

/*
 * The value of @key that @text says; @what names it in errors. Numbers, sizes and texts.
 * KH_ERROR_INVALID_ARGUMENT. Transfer full, not floating.
 */
GVariant *kh_value_parse(const KhConfigKey *key, const char *what, const char *text,
                         GError **error);

/*
 * The same for a change: flags as true or false, and 0 for a number whose default that is.
 */
GVariant *kh_value_parse_change(const KhConfigKey *key, const char *text, GError **error);

/*
 * Katana's arguments: the lines of @file (NULL: none, "-": stdin), then those of @rest.
 * KH_ERROR_INVALID_ARGUMENT. Transfer full, not floating: "as".
 */
GVariant *kh_value_katana_args(const char *file, char **rest, GError **error);

/*
 * Puts what a person has written before the service's sentence in *@error (NULL: nothing) about a
 * key of another name: "--memory: memory-bytes is 4 bytes", with @dashes "--".
 */
void kh_value_name_option(const char *dashes, GError **error);

/*
 * The time that --at says, seconds since 1970; NULL: now. A day begins at midnight, UTC; a time
 * without a zone is UTC's. KH_ERROR_INVALID_ARGUMENT.
 */
gboolean kh_time_parse(const char *text, gint64 *seconds, GError **error);

G_END_DECLS
