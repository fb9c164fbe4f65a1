/* SPDX-License-Identifier: MIT */
/* The state database; see store.h. */
#include "store.h"

#include <fcntl.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "crash-point.h"
#include "database-file.h"
#include "error.h"
#include "read-only.h"
#include "reserve.h"
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
    NULL,
};

#define LAST_VERSION ((guint)G_N_ELEMENTS(migrations) - 1)

/* Nobody else writes here; a reader's lock is soon over, and the main loop waits for it. */
#define BUSY_MS 200

#define PORTS (G_MAXUINT16 + 1)

/* Between two tries to make the reserve again. */
#define RESERVE_INTERVAL_USEC (10 * G_USEC_PER_SEC)

struct _KhStore {
    GObject parent_instance;
    char *path;
    sqlite3 *db;
    gboolean read_only; /* the database is in memory, as the file was */
    int index_fd;       /* of the log's index; see fill_index() */
    KhReserve *reserve;
    gint64 reserve_tried; /* monotonic: when it was last made again, or tried to */
    guint8 *taken;        /* PORTS of them, see note_ports() */
};

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
    self->taken = g_malloc0(PORTS);
}

static gboolean
run_pragma(KhStore *self, const char *pragma, GError **error)
{
    if (sqlite3_exec(self->db, pragma, NULL, NULL, NULL) == SQLITE_OK)
        return TRUE;
    kh_sql_set_error(self->db, "be set up", error);
    return FALSE;
}

/*
 * The application id is written before WAL is switched on: so it is in the main file
 * whenever anything else is, where check_header() looks. The last is a read, which makes the
 * log's index.
 */
