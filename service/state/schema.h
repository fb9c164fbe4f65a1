/* SPDX-License-Identifier: MIT */
/*
 * The schema of the state database, by its versions, and what each connection is set to before
 * anything is read or written. Called by the store.
 */
#pragma once

#include <glib.h>
#include <sqlite3.h>

G_BEGIN_DECLS

/* The newest version, which this program writes. */
guint kh_schema_version(void);

/*
 * Brings the writable @db, the file @path, to that version, after "@path.before-N" was kept, and
 * has it keep a log, whose index is there after it.
 */
gboolean kh_schema_set_up(sqlite3 *db, const char *path, GError **error);

/*
 * Brings @db from its user_version to the number of @steps (SQL scripts, NULL-ended),
 * each in a transaction of its own. Of a database that has a version already, a copy is
 * written to @copy_path first (replacing an older copy). KH_ERROR_FAILED for a version that
 * is not among @steps.
 */
gboolean kh_schema_migrate(sqlite3 *db, const char *const *steps, const char *copy_path,
                           GError **error);

/* KH_ERROR_FAILED unless the @db that was read from @path, read-only, has that version. */
gboolean kh_schema_check(sqlite3 *db, const char *path, GError **error);

G_END_DECLS
