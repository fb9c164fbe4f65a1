/* SPDX-License-Identifier: MIT */
/* The versions of the schema; see schema.h. */
#include "schema.h"

#include <string.h>

#include "copies.h"
#include "error.h"
#include "sql.h"

/* Each element brings the schema one version further; never change one that was released. */
static const char *const migrations[] = {
    "CREATE TABLE instances("
    "  id TEXT PRIMARY KEY, name TEXT NOT NULL UNIQUE, config TEXT NOT NULL,"
    "  image TEXT NOT NULL, owner_uid INTEGER NOT NULL, state TEXT NOT NULL,"
    "  reason TEXT NOT NULL, error_name TEXT NOT NULL, error_message TEXT NOT NULL,"
    "  formatted INTEGER NOT NULL, created_usec INTEGER NOT NULL,"
    "  started_usec INTEGER NOT NULL, ready_usec INTEGER NOT NULL,"
    "  boot_time_usec INTEGER NOT NULL, boot_id TEXT NOT NULL, shim_pid INTEGER NOT NULL,"
    "  shim_start INTEGER NOT NULL, qemu_pid INTEGER NOT NULL, qemu_start INTEGER NOT NULL"
    ") STRICT;"
    "CREATE TABLE ports("
    "  port INTEGER PRIMARY KEY, purpose TEXT NOT NULL,"
    "  instance_id TEXT NOT NULL REFERENCES instances(id) ON DELETE CASCADE"
    ") STRICT;"
    "CREATE TABLE uids("
    "  uid INTEGER PRIMARY KEY, released_usec INTEGER NOT NULL,"
    "  instance_id TEXT REFERENCES instances(id) ON DELETE SET NULL"
    ") STRICT;"
    "CREATE TABLE settings(key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT",
    "ALTER TABLE instances ADD COLUMN pending TEXT NOT NULL DEFAULT '';"
    "ALTER TABLE instances ADD COLUMN keep_data INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE instances ADD COLUMN stop_result TEXT NOT NULL DEFAULT '';"
    "ALTER TABLE instances ADD COLUMN stopped_in TEXT NOT NULL DEFAULT '';"
    "ALTER TABLE instances ADD COLUMN restart_count INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE instances ADD COLUMN restart_usec INTEGER NOT NULL DEFAULT 0",
    "ALTER TABLE instances ADD COLUMN measurement TEXT NOT NULL DEFAULT '';"
    "ALTER TABLE instances ADD COLUMN pending_measurement TEXT NOT NULL DEFAULT '';"
    "ALTER TABLE instances ADD COLUMN simulated INTEGER NOT NULL DEFAULT 0",
    "ALTER TABLE instances ADD COLUMN making INTEGER NOT NULL DEFAULT 0;"
    "CREATE INDEX ports_of_instance ON ports(instance_id);"
    "CREATE INDEX uids_of_instance ON uids(instance_id)",
    "ALTER TABLE instances ADD COLUMN pending_secrets TEXT NOT NULL DEFAULT ''",
    "ALTER TABLE instances ADD COLUMN state_changed_usec INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE instances ADD COLUMN exit_code INTEGER NOT NULL DEFAULT -1",
    "CREATE TABLE images(id TEXT PRIMARY KEY) STRICT, WITHOUT ROWID;"
    "ALTER TABLE instances ADD COLUMN pinned TEXT REFERENCES images(id);"
    "ALTER TABLE instances ADD COLUMN pending_image TEXT REFERENCES images(id);"
    "INSERT INTO images SELECT image FROM instances UNION"
    "  SELECT image_of(pending) FROM instances WHERE image_of(pending) IS NOT NULL;"
    "UPDATE instances SET pinned=image, pending_image=image_of(pending);"
    "ALTER TABLE instances DROP COLUMN image;"
    "ALTER TABLE instances RENAME COLUMN pinned TO image;"
    "CREATE INDEX instances_of_image ON instances(image);"
    "CREATE INDEX instances_of_pending_image ON instances(pending_image)",
    NULL,
};

#define LAST_VERSION ((guint)G_N_ELEMENTS(migrations) - 1)

guint
kh_schema_version(void)
{
    return LAST_VERSION;
}

gboolean
kh_schema_migrate(sqlite3 *db, const char *const *steps, const char *copy_path, GError **error)
{
    gint64 last = g_strv_length((char **)steps);
    gint64 version;

    if (!kh_sql_number(db, "PRAGMA user_version", &version, error))
        return FALSE;
    if (version < 0 || version > last)
        return kh_error_set(error, KH_ERROR_FAILED,
                            "The state database has the schema version %" G_GINT64_FORMAT
                            ", but this program only knows versions up to %" G_GINT64_FORMAT,
                            version, last);
    if (version > 0 && steps[version] != NULL && !kh_copies_write(db, copy_path, error))
        return FALSE;
    for (; steps[version] != NULL; version++) {
        g_autofree char *script = g_strdup_printf(
            "BEGIN IMMEDIATE;%s;PRAGMA user_version=%d;COMMIT", steps[version], (int)version + 1);

        if (!kh_sql_run_script(db, script, error))
            return FALSE;
    }
    return TRUE;
}

/*
 * image_of(pending), for the step that made references of the images: what a configuration names,
 * also one that is damaged elsewhere. What follows that key in the text is no free text.
 */
static void
find_image(sqlite3_context *context, int count, sqlite3_value **values)
{
    static const char key[] = "'image': <'";
    const char *text = (const char *)sqlite3_value_text(values[0]);
    const char *found = text == NULL ? NULL : g_strrstr(text, key);

    if (found != NULL)
        sqlite3_result_text(context, found + strlen(key), (int)strcspn(found + strlen(key), "'"),
                            SQLITE_TRANSIENT);
}

/*
 * The application id is written before WAL is switched on: so it is in the main file
 * whenever anything else is, where check_header() looks. The last is a read, which makes the
 * log's index.
 */
gboolean
kh_schema_set_up(sqlite3 *db, const char *path, GError **error)
{
    g_autofree char *id = g_strdup_printf("PRAGMA application_id=%d", KH_DATABASE_APPLICATION_ID);
    g_autofree char *copy = NULL;
    gint64 version;

    if (!kh_sql_number(db, "PRAGMA user_version", &version, error))
        return FALSE;
    copy = g_strdup_printf("%s.before-%u", path, LAST_VERSION);
    sqlite3_create_function_v2(db, "image_of", 1, SQLITE_UTF8, NULL, find_image, NULL, NULL, NULL);
    return (version > 0 || kh_sql_run_script(db, id, error)) &&
           kh_schema_migrate(db, migrations, copy, error) &&
           kh_sql_run_script(db, "PRAGMA journal_mode=WAL;PRAGMA synchronous=FULL", error) &&
           kh_sql_number(db, "PRAGMA user_version", &version, error);
}

/* Of an older one not all columns are there, and none can be added. */
gboolean
kh_schema_check(sqlite3 *db, const char *path, GError **error)
{
    gint64 version;

    if (!kh_sql_number(db, "PRAGMA user_version", &version, error))
        return FALSE;
    if (version == LAST_VERSION)
        return TRUE;
    return kh_error_set(
        error, KH_ERROR_FAILED,
        "%s has the schema version %" G_GINT64_FORMAT
        ", and its file system is read-only, so that it cannot be brought to version %u; "
        "mount the file system writable",
        path, version, LAST_VERSION);
}
