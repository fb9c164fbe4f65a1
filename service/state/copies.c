/* SPDX-License-Identifier: MIT */
/* Copies of the database; see copies.h. */
#include "copies.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "auto-fd.h"
#include "error.h"
#include "read-only.h"
#include "reserve.h"
#include "sql.h"

#define DAY_S (24 * 60 * 60)
#define INTERVAL_S (60 * 60)

struct _KhCopies {
    GObject parent_instance;
    char *path; /* of the database */
    guint timer;
    gboolean writing;
    gboolean complained; /* since the last that was written */
};

G_DEFINE_FINAL_TYPE(KhCopies, kh_copies, G_TYPE_OBJECT)

static void
kh_copies_dispose(GObject *object)
{
    g_clear_handle_id(&KH_COPIES(object)->timer, g_source_remove);
    G_OBJECT_CLASS(kh_copies_parent_class)->dispose(object);
}

static void
kh_copies_finalize(GObject *object)
{
    g_free(KH_COPIES(object)->path);
    G_OBJECT_CLASS(kh_copies_parent_class)->finalize(object);
}

static void
kh_copies_class_init(KhCopiesClass *class)
{
    G_OBJECT_CLASS(class)->dispose = kh_copies_dispose;
    G_OBJECT_CLASS(class)->finalize = kh_copies_finalize;
}

static void
kh_copies_init(KhCopies *self)
{
}

KhCopies *
kh_copies_new(const char *path)
{
    KhCopies *self = g_object_new(KH_TYPE_COPIES, NULL);

    self->path = g_strdup(path);
    return self;
}

/* A copy is as large as the database at most; as much again is left for that. */
static gboolean
check_room(sqlite3 *db, const char *path, GError **error)
{
    g_autofree char *folder = g_path_get_dirname(path);
    gint64 pages, page_size;
    struct statvfs info;

    if (!kh_sql_number(db, "PRAGMA page_count", &pages, error) ||
        !kh_sql_number(db, "PRAGMA page_size", &page_size, error))
        return FALSE;
    if (statvfs(folder, &info) != 0)
        return kh_error_set_errno(error, folder, "looked at");
    if ((guint64)info.f_bavail * info.f_frsize >=
        (guint64)(2 * pages * page_size) + KH_RESERVE_BYTES)
        return TRUE;
    return kh_error_set(error, KH_ERROR_RESOURCE_UNAVAILABLE,
                        "%s has too little space for a copy of the database; free some", folder);
}

/* Its mode from the start: VACUUM INTO takes an empty file as it is. */
static gboolean
make_empty(const char *path, GError **error)
{
    g_auto(KhFd) fd = -1;

    g_unlink(path);
    fd = g_open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    return fd >= 0 || kh_error_set_errno(error, path, "made");
}

static gboolean
sync_path(const char *path, int flags, GError **error)
{
    g_auto(KhFd) fd = g_open(path, O_RDONLY | O_CLOEXEC | flags, 0);

    return (fd >= 0 && fsync(fd) == 0) || kh_error_set_errno(error, path, "synced");
}

/* @temporary is whole and on the disk, or not there. */
static gboolean
write_whole(sqlite3 *db, const char *temporary, GError **error)
{
    if (check_room(db, temporary, error) && make_empty(temporary, error) &&
        kh_sql_run(db, error, "VACUUM INTO ?", "s", temporary) &&
        sync_path(temporary, O_NOFOLLOW, error))
        return TRUE;
    g_unlink(temporary);
    return FALSE;
}

static gboolean
put_in_place(const char *temporary, const char *path, GError **error)
{
    g_autofree char *folder = g_path_get_dirname(path);

    return (g_rename(temporary, path) == 0 || kh_error_set_errno(error, path, "replaced")) &&
           sync_path(folder, O_DIRECTORY, error);
}

gboolean
kh_copies_write(sqlite3 *db, const char *path, GError **error)
{
    g_autofree char *temporary = g_strconcat(path, ".new", NULL);

    return write_whole(db, temporary, error) && put_in_place(temporary, path, error);
}

/* An emptied database may be one that was lost: its copy takes the place of no other. */
static gboolean
write_daily(sqlite3 *db, const char *path, GError **error)
{
    g_autofree char *newest = g_strconcat(path, KH_COPIES_SUFFIX, NULL);
    g_autofree char *older = g_strconcat(path, KH_COPIES_OLDER_SUFFIX, NULL);
    g_autofree char *temporary = g_strconcat(newest, ".new", NULL);
    gint64 count;

    if (!kh_sql_number(db, "SELECT count(*) FROM instances", &count, error))
        return FALSE;
    if (count == 0)
        return TRUE;
    if (!write_whole(db, temporary, error))
        return FALSE;
    if (g_rename(newest, older) != 0 && errno != ENOENT)
        return kh_error_set_errno(error, newest, "kept");
    return put_in_place(temporary, newest, error);
}

static void
write_in_thread(GTask *task, gpointer source, gpointer data, GCancellable *cancellable)
{
    const char *path = KH_COPIES(source)->path;
    GError *error = NULL;
    g_autoptr(sqlite3) db = kh_sql_open(path, SQLITE_OPEN_READONLY, &error);

    if (db != NULL && write_daily(db, path, &error))
        g_task_return_boolean(task, TRUE);
    else
        g_task_return_error(task, error);
}

static void
on_written(GObject *source, GAsyncResult *result, gpointer data)
{
    KhCopies *self = KH_COPIES(source);
    g_autoptr(GError) error = NULL;

    self->writing = FALSE;
    g_task_propagate_boolean(G_TASK(result), &error);
    if (error != NULL && !self->complained)
        g_warning("The daily copy of the database could not be written; it will be tried again: %s",
                  error->message);
    self->complained = error != NULL;
}

/* The clock may have gone back since: a copy of the future is no newer one. */
static gboolean
is_due(KhCopies *self)
{
    g_autofree char *newest = g_strconcat(self->path, KH_COPIES_SUFFIX, NULL);
    gint64 now = g_get_real_time() / G_USEC_PER_SEC;
    GStatBuf status;

    return g_stat(newest, &status) != 0 || status.st_mtime > now || now - status.st_mtime >= DAY_S;
}

static gboolean
on_timer(gpointer data)
{
    KhCopies *self = data;
    g_autoptr(GTask) task = NULL;

    if (self->writing || !is_due(self) || kh_read_only_parent(self->path))
        return G_SOURCE_CONTINUE;
    self->writing = TRUE;
    task = g_task_new(self, NULL, on_written, NULL);
    g_task_set_source_tag(task, on_timer);
    g_task_run_in_thread(task, write_in_thread);
    return G_SOURCE_CONTINUE;
}

void
kh_copies_start(KhCopies *self)
{
    if (self->timer != 0)
        return;
    self->timer = g_timeout_add_seconds(INTERVAL_S, on_timer, self);
    on_timer(self);
}

gboolean
kh_copies_is_writing(KhCopies *self)
{
    return self->writing;
}
