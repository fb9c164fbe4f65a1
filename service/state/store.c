/* SPDX-License-Identifier: MIT */
/* The state database; see store.h. */
#include "store-private.h"

#include <fcntl.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "crash-point.h"
#include "database-file.h"
#include "error.h"
#include "instance-rows.h"
#include "read-only.h"
#include "schema.h"
#include "sql.h"

/* Nobody else writes here; a reader's lock is soon over, and the main loop waits for it. */
#define BUSY_MS 200

/* Between two tries to make the reserve again. */
#define RESERVE_INTERVAL_USEC (10 * G_USEC_PER_SEC)

G_DEFINE_FINAL_TYPE(KhStore, kh_store, G_TYPE_OBJECT)

static void
kh_store_finalize(GObject *object)
{
    KhStore *self = KH_STORE(object);

    g_clear_pointer(&self->db, kh_sql_close);
    g_free(self->taken);
    if (self->index_fd >= 0)
        close(self->index_fd);
    /* Log and index have gone: their room is for the next start, before others take it. */
    if (self->reserve != NULL)
        kh_reserve_keep(self->reserve);
    g_clear_pointer(&self->reserve, kh_reserve_free);
    g_free(self->path);
    G_OBJECT_CLASS(kh_store_parent_class)->finalize(object);
}

static void
kh_store_class_init(KhStoreClass *class)
{
    G_OBJECT_CLASS(class)->finalize = kh_store_finalize;
}

static void
kh_store_init(KhStore *self)
{
    self->index_fd = -1;
    self->taken = g_malloc0(G_MAXUINT16 + 1);
}

/*
 * The index of the log, which SQLite maps with holes in it, is given its room: touching a hole
 * on a full disk ends the process (SIGBUS). The descriptor stays open as long as the database:
 * to close any one of a file gives up all this process's locks on it, those of SQLite, too, and
 * the next program to open the database would cut the index off below the mapping
 * (sqlite.org/howtocorrupt.html, 2.2).
 */
static void
fill_index(KhStore *self, const char *path)
{
    g_autofree char *index = g_strconcat(path, "-shm", NULL);
    struct stat status;

    self->index_fd = g_open(index, O_RDWR | O_NOFOLLOW | O_CLOEXEC, 0);
    if (self->index_fd >= 0 && fstat(self->index_fd, &status) == 0 && status.st_size > 0)
        posix_fallocate(self->index_fd, 0, status.st_size);
}

static gboolean
check_content(KhStore *self, GError **error)
{
    g_autoptr(sqlite3_stmt) row = kh_sql_prepare(self->db, error, "PRAGMA quick_check(1)", "");
    g_autofree char *found = NULL;
    const char *feed;

    if (row == NULL || !kh_sql_next(self->db, row, error))
        return FALSE;
    found = kh_sql_text(row, 0);
    if (g_str_equal(found, "ok"))
        return TRUE;
    /* Where there are more lines, the first says of which database they are. */
    feed = strrchr(found, '\n');
    kh_sql_set_damaged(sqlite3_db_filename(self->db, "main"), feed != NULL ? feed + 1 : found,
                       error);
    return FALSE;
}

static gboolean
open_database(KhStore *self, const char *path, GError **error)
{
    self->db = kh_sql_open(path, SQLITE_OPEN_READWRITE, error);
    if (self->db == NULL)
        return FALSE;
    sqlite3_busy_timeout(self->db, BUSY_MS);
    return check_content(self, error) && kh_schema_set_up(self->db, path, error);
}

/* On a full disk once more, with the room that the reserve had. */
static gboolean
open_anyway(KhStore *self, const char *path, GError **error)
{
    g_autoptr(GError) failure = NULL;

    kh_reserve_make_room(self->reserve);
    if (open_database(self, path, &failure))
        return TRUE;
    if (!g_error_matches(failure, KH_ERROR, KH_ERROR_RESOURCE_UNAVAILABLE) ||
        !kh_reserve_give_up(self->reserve)) {
        g_propagate_error(error, g_steal_pointer(&failure));
        return FALSE;
    }
    g_clear_pointer(&self->db, kh_sql_close);
    return open_database(self, path, error);
}

