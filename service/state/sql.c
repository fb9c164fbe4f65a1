/* SPDX-License-Identifier: MIT */
/* Helpers around sqlite3; see sql.h. */
#include "sql.h"

#include <errno.h>
#include <glib/gstdio.h>
#include <string.h>

#include "database-file.h"
#include "error.h"

/* Of a commit that fails SQLite notes nothing but in the file: that of the log, mostly. */
static int
file_error(sqlite3 *db)
{
    sqlite3_file *log = NULL;
    int number = 0;

    sqlite3_file_control(db, "main", SQLITE_FCNTL_JOURNAL_POINTER, &log);
    if (log != NULL && log->pMethods != NULL)
        log->pMethods->xFileControl(log, SQLITE_FCNTL_LAST_ERRNO, &number);
    if (number == 0)
        sqlite3_file_control(db, "main", SQLITE_FCNTL_LAST_ERRNO, &number);
    return number;
}

/* The error of the system behind that of SQLite, where there is one; else 0. */
static int
system_error(sqlite3 *db)
{
    int code = sqlite3_extended_errcode(db);
    gboolean by_system = (code & 0xff) == SQLITE_IOERR || (code & 0xff) == SQLITE_CANTOPEN;
    int number;

    if (!by_system || code == SQLITE_IOERR_SHORT_READ)
        return 0;
    number = sqlite3_system_errno(db);
    return number != 0 ? number : file_error(db);
}

/* A full disk may show as SQLITE_FULL or as an error of the system (sqlite.org/rescode.html). */
static gboolean
is_full(sqlite3 *db, int code)
{
    int number = system_error(db);

    return code == SQLITE_FULL || number == ENOSPC || number == EDQUOT;
}

/* Of a disk that is read-only, or of a lack of memory, the file is none the worse. */
static gboolean
is_damaged(sqlite3 *db, int code)
{
    int number = system_error(db);

    return code == SQLITE_CORRUPT || code == SQLITE_NOTADB ||
           (code == SQLITE_IOERR &&
            (number == 0 || number == EIO || number == EUCLEAN || number == EBADMSG));
}

void
kh_sql_set_damaged(const char *path, const char *found, GError **error)
{
    g_autofree char *copy = kh_database_file_find_copy(path);

    g_set_error(error, KH_ERROR, KH_ERROR_FAILED,
                "The state database %s is damaged or cannot be read: %s; stop the service, move it "
                "away with its -wal and -shm, and %s",
                path, found,
                copy != NULL ? copy
                             : "put a backup of yours in its place: the service has no copy");
}

/* SQLite's words and the system's. Transfer full. */
static char *
describe(sqlite3 *db)
{
    int number = system_error(db);

    return number == 0 ? g_strdup(sqlite3_errmsg(db))
                       : g_strdup_printf("%s (%s)", sqlite3_errmsg(db), g_strerror(number));
}

/* Of the database at @path, which one that failed to open does not know. */
static void
set_error(sqlite3 *db, const char *path, const char *doing, GError **error)
{
    int code = sqlite3_errcode(db) & 0xff;
    g_autofree char *found = describe(db);

    if (is_full(db, code))
        g_set_error(error, KH_ERROR, KH_ERROR_RESOURCE_UNAVAILABLE,
                    "The state database failed to %s: %s; free some space", doing, found);
    else if (code == SQLITE_BUSY || code == SQLITE_LOCKED)
        g_set_error(error, KH_ERROR, KH_ERROR_BUSY,
                    "The state database failed to %s: another program holds it locked", doing);
    else if (is_damaged(db, code))
        kh_sql_set_damaged(path, found, error);
    else
        g_set_error(error, KH_ERROR, KH_ERROR_FAILED, "The state database failed to %s: %s", doing,
                    found);
}

void
kh_sql_set_error(sqlite3 *db, const char *doing, GError **error)
{
    set_error(db, sqlite3_db_filename(db, "main"), doing, error);
}

void
kh_sql_close(sqlite3 *db)
{
    sqlite3_stmt *statement;

    while ((statement = sqlite3_next_stmt(db, NULL)) != NULL)
        sqlite3_finalize(statement);
    sqlite3_close_v2(db);
}

void
kh_sql_release(sqlite3_stmt *statement)
{
    sqlite3_reset(statement);
    sqlite3_clear_bindings(statement);
}

