/* SPDX-License-Identifier: MIT */
/*
 * Whether anything can be written to a folder's file system. Used by the state folder, its
 * database and the database's copies.
 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* Whether it, or the mount by which @folder was opened, is read-only. */
gboolean kh_read_only_folder(int folder);

/* The same of the folder that @path lies in; FALSE where that cannot be opened. */
gboolean kh_read_only_parent(const char *path);

G_END_DECLS
