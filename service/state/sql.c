/* SPDX-License-Identifier: MIT */
/* Helpers around sqlite3; see sql.h. */
#include "sql.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <unistd.h>

#include "copies.h"
#include "error.h"

/* A full disk may show as SQLITE_FULL or as an error of the system (sqlite.org/rescode.html). */
static gboolean
is_full(sqlite3 *db, int code)
{
    int number = sqlite3_system_errno(db);
    gboolean by_system = code == SQLITE_IOERR || code == SQLITE_CANTOPEN;

    return code == SQLITE_FULL || code == SQLITE_NOMEM ||
           (by_system && (number == ENOSPC || number == EDQUOT));
}

void
kh_sql_set_damaged(sqlite3 *db, const char *found, GError **error)
{
    const char *path = sqlite3_db_filename(db, "main");
    g_autofree char *copy = kh_copies_describe(path);

    g_set_error(error, KH_ERROR, KH_ERROR_FAILED,
                "The state database %s is damaged or cannot be read: %s; stop the service, move it "
                "away with its -wal and -shm, and %s",
                path, found, copy);
}

void
kh_sql_set_error(sqlite3 *db, const char *doing, GError **error)
{
    int code = sqlite3_errcode(db) & 0xff;

    if (is_full(db, code))
        g_set_error(error, KH_ERROR, KH_ERROR_RESOURCE_UNAVAILABLE,
                    "The state database failed to %s: %s; free some space", doing,
                    sqlite3_errmsg(db));
    else if (code == SQLITE_BUSY || code == SQLITE_LOCKED)
        g_set_error(error, KH_ERROR, KH_ERROR_BUSY,
                    "The state database failed to %s: another program holds it locked", doing);
    else if (code == SQLITE_CORRUPT || code == SQLITE_NOTADB || code == SQLITE_IOERR)
        kh_sql_set_damaged(db, sqlite3_errmsg(db), error);
    else
        g_set_error(error, KH_ERROR, KH_ERROR_FAILED, "The state database failed to %s: %s", doing,
                    sqlite3_errmsg(db));
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

static sqlite3_stmt *
prepare_values(sqlite3 *db, GError **error, const char *sql, const char *types, va_list values)
{
    sqlite3_stmt *statement = NULL;

    if (sqlite3_prepare_v2(db, sql, -1, &statement, NULL) != SQLITE_OK) {
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
kh_sql_run(sqlite3 *db, GError **error, const char *sql, const char *types, ...)
{
    g_autoptr(sqlite3_stmt) statement = NULL;
    va_list values;

    va_start(values, types);
    statement = prepare_values(db, error, sql, types, values);
    va_end(values);
    if (statement == NULL)
        return FALSE;
    if (sqlite3_step(statement) == SQLITE_DONE)
        return TRUE;
    kh_sql_set_error(db, "write", error);
    return FALSE;
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

static gboolean
run_script(sqlite3 *db, const char *script, GError **error)
{
    if (sqlite3_exec(db, script, NULL, NULL, NULL) == SQLITE_OK)
        return TRUE;
    kh_sql_set_error(db, "change its schema", error);
    sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
    return FALSE;
}

gboolean
kh_sql_migrate(sqlite3 *db, const char *const *steps, const char *copy_path, GError **error)
{
    gint64 last = g_strv_length((char **)steps);
    gint64 version;

    if (!kh_sql_number(db, "PRAGMA user_version", &version, error))
        return FALSE;
    if (version < 0 || version > last) {
        g_set_error(error, KH_ERROR, KH_ERROR_FAILED,
                    "The state database has the schema version %" G_GINT64_FORMAT
                    ", this program knows versions up to %" G_GINT64_FORMAT,
                    version, last);
        return FALSE;
    }
    if (version > 0 && steps[version] != NULL && !kh_copies_write(db, copy_path, error))
        return FALSE;
    for (; steps[version] != NULL; version++) {
        g_autofree char *script = g_strdup_printf(
            "BEGIN IMMEDIATE;%s;PRAGMA user_version=%d;COMMIT", steps[version], (int)version + 1);

        if (!run_script(db, script, error))
            return FALSE;
    }
    return TRUE;
}