/* @name is @path, or a URI of it. */
static sqlite3 *
open_as(const char *name, const char *path, int flags, GError **error)
{
    g_autoptr(sqlite3) db = NULL;

    if (sqlite3_open_v2(name, &db, flags | SQLITE_OPEN_NOFOLLOW, NULL) != SQLITE_OK) {
        set_error(db, path, "open", error);
        return NULL;
    }
    sqlite3_db_config(db, SQLITE_DBCONFIG_ENABLE_FKEY, 1, NULL);
    sqlite3_db_config(db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
    return g_steal_pointer(&db);
}

sqlite3 *
kh_sql_open(const char *path, int flags, GError **error)
{
    return open_as(path, path, flags, error);
}

static gboolean
has_companion(const char *path, const char *suffix)
{
    g_autofree char *companion = g_strconcat(path, suffix, NULL);
    GStatBuf status;

    return g_lstat(companion, &status) == 0 || errno != ENOENT;
}

/*
 * With a log, SQLite would make an index beside it, and without an index say that it cannot open
 * the file; but exclusively it keeps that in memory, and "unix-none" has it so without a lock,
 * which is a write. Without a log it would make one; but what is "immutable" is read as it is:
 * which a database with a log must never be, for the log would not be read (sqlite.org/uri.html).
 */
sqlite3 *
kh_sql_open_read_only(const char *path, GError **error)
{
    gboolean whole = !has_companion(path, "-wal") && !has_companion(path, "-journal");
    g_autofree char *file = g_filename_to_uri(path, NULL, error);
    g_autofree char *uri = NULL;
    g_autoptr(sqlite3) db = NULL;

    if (file == NULL)
        return NULL;
    uri = g_strconcat(file, whole ? "?immutable=1" : "?vfs=unix-none", NULL);
    db = open_as(uri, path, SQLITE_OPEN_READONLY | SQLITE_OPEN_URI, error);
    if (db == NULL)
        return NULL;
    if (sqlite3_exec(db, "PRAGMA locking_mode=EXCLUSIVE", NULL, NULL, NULL) == SQLITE_OK)
        return g_steal_pointer(&db);
    kh_sql_set_error(db, "be read", error);
    return NULL;
}

sqlite3 *
kh_sql_copy_to_memory(sqlite3 *db, GError **error)
{
    g_autoptr(sqlite3) copy =
        kh_sql_open(":memory:", SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, error);
    sqlite3_backup *backup = copy == NULL ? NULL : sqlite3_backup_init(copy, "main", db, "main");

    if (copy == NULL)
        return NULL;
    if (backup != NULL)
        sqlite3_backup_step(backup, -1);
    if (backup != NULL && sqlite3_backup_finish(backup) == SQLITE_OK)
        return g_steal_pointer(&copy);
    set_error(copy, sqlite3_db_filename(db, "main"), "be read", error);
    return NULL;
}

static void
bind_values(sqlite3_stmt *statement, const char *types, va_list values)
{
    for (int i = 0; types[i] != '\0'; i++) {
        if (types[i] == 's')
            sqlite3_bind_text(statement, i + 1, va_arg(values, const char *), -1, SQLITE_TRANSIENT);
        else
            sqlite3_bind_int64(statement, i + 1, va_arg(values, gint64));
    }
}

/* The connection's own list of statements is where they are kept; there are some thirty. */
static sqlite3_stmt *
find_statement(sqlite3 *db, const char *sql)
{
    sqlite3_stmt *statement = sqlite3_next_stmt(db, NULL);

    while (statement != NULL &&
           (sqlite3_stmt_busy(statement) || strcmp(sqlite3_sql(statement), sql) != 0))
        statement = sqlite3_next_stmt(db, statement);
    return statement;
}

static sqlite3_stmt *
prepare_values(sqlite3 *db, GError **error, const char *sql, const char *types, va_list values)
{
    sqlite3_stmt *statement = find_statement(db, sql);

    if (statement == NULL &&
        sqlite3_prepare_v3(db, sql, -1, SQLITE_PREPARE_PERSISTENT, &statement, NULL) != SQLITE_OK) {
        kh_sql_set_error(db, "prepare a statement", error);
        return NULL;
    }
    bind_values(statement, types, values);
    return statement;
}

sqlite3_stmt *
kh_sql_prepare(sqlite3 *db, GError **error, const char *sql, const char *types, ...)
{
    sqlite3_stmt *statement;
    va_list values;

    va_start(values, types);
    statement = prepare_values(db, error, sql, types, values);
    va_end(values);
    return statement;
}

gboolean
kh_sql_next(sqlite3 *db, sqlite3_stmt *statement, GError **error)
{
    int code = sqlite3_step(statement);

    if (code != SQLITE_ROW && code != SQLITE_DONE)
        kh_sql_set_error(db, "read or write", error);
    return code == SQLITE_ROW;
}

gboolean
kh_sql_finish(sqlite3 *db, sqlite3_stmt *statement, GError **error)
{
    if (sqlite3_step(statement) == SQLITE_DONE)
        return TRUE;
    kh_sql_set_error(db, "write", error);
    return FALSE;
}

gboolean
kh_sql_run(sqlite3 *db, GError **error, const char *sql, const char *types, ...)
{
    g_autoptr(sqlite3_stmt) statement = NULL;
    va_list values;

    va_start(values, types);
    statement = prepare_values(db, error, sql, types, values);
    va_end(values);
    return statement != NULL && kh_sql_finish(db, statement, error);
}

gint64
kh_sql_count(sqlite3 *db, const char *sql, const char *types, ...)
{
    g_autoptr(sqlite3_stmt) statement = NULL;
    va_list values;

    va_start(values, types);
    statement = prepare_values(db, NULL, sql, types, values);
    va_end(values);
    if (statement == NULL || sqlite3_step(statement) != SQLITE_ROW)
        return 0;
    return sqlite3_column_int64(statement, 0);
}

char *
kh_sql_text(sqlite3_stmt *row, int column)
{
    const char *text = (const char *)sqlite3_column_text(row, column);

    return g_utf8_make_valid(text != NULL ? text : "", -1);
}

gboolean
kh_sql_number(sqlite3 *db, const char *sql, gint64 *number, GError **error)
{
    g_autoptr(sqlite3_stmt) statement = kh_sql_prepare(db, error, sql, "");

    if (statement == NULL)
        return FALSE;
    if (sqlite3_step(statement) != SQLITE_ROW) {
        kh_sql_set_error(db, "read a number", error);
        return FALSE;
    }
    *number = sqlite3_column_int64(statement, 0);
    return TRUE;
}

gboolean
kh_sql_run_script(sqlite3 *db, const char *script, GError **error)
{
    if (sqlite3_exec(db, script, NULL, NULL, NULL) == SQLITE_OK)
        return TRUE;
    kh_sql_set_error(db, "be set up", error);
    sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
    return FALSE;
}
