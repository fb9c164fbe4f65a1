/* SPDX-License-Identifier: MIT */
/*
 * The little that the store needs around sqlite3: statements with bound values, errors as GError,
 * and transactions. Used in this folder only.
 */
#pragma once

#include <glib.h>
#include <sqlite3.h>

G_BEGIN_DECLS

/* Closes @db and ends its statements. */
void kh_sql_close(sqlite3 *db);

/* Resets @statement, which its connection keeps. */
void kh_sql_release(sqlite3_stmt *statement);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(sqlite3, kh_sql_close)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(sqlite3_stmt, kh_sql_release)

/*
 * With SQLite's own text, and the system's: KH_ERROR_RESOURCE_UNAVAILABLE for a full disk, BUSY
 * where another program holds the database locked; for one that is damaged, or whose disk is,
 * FAILED, with the file's name and the way out; else FAILED.
 */
void kh_sql_set_error(sqlite3 *db, const char *doing, GError **error);

/* That of a damaged one at @path, of which @found is what was found. */
void kh_sql_set_damaged(const char *path, const char *found, GError **error);

/*
 * Opens the database at @path with SQLite's @flags; follows no link. References hold in it, and
 * what its schema calls is not trusted: as in every connection of this program. Transfer full.
 */
sqlite3 *kh_sql_open(const char *path, int flags, GError **error);

/*
 * Opens the database at @path, on a file system that is read-only, with what its log holds, if
 * it has one. Nobody may write to it meanwhile, as it is not locked. Transfer full.
 */
sqlite3 *kh_sql_open_read_only(const char *path, GError **error);

/* What is in @db, in memory. Transfer full. */
sqlite3 *kh_sql_copy_to_memory(sqlite3 *db, GError **error);

/*
 * @sql, which @db prepares once and keeps, with the values that follow bound, one per letter of
 * @types: 's' a string (const char *, NULL allowed), 'i' a gint64. To be given back with
 * kh_sql_release(), and not asked for a second time before it was stepped.
 */
sqlite3_stmt *kh_sql_prepare(sqlite3 *db, GError **error, const char *sql, const char *types, ...);

/* Steps to the next row: FALSE at the end (no @error) or on failure (@error set). */
gboolean kh_sql_next(sqlite3 *db, sqlite3_stmt *statement, GError **error);

/* Steps a @statement that gives no rows to its end. */
gboolean kh_sql_finish(sqlite3 *db, sqlite3_stmt *statement, GError **error);

/* Runs one statement with values that gives no rows. */
gboolean kh_sql_run(sqlite3 *db, GError **error, const char *sql, const char *types, ...);

/* The number that is all of the answer; 0 where the database does not answer. */
gint64 kh_sql_count(sqlite3 *db, const char *sql, const char *types, ...);

/*
 * The text of a @column; "" for NULL. Of a damaged file it can be any bytes; the bus takes UTF-8
 * only. Transfer full.
 */
char *kh_sql_text(sqlite3_stmt *row, int column);

/* Runs all of @script; on a failure what it has begun is taken back. */
gboolean kh_sql_run_script(sqlite3 *db, const char *script, GError **error);

/* The first column of the first row as a number; FALSE and @error when there is none. */
gboolean kh_sql_number(sqlite3 *db, const char *sql, gint64 *number, GError **error);

G_END_DECLS