/* In memory, so that nothing of the file is open when it can be written to again. */
static gboolean
read_database(KhStore *self, GError **error)
{
    sqlite3 *copy;

    self->read_only = TRUE;
    self->db = kh_sql_open_read_only(self->path, error);
    if (self->db == NULL || !check_content(self, error) ||
        !kh_schema_check(self->db, self->path, error))
        return FALSE;
    copy = kh_sql_copy_to_memory(self->db, error);
    if (copy == NULL)
        return FALSE;
    kh_sql_close(self->db);
    self->db = copy;
    return kh_sql_run(self->db, error, "PRAGMA query_only=ON", "");
}

KhStore *
kh_store_open(const char *path, GError **error)
{
    g_autoptr(KhStore) self = g_object_new(KH_TYPE_STORE, NULL);

    if (!kh_database_file_check(path, kh_schema_version(), error))
        return NULL;
    self->path = g_strdup(path);
    self->reserve = kh_reserve_new(path);
    if (kh_read_only_parent(path))
        return read_database(self, error) ? g_steal_pointer(&self) : NULL;
    if (!open_anyway(self, path, error))
        return NULL;
    fill_index(self, path);
    kh_reserve_keep(self->reserve);
    return g_steal_pointer(&self);
}

gboolean
kh_store_is_read_only(KhStore *self)
{
    return self->read_only;
}

/* What has been read only is opened once that can be. */
static gboolean
open_for_writing(KhStore *self, GError **error)
{
    g_autoptr(KhStore) fresh = NULL;

    if (!self->read_only)
        return TRUE;
    if (kh_read_only_parent(self->path))
        return kh_error_set(error, KH_ERROR_FAILED,
                            "%s is on a read-only file system; mount that writable", self->path);
    fresh = kh_store_open(self->path, error);
    if (fresh == NULL)
        return FALSE;
    g_message("%s can be written to again", self->path);
    kh_sql_close(self->db);
    self->db = g_steal_pointer(&fresh->db);
    self->index_fd = fresh->index_fd;
    fresh->index_fd = -1;
    self->read_only = fresh->read_only;
    self->ports_known = FALSE;
    return TRUE;
}

static void
keep_reserve(KhStore *self)
{
    gint64 now = g_get_monotonic_time();

    if (self->reserve_tried > 0 && now - self->reserve_tried < RESERVE_INTERVAL_USEC)
        return;
    self->reserve_tried = now;
    kh_reserve_keep(self->reserve);
}

gboolean
kh_store_write_anyway(KhStore *self, KhStoreWrite write, gconstpointer data, GError **error)
{
    g_autoptr(GError) failure = NULL;
    gboolean written;

    if (!open_for_writing(self, error))
        return FALSE;
    written = write(self, data, &failure);
    if (!written && g_error_matches(failure, KH_ERROR, KH_ERROR_RESOURCE_UNAVAILABLE)) {
        sqlite3_wal_checkpoint_v2(self->db, NULL, SQLITE_CHECKPOINT_RESTART, NULL, NULL);
        written = write(self, data, NULL);
        if (!written && kh_reserve_give_up(self->reserve)) {
            written = write(self, data, NULL);
            sqlite3_wal_checkpoint_v2(self->db, NULL, SQLITE_CHECKPOINT_RESTART, NULL, NULL);
            self->reserve_tried = 0;
        }
    }
    if (written)
        keep_reserve(self);
    else
        g_propagate_error(error, g_steal_pointer(&failure));
    return written;
}

void
kh_store_set_patient(KhStore *self, gboolean patient)
{
    sqlite3_busy_timeout(self->db, patient ? BUSY_MS : 0);
}

GPtrArray *
kh_store_load(KhStore *self, GError **error)
{
    return kh_instance_rows_load(self->db, error);
}

/* A database that does not answer may have it. */
gboolean
kh_store_has_instance(KhStore *self, const char *id)
{
    g_autoptr(sqlite3_stmt) row =
        kh_sql_prepare(self->db, NULL, "SELECT 1 FROM instances WHERE id=?", "s", id);

    return row == NULL || sqlite3_step(row) != SQLITE_DONE;
}

static gboolean
check_free(KhStore *self, const KhRecord *record, GError **error)
{
    if (kh_sql_count(self->db, "SELECT count(*) FROM instances WHERE name=?", "s", record->name) >
        0)
        return kh_error_set(error, KH_ERROR_ALREADY_EXISTS,
                            "There is already an instance \"%s\"; choose another name",
                            record->name);
    return kh_store_check_port(self, record->config->rpc_port, error);
}

