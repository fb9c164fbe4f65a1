/* SPDX-License-Identifier: MIT */
/*
 * Options of a command line, for service and CLI alike: what is a path is bytes, what is text
 * is UTF-8 whatever the locale, an error names the option. GOption would read texts by the
 * locale: under LC_ALL=C it refuses them, under an 8-bit one it makes others of them.
 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/*
 * Parses *args (a vector that g_strfreev() frees; what is no option is left in it) by @entries,
 * which are added to @context. Entries of G_OPTION_ARG_STRING and _STRING_ARRAY are texts, of
 * G_OPTION_ARG_FILENAME paths, of G_OPTION_ARG_NONE take no value. KH_ERROR_INVALID_ARGUMENT with
 * the nearest option, or else with @help, which says where they are described: "--help"; then
 * some of what the entries point to may have been set.
 */
gboolean kh_options_parse(GOptionContext *context, const GOptionEntry *entries, const char *help,
                          char ***args, GError **error);

G_END_DECLS
