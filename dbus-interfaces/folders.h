/* SPDX-License-Identifier: MIT */
/*
 * A user's folders by the variables of the XDG Base Directory Specification, which wants
 * relative ones ignored: GLib takes them, and what they name would depend on where a program
 * was started. Used for settings and state of the service, and for the cache of the CLI.
 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

typedef enum {
    KH_FOLDER_CONFIG,
    KH_FOLDER_DATA,
    KH_FOLDER_CACHE,
} KhFolder;

/* An absolute path as long as HOME or the user's home folder is one; transfer full. */
char *kh_folder_path(KhFolder folder);

/* XDG_RUNTIME_DIR; NULL where it is not set, or relative: it has no default. Not owned. */
const char *kh_folder_runtime(void);

G_END_DECLS
