/* SPDX-License-Identifier: MIT */
/*
 * Whether the state database's file is one of this program, by its bytes: SQLite is not let at
 * what it might recover or checkpoint and is not ours. Used by the store before it opens it. And
 * which copy is for its place, for who finds that it is damaged, foreign or lost.
 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

#define KH_COPIES_SUFFIX ".copy"
#define KH_COPIES_OLDER_SUFFIX ".copy.1"

/* PRAGMA application_id: "KHHV". A database without it is not ours. */
#define KH_DATABASE_APPLICATION_ID 0x4b484856

/*
 * Makes an absent file (0600) where that can be; checks one that is there, and the log beside it.
 * KH_ERROR_FAILED for one of another program, or with a schema later than @known: then nothing is
 * altered.
 */
gboolean kh_database_file_check(const char *path, guint known, GError **error);

/*
 * Which copy to put in the place of the database at @path, for people: an order. NULL where there
 * is none. Transfer full.
 */
char *kh_database_file_find_copy(const char *path);

G_END_DECLS