/* All of @write or nothing. */
static gboolean
run_transaction(KhStore *self, KhStoreWrite write, gconstpointer data, GError **error)
{
    if (!kh_sql_run(self->db, error, "BEGIN IMMEDIATE", ""))
        return FALSE;
    if (write(self, data, error)) {
        kh_crash_point("store:uncommitted");
        if (kh_sql_run(self->db, error, "COMMIT", ""))
            return TRUE;
    }
    sqlite3_exec(self->db, "ROLLBACK", NULL, NULL, NULL);
    return FALSE;
}

static gboolean
insert(KhStore *self, gconstpointer data, GError **error)
{
    const KhRecord *record = data;

    return check_free(self, record, error) && kh_store_note_images(self, record, error) &&
           kh_instance_rows_insert(self->db, record, error) &&
           kh_store_write_ports(self, record, error) && kh_store_claim_uid(self, record, error);
}

gboolean
kh_store_insert(KhStore *self, const KhRecord *record, GError **error)
{
    gboolean done = open_for_writing(self, error) && run_transaction(self, insert, record, error);

    kh_store_note_ports(self, record->id, TRUE);
    return done;
}

static gboolean
finish_making(KhStore *self, gconstpointer id, GError **error)
{
    return kh_instance_rows_finish_making(self->db, id, error);
}

gboolean
kh_store_finish_making(KhStore *self, const char *id, GError **error)
{
    return kh_store_write_anyway(self, finish_making, id, error);
}

static gboolean
update(KhStore *self, gconstpointer record, GError **error)
{
    return kh_instance_rows_update(self->db, record, error);
}

gboolean
kh_store_update(KhStore *self, const KhRecord *record, GError **error)
{
    return kh_store_write_anyway(self, update, record, error);
}

static gboolean
write_configuration(KhStore *self, gconstpointer record, GError **error)
{
    return kh_store_note_images(self, record, error) &&
           kh_instance_rows_update(self->db, record, error) &&
           kh_store_write_ports(self, record, error);
}

/* What is noted of the ports is what the database says, whatever has come of it. */
static gboolean
reconfigure(KhStore *self, gconstpointer record, GError **error)
{
    const char *id = ((const KhRecord *)record)->id;
    gboolean done;

    kh_store_note_ports(self, id, FALSE);
    done = run_transaction(self, write_configuration, record, error);
    kh_store_note_ports(self, id, TRUE);
    return done;
}

gboolean
kh_store_reconfigure(KhStore *self, const KhRecord *record, GError **error)
{
    return kh_store_write_anyway(self, reconfigure, record, error);
}

static gboolean
remove_rows(KhStore *self, gconstpointer id, GError **error)
{
    return kh_store_release_uid(self, id, error) &&
           kh_sql_run(self->db, error, "DELETE FROM instances WHERE id=?", "s", id);
}

static gboolean
remove_instance(KhStore *self, gconstpointer id, GError **error)
{
    gboolean done;

    kh_store_note_ports(self, id, FALSE);
    done = run_transaction(self, remove_rows, id, error);
    kh_store_note_ports(self, id, TRUE);
    return done;
}

gboolean
kh_store_remove(KhStore *self, const char *id, GError **error)
{
    /* There may be room for it now. */
    self->reserve_tried = 0;
    return kh_store_write_anyway(self, remove_instance, id, error);
}

char *
kh_store_get_setting(KhStore *self, const char *key)
{
    g_autoptr(sqlite3_stmt) row =
        kh_sql_prepare(self->db, NULL, "SELECT value FROM settings WHERE key=?", "s", key);

    if (row == NULL || sqlite3_step(row) != SQLITE_ROW)
        return NULL;
    return kh_sql_text(row, 0);
}

typedef struct {
    const char *key, *value;
} Setting;

static gboolean
set_setting(KhStore *self, gconstpointer data, GError **error)
{
    const Setting *setting = data;

    return kh_sql_run(self->db, error, "INSERT OR REPLACE INTO settings VALUES(?,?)", "ss",
                      setting->key, setting->value);
}

gboolean
kh_store_set_setting(KhStore *self, const char *key, const char *value, GError **error)
{
    const Setting setting = {key, value};

    return kh_store_write_anyway(self, set_setting, &setting, error);
}