static gboolean
set_up(KhStore *self, const char *path, GError **error)
{
    g_autofree char *id = g_strdup_printf("PRAGMA application_id=%d", KH_DATABASE_APPLICATION_ID);
    g_autofree char *copy = NULL;
    gint64 version;

    if (!kh_sql_number(self->db, "PRAGMA user_version", &version, error))
        return FALSE;
    copy = g_strdup_printf("%s.before-%u", path, LAST_VERSION);
    return (version > 0 || run_pragma(self, id, error)) &&
           run_pragma(self, "PRAGMA foreign_keys=ON", error) &&
           run_pragma(self, "PRAGMA trusted_schema=OFF", error) &&
           kh_sql_migrate(self->db, migrations, copy, error) &&
           run_pragma(self, "PRAGMA journal_mode=WAL;PRAGMA synchronous=FULL", error) &&
           kh_sql_number(self->db, "PRAGMA user_version", &version, error);
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

/* Of a damaged file it can be any bytes; the bus takes UTF-8 only. */
static char *
text_at(sqlite3_stmt *row, int column)
{
    const char *text = (const char *)sqlite3_column_text(row, column);

    return g_utf8_make_valid(text != NULL ? text : "", -1);
}

/*
 * To look for the lowest free port in the table takes longer the more are taken, so those are
 * noted, and forgotten before they are given up. What is noted is taken; of what is not the
 * table is asked. Notes the ports of @row, which is taken; may be NULL.
 */
static void
note_ports(KhStore *self, sqlite3_stmt *row, gboolean taken)
{
    g_autoptr(sqlite3_stmt) owned = row;
    int result = SQLITE_ERROR;

    while (row != NULL && (result = sqlite3_step(row)) == SQLITE_ROW) {
        gint64 port = sqlite3_column_int64(row, 0);

        if (port >= 0 && port < PORTS)
            self->taken[port] = taken ? TRUE : FALSE;
    }
    if (result != SQLITE_DONE)
        memset(self->taken, FALSE, PORTS);
}

static void
forget_ports(KhStore *self, const char *id)
{
    note_ports(
        self, kh_sql_prepare(self->db, NULL, "SELECT port FROM ports WHERE instance_id=?", "s", id),
        FALSE);
}

static gboolean
check_content(KhStore *self, GError **error)
{
    g_autoptr(sqlite3_stmt) row = kh_sql_prepare(self->db, error, "PRAGMA quick_check(1)", "");
    g_autofree char *found = NULL;
    const char *feed;

    if (row == NULL || !kh_sql_next(self->db, row, error))
        return FALSE;
    found = text_at(row, 0);
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
    return check_content(self, error) && set_up(self, path, error);
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

/* Of an older one not all columns are there, and none can be added. */
static gboolean
check_version(KhStore *self, GError **error)
{
    gint64 version;

    if (!kh_sql_number(self->db, "PRAGMA user_version", &version, error))
        return FALSE;
    if (version == LAST_VERSION)
        return TRUE;
    g_set_error(error, KH_ERROR, KH_ERROR_FAILED,
                "%s has the schema version %" G_GINT64_FORMAT
                ", and its file system is read-only, so that it cannot be brought to version %u; "
                "mount the file system writable",
                self->path, version, LAST_VERSION);
    return FALSE;
}

/* In memory, so that nothing of the file is open when it can be written to again. */
static gboolean
read_database(KhStore *self, GError **error)
{
    sqlite3 *copy;

    self->read_only = TRUE;
    self->db = kh_sql_open_read_only(self->path, error);
    if (self->db == NULL || !check_content(self, error) || !check_version(self, error))
        return FALSE;
    copy = kh_sql_copy_to_memory(self->db, error);
    if (copy == NULL)
        return FALSE;
    kh_sql_close(self->db);
    self->db = copy;
    return run_pragma(self, "PRAGMA query_only=ON;PRAGMA trusted_schema=OFF", error);
}

KhStore *
kh_store_open(const char *path, GError **error)
{
    g_autoptr(KhStore) self = g_object_new(KH_TYPE_STORE, NULL);

    if (!kh_database_file_check(path, LAST_VERSION, error))
        return NULL;
    self->path = g_strdup(path);
    self->reserve = kh_reserve_new(path);
    if (kh_read_only_parent(path))
        return read_database(self, error) ? g_steal_pointer(&self) : NULL;
    if (!open_anyway(self, path, error))
        return NULL;
    fill_index(self, path);
    note_ports(self, kh_sql_prepare(self->db, NULL, "SELECT port FROM ports", ""), TRUE);
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
    if (kh_read_only_parent(self->path)) {
        g_set_error(error, KH_ERROR, KH_ERROR_FAILED,
                    "%s is on a read-only file system; mount that writable", self->path);
        return FALSE;
    }
    fresh = kh_store_open(self->path, error);
    if (fresh == NULL)
        return FALSE;
    g_message("%s can be written to again", self->path);
    kh_sql_close(self->db);
    self->db = g_steal_pointer(&fresh->db);
    self->index_fd = fresh->index_fd;
    fresh->index_fd = -1;
    self->read_only = fresh->read_only;
    return TRUE;
}

/* A transaction or a statement that can be done again. */
typedef gboolean (*Write)(KhStore *self, gconstpointer data, GError **error);

static void
keep_reserve(KhStore *self)
{
    gint64 now = g_get_monotonic_time();

    if (self->reserve_tried > 0 && now - self->reserve_tried < RESERVE_INTERVAL_USEC)
        return;
    self->reserve_tried = now;
    kh_reserve_keep(self->reserve);
}

/*
 * What has been decided, or frees space, is written on a full disk, too: in the log's room
 * once that was moved to the database, then in the reserve's.
 */
static gboolean
write_anyway(KhStore *self, Write write, gconstpointer data, GError **error)
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

#define COLUMNS                                                                                    \
    "i.id, i.name, i.config, i.image, i.owner_uid, i.state, i.reason, i.error_name, "              \
    "i.error_message, i.formatted, i.created_usec, i.started_usec, i.ready_usec, "                 \
    "i.boot_time_usec, i.boot_id, i.shim_pid, i.shim_start, i.qemu_pid, i.qemu_start, "            \
    "i.pending, i.keep_data, i.stop_result, i.stopped_in, i.restart_count, i.restart_usec, "       \
    "i.measurement, i.pending_measurement, i.simulated, i.making, i.pending_secrets, "             \
    "i.state_changed_usec, i.exit_code"

static void
take_text(char **field, sqlite3_stmt *row, int column)
{
    g_free(*field);
    *field = text_at(row, column);
}

static void
read_texts(KhRecord *record, sqlite3_stmt *row)
{
    take_text(&record->id, row, 0);
    take_text(&record->name, row, 1);
    take_text(&record->reason, row, 6);
    take_text(&record->error_name, row, 7);
    take_text(&record->error_message, row, 8);
    take_text(&record->boot_id, row, 14);
    take_text(&record->stop_result, row, 21);
    take_text(&record->stopped_in, row, 22);
    take_text(&record->measurement, row, 25);
    take_text(&record->pending_measurement, row, 26);
    take_text(&record->pending_secrets, row, 29);
}

static void
read_numbers(KhRecord *record, sqlite3_stmt *row)
{
    record->owner_uid = (guint32)sqlite3_column_int64(row, 4);
    record->formatted = sqlite3_column_int(row, 9) != 0;
    record->created_usec = sqlite3_column_int64(row, 10);
    record->started_usec = sqlite3_column_int64(row, 11);
    record->ready_usec = sqlite3_column_int64(row, 12);
    record->boot_time_usec = sqlite3_column_int64(row, 13);
    record->shim.pid = sqlite3_column_int64(row, 15);
    record->shim.start_time = sqlite3_column_int64(row, 16);
    record->qemu.pid = sqlite3_column_int64(row, 17);
    record->qemu.start_time = sqlite3_column_int64(row, 18);
    record->keep_data = sqlite3_column_int(row, 20) != 0;
    record->restart_count = (guint)sqlite3_column_int64(row, 23);
    record->restart_usec = sqlite3_column_int64(row, 24);
    record->simulated = sqlite3_column_int(row, 27) != 0;
    record->making = sqlite3_column_int(row, 28) != 0;
    record->state_changed_usec = sqlite3_column_int64(row, 30);
    record->exit_code = sqlite3_column_int(row, 31);
    record->vm_uid =
        sqlite3_column_type(row, 32) == SQLITE_NULL ? -1 : sqlite3_column_int64(row, 32);
}

/* The column "image" is older than the key of that name, and holds what that is. */
static gboolean
read_configs(KhRecord *record, sqlite3_stmt *row, GError **error)
{
    g_autofree char *text = text_at(row, 2);
    g_autofree char *image = text_at(row, 3);
    g_autofree char *pending = text_at(row, 19);
    g_autoptr(KhConfig) config = kh_config_from_text(text, error);

    if (config == NULL)
        return FALSE;
    record->config = kh_config_with(config, "image", g_variant_new_string(image));
    if (pending[0] == '\0')
        return TRUE;
    record->pending = kh_config_from_text(pending, error);
    return record->pending != NULL;
}

/* An id, or that of an image, is a part of paths: of files and of objects. */
static gboolean
is_path_word(const char *text)
{
    for (const char *c = text; *c != '\0'; c++)
        if (!g_ascii_isalnum(*c) && *c != '-')
            return FALSE;
    return text[0] != '\0';
}

static gboolean
check_words(const KhRecord *record, GError **error)
{
    if (!kh_name_check(record->name, error))
        return FALSE;
    if (is_path_word(record->config->image) && is_path_word(kh_record_get_wanted(record)->image))
        return TRUE;
    g_set_error(error, KH_ERROR, KH_ERROR_FAILED, "its image has no id");
    return FALSE;
}

static gboolean
read_state(KhRecord *record, sqlite3_stmt *row, GError **error)
{
    g_autofree char *state = text_at(row, 5);

    if (kh_state_from_name(state, &record->state))
        return TRUE;
    g_set_error(error, KH_ERROR, KH_ERROR_FAILED, "unknown state \"%s\"", state);
    return FALSE;
}

static guint16
port_of(KhStore *self, const char *id)
{
    g_autoptr(sqlite3_stmt) row =
        kh_sql_prepare(self->db, NULL, "SELECT min(port) FROM ports WHERE instance_id=?", "s", id);

    return row != NULL && sqlite3_step(row) == SQLITE_ROW ? (guint16)sqlite3_column_int(row, 0) : 0;
}

/*
 * Of a row that cannot be understood what is left is shown, so that it can be deleted: it
 * holds a name, a port, a uid and files. It is never written to.
 */
static void
take_damaged(KhStore *self, KhRecord *record, const GError *reason)
{
    g_autoptr(KhConfig) defaults = kh_config_from_text("@a{sv} {}", NULL);
    g_autofree char *shown = kh_text_sanitize(reason->message, 200);

    g_warning("The database's row %s is damaged: %s", record->id, shown);
    record->damage = g_steal_pointer(&shown);
    kh_config_free(record->config);
    g_clear_pointer(&record->pending, kh_config_free);
    if (!kh_name_check(record->name, NULL)) {
        g_free(record->name);
        record->name = g_strdup(record->id);
    }
    record->config =
        kh_config_with(defaults, "rpc-port", g_variant_new_uint16(port_of(self, record->id)));
}

/* NULL for one that there can be no object and no folder of. */
static KhRecord *
read_record(KhStore *self, sqlite3_stmt *row)
{
    g_autoptr(KhRecord) record = kh_record_new();
    g_autoptr(GError) error = NULL;

    read_texts(record, row);
    if (!is_path_word(record->id)) {
        g_autofree char *shown = kh_text_sanitize(record->id, 80);

        g_warning(
            "The database has a row with the id \"%s\", which is not an instance's; it is left out",
            shown);
        return NULL;
    }
    read_numbers(record, row);
    /* Should its state be the damage: a machine that may live is looked for. */
    record->state = record->shim.pid > 0 ? KH_STATE_RUNNING : KH_STATE_FAILED;
    if (!read_state(record, row, &error) || !read_configs(record, row, &error) ||
        !check_words(record, &error))
        take_damaged(self, record, error);
    return g_steal_pointer(&record);
}

GPtrArray *
kh_store_load(KhStore *self, GError **error)
{
    g_autoptr(GPtrArray) records = g_ptr_array_new_with_free_func((GDestroyNotify)kh_record_free);
    g_autoptr(GError) failure = NULL;
    g_autoptr(sqlite3_stmt) row = kh_sql_prepare(self->db, error,
                                                 "SELECT " COLUMNS ", u.uid FROM instances i "
                                                 "LEFT JOIN uids u ON u.instance_id = i.id "
                                                 "ORDER BY i.created_usec, i.rowid",
                                                 "");

    if (row == NULL)
        return NULL;
    while (kh_sql_next(self->db, row, &failure)) {
        KhRecord *record = read_record(self, row);

        if (record != NULL)
            g_ptr_array_add(records, record);
    }
    if (failure != NULL) {
        g_propagate_error(error, g_steal_pointer(&failure));
        return NULL;
    }
    return g_steal_pointer(&records);
}

static char *
pending_text(const KhRecord *record)
{
    return record->pending == NULL ? g_strdup("") : kh_config_to_text(record->pending);
}

/* What never changes; update_row() writes the rest. */
static gboolean
insert_row(KhStore *self, const KhRecord *r, GError **error)
{
    return kh_sql_run(self->db, error,
                      "INSERT INTO instances VALUES(?,?,'','',?,'','','','',0,?,0,0,0,'',0,0,0,0,"
                      "'',0,'','',0,0,'','',0,1,'',0,-1)",
                      "ssii", r->id, r->name, (gint64)r->owner_uid, r->created_usec);
}

static gboolean
update_row(KhStore *self, const KhRecord *r, GError **error)
{
    g_autofree char *config = kh_config_to_text(r->config);
    g_autofree char *pending = pending_text(r);

    if (r->damage != NULL)
        return TRUE;
    return kh_sql_run(
        self->db, error,
        "UPDATE instances SET name=?, config=?, image=?, state=?, reason=?, error_name=?,"
        " error_message=?, formatted=?, started_usec=?, ready_usec=?, boot_time_usec=?,"
        " boot_id=?, shim_pid=?, shim_start=?, qemu_pid=?, qemu_start=?, pending=?, keep_data=?,"
        " stop_result=?, stopped_in=?, restart_count=?, restart_usec=?, measurement=?,"
        " pending_measurement=?, simulated=?, pending_secrets=?, state_changed_usec=?,"
        " exit_code=? WHERE id=?",
        "sssssssiiiisiiiisissiissisiis", r->name, config, r->config->image, kh_state_name(r->state),
        r->reason, r->error_name, r->error_message, (gint64)r->formatted, r->started_usec,
        r->ready_usec, r->boot_time_usec, r->boot_id, r->shim.pid, r->shim.start_time, r->qemu.pid,
        r->qemu.start_time, pending, (gint64)r->keep_data, r->stop_result, r->stopped_in,
        (gint64)r->restart_count, r->restart_usec, r->measurement, r->pending_measurement,
        (gint64)r->simulated, r->pending_secrets, r->state_changed_usec, (gint64)r->exit_code,
        r->id);
}

/* Names and ports of instances are for everybody to read. */
static void
set_port_taken(KhStore *self, guint16 port, GError **error)
{
    g_autoptr(sqlite3_stmt) row = kh_sql_prepare(
        self->db, NULL,
        "SELECT i.name FROM instances i JOIN ports p ON p.instance_id = i.id WHERE p.port=?", "i",
        (gint64)port);
    gboolean known = row != NULL && sqlite3_step(row) == SQLITE_ROW;

    if (known)
        g_set_error(error, KH_ERROR, KH_ERROR_PORT_UNAVAILABLE,
                    "Port %u belongs to the instance \"%s\"; choose another port", port,
                    (const char *)sqlite3_column_text(row, 0));
    else
        g_set_error(error, KH_ERROR, KH_ERROR_PORT_UNAVAILABLE,
                    "Port %u belongs to another instance; choose another port", port);
}

static gboolean
claim_port(KhStore *self, const KhRecord *record, guint16 port, GError **error)
{
    if (!kh_sql_run(self->db, error,
                    "INSERT INTO ports VALUES(?,'rpc',?) ON CONFLICT(port) DO UPDATE SET "
                    "purpose=purpose WHERE ports.instance_id=excluded.instance_id",
                    "is", (gint64)port, record->id))
        return FALSE;
    if (sqlite3_changes(self->db) == 1)
        return TRUE;
    set_port_taken(self, port, error);
    return FALSE;
}

/* Those of both configurations, and no other. */
static gboolean
write_ports(KhStore *self, const KhRecord *record, GError **error)
{
    guint16 now = record->config->rpc_port;
    guint16 next = kh_record_get_wanted(record)->rpc_port;

    return kh_sql_run(self->db, error,
                      "DELETE FROM ports WHERE instance_id=? AND port NOT IN (?,?)", "sii",
                      record->id, (gint64)now, (gint64)next) &&
           claim_port(self, record, now, error) && claim_port(self, record, next, error);
}

static gboolean
claim_uid(KhStore *self, const KhRecord *record, GError **error)
{
    if (record->vm_uid < 0)
        return TRUE;
    return kh_sql_run(self->db, error,
                      "INSERT INTO uids VALUES(?,0,?) ON CONFLICT(uid) DO UPDATE SET "
                      "instance_id=excluded.instance_id WHERE uids.instance_id IS NULL",
                      "is", record->vm_uid, record->id) &&
           sqlite3_changes(self->db) == 1;
}

static gboolean
exists(KhStore *self, const char *sql, const char *text, gint64 number)
{
    g_autoptr(sqlite3_stmt) row = text != NULL ? kh_sql_prepare(self->db, NULL, sql, "s", text)
                                               : kh_sql_prepare(self->db, NULL, sql, "i", number);

    return row != NULL && sqlite3_step(row) == SQLITE_ROW;
}

gboolean
kh_store_has_port(KhStore *self, guint16 port)
{
    return exists(self, "SELECT 1 FROM ports WHERE port=?", NULL, port);
}

gboolean
kh_store_check_port(KhStore *self, guint16 port, GError **error)
{
    if (!kh_store_has_port(self, port))
        return TRUE;
    set_port_taken(self, port, error);
    return FALSE;
}

guint
kh_store_count_ports(KhStore *self, guint16 first, guint16 last)
{
    g_autoptr(sqlite3_stmt) row =
        kh_sql_prepare(self->db, NULL, "SELECT count(*) FROM ports WHERE port BETWEEN ? AND ?",
                       "ii", (gint64)first, (gint64)last);

    return row != NULL && sqlite3_step(row) == SQLITE_ROW ? (guint)sqlite3_column_int(row, 0) : 0;
}

guint16
kh_store_find_port(KhStore *self, guint16 first, guint16 last)
{
    const guint8 *end = self->taken + last + 1, *from = self->taken + first, *found;

    while ((found = memchr(from, FALSE, (gsize)(end - from))) != NULL) {
        guint16 port = (guint16)(found - self->taken);

        if (!kh_store_has_port(self, port))
            return port;
        self->taken[port] = TRUE;
        from = found + 1;
    }
    return 0;
}

void
kh_store_set_patient(KhStore *self, gboolean patient)
{
    sqlite3_busy_timeout(self->db, patient ? BUSY_MS : 0);
}

/* A database that does not answer may have it. */
gboolean
kh_store_has_instance(KhStore *self, const char *id)
{
    g_autoptr(sqlite3_stmt) row =
        kh_sql_prepare(self->db, NULL, "SELECT 1 FROM instances WHERE id=?", "s", id);

    return row == NULL || sqlite3_step(row) != SQLITE_DONE;
}

/* The same: what nobody uses is removed. */
gboolean
kh_store_uses_image(KhStore *self, const char *image)
{
    g_autoptr(sqlite3_stmt) row = kh_sql_prepare(
        self->db, NULL, "SELECT 1 FROM instances WHERE image=?1 OR instr(pending, ?1) > 0", "s",
        image);

    return row == NULL || sqlite3_step(row) != SQLITE_DONE;
}

static gboolean
check_free(KhStore *self, const KhRecord *record, GError **error)
{
    if (exists(self, "SELECT 1 FROM instances WHERE name=?", record->name, 0)) {
        g_set_error(error, KH_ERROR, KH_ERROR_ALREADY_EXISTS,
                    "There is already an instance \"%s\"; choose another name", record->name);
        return FALSE;
    }
    return kh_store_check_port(self, record->config->rpc_port, error);
}

static gboolean
commit(KhStore *self, GError **error)
{
    kh_crash_point("store:uncommitted");
    return kh_sql_run(self->db, error, "COMMIT", "");
}

gboolean
kh_store_insert(KhStore *self, const KhRecord *record, GError **error)
{
    gboolean done;

    if (!open_for_writing(self, error) || !kh_sql_run(self->db, error, "BEGIN IMMEDIATE", ""))
        return FALSE;
    done = check_free(self, record, error) && insert_row(self, record, error) &&
           update_row(self, record, error) && write_ports(self, record, error) &&
           claim_uid(self, record, error) && commit(self, error);
    if (done)
        return TRUE;
    sqlite3_exec(self->db, "ROLLBACK", NULL, NULL, NULL);
    if (error != NULL && *error == NULL)
        g_set_error(error, KH_ERROR, KH_ERROR_RESOURCE_UNAVAILABLE,
                    "Uid %" G_GINT64_FORMAT " belongs to another instance", record->vm_uid);
    return FALSE;
}

static gboolean
finish_making(KhStore *self, gconstpointer id, GError **error)
{
    return kh_sql_run(self->db, error, "UPDATE instances SET making=0 WHERE id=?", "s", id);
}

gboolean
kh_store_finish_making(KhStore *self, const char *id, GError **error)
{
    return write_anyway(self, finish_making, id, error);
}

static gboolean
update(KhStore *self, gconstpointer record, GError **error)
{
    return update_row(self, record, error);
}

gboolean
kh_store_update(KhStore *self, const KhRecord *record, GError **error)
{
    return write_anyway(self, update, record, error);
}

static gboolean
reconfigure(KhStore *self, gconstpointer record, GError **error)
{
    gboolean done;

    forget_ports(self, ((const KhRecord *)record)->id);
    if (!kh_sql_run(self->db, error, "BEGIN IMMEDIATE", ""))
        return FALSE;
    done =
        update_row(self, record, error) && write_ports(self, record, error) && commit(self, error);
    if (!done)
        sqlite3_exec(self->db, "ROLLBACK", NULL, NULL, NULL);
    return done;
}

gboolean
kh_store_reconfigure(KhStore *self, const KhRecord *record, GError **error)
{
    return write_anyway(self, reconfigure, record, error);
}

static gboolean
remove_instance(KhStore *self, gconstpointer id, GError **error)
{
    gboolean done;

    forget_ports(self, id);
    if (!kh_sql_run(self->db, error, "BEGIN IMMEDIATE", ""))
        return FALSE;
    done = kh_sql_run(self->db, error,
                      "UPDATE uids SET released_usec=?, instance_id=NULL WHERE instance_id=?", "is",
                      g_get_real_time(), id) &&
           kh_sql_run(self->db, error, "DELETE FROM instances WHERE id=?", "s", id) &&
           commit(self, error);
    if (!done)
        sqlite3_exec(self->db, "ROLLBACK", NULL, NULL, NULL);
    return done;
}

gboolean
kh_store_remove(KhStore *self, const char *id, GError **error)
{
    /* There may be room for it now. */
    self->reserve_tried = 0;
    return write_anyway(self, remove_instance, id, error);
}

gboolean
kh_store_has_uid(KhStore *self, guint32 uid)
{
    return exists(self, "SELECT 1 FROM uids WHERE uid=?", NULL, uid);
}

GArray *
kh_store_uids(KhStore *self, GError **error)
{
    g_autoptr(GArray) uids = g_array_new(FALSE, FALSE, sizeof(KhUidRow));
    g_autoptr(GError) failure = NULL;
    g_autoptr(sqlite3_stmt) row =
        kh_sql_prepare(self->db, error,
                       "SELECT uid, instance_id IS NOT NULL, released_usec FROM uids "
                       "ORDER BY released_usec, uid",
                       "");

    if (row == NULL)
        return NULL;
    while (kh_sql_next(self->db, row, &failure)) {
        KhUidRow uid = {(guint32)sqlite3_column_int64(row, 0), sqlite3_column_int(row, 1) != 0,
                        sqlite3_column_int64(row, 2)};

        g_array_append_val(uids, uid);
    }
    if (failure != NULL) {
        g_propagate_error(error, g_steal_pointer(&failure));
        return NULL;
    }
    return g_steal_pointer(&uids);
}

char *
kh_store_get_setting(KhStore *self, const char *key)
{
    g_autoptr(sqlite3_stmt) row =
        kh_sql_prepare(self->db, NULL, "SELECT value FROM settings WHERE key=?", "s", key);

    if (row == NULL || sqlite3_step(row) != SQLITE_ROW)
        return NULL;
    return text_at(row, 0);
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

    return write_anyway(self, set_setting, &setting, error);
}
