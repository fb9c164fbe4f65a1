/* SPDX-License-Identifier: MIT */
/* The database's file before SQLite has it; see database-file.h. */
#include "database-file.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <string.h>
#include <unistd.h>

#include "auto-fd.h"
#include "error.h"
#include "read-only.h"

#define DB_HEADER 100
#define WAL_HEADER 32
#define WAL_FRAME 24
#define WAL_MAGIC 0x377f0683 /* or one less */

static guint32
big_endian_at(const guint8 *bytes)
{
    guint32 number;

    memcpy(&number, bytes, sizeof number);
    return GUINT32_FROM_BE(number);
}

/* NULL where there is none. */
static char *
describe_one(const char *path, const char *suffix)
{
    g_autofree char *copy = g_strconcat(path, suffix, NULL);
    g_autoptr(GDateTime) time = NULL;
    g_autofree char *shown = NULL;
    GStatBuf status;

    if (g_lstat(copy, &status) != 0)
        return NULL;
    time = g_date_time_new_from_unix_utc(status.st_mtime);
    shown = g_date_time_format(time, "%Y-%m-%d %H:%M UTC");
    return g_strdup_printf("put its copy %s, of %s, in its place", copy, shown);
}

char *
kh_database_file_find_copy(const char *path)
{
    char *text = describe_one(path, KH_COPIES_SUFFIX);

    return text != NULL ? text : describe_one(path, KH_COPIES_OLDER_SUFFIX);
}

/* Or its first page is damaged, should there have been one to copy. */
static gboolean
set_foreign(const char *path, GError **error)
{
    g_autofree char *copy = kh_database_file_find_copy(path);

    if (copy == NULL)
        g_set_error(error, KH_ERROR, KH_ERROR_FAILED,
                    "%s is not a database of this program and was left as it is; move it away, "
                    "or set another state-dir",
                    path);
    else
        g_set_error(error, KH_ERROR, KH_ERROR_FAILED,
                    "%s is not a database of this program, or is damaged, and was left as it is; "
                    "stop the service, move it away with its -wal and -shm, and %s",
                    path, copy);
    return FALSE;
}

/*
 * Of a database's first page (sqlite.org/fileformat2.html, 1.3: user version at 60,
 * application id at 68). It is looked at without SQLite, which might recover or checkpoint
 * what is not for this program.
 */
static gboolean
check_header(const char *path, const guint8 *header, guint known, GError **error)
{
    guint32 version = big_endian_at(header + 60);

    if (memcmp(header, "SQLite format 3", 16) != 0 ||
        big_endian_at(header + 68) != KH_DATABASE_APPLICATION_ID)
        return set_foreign(path, error);
    if (version > known)
        return kh_error_set(
            error, KH_ERROR_FAILED,
            "%s has the schema version %u, but this program only knows versions up to %u; "
            "install the newer program, or set another state-dir",
            path, version, known);
    return TRUE;
}

static gboolean
read_at(int fd, guint8 *bytes, gsize length, guint64 offset)
{
    return pread(fd, bytes, length, (off_t)offset) == (ssize_t)length;
}

/*
 * What a program that was killed has not brought into the main file (ibid., 4): each frame of
 * the log is a page, and those of the first page may say more than the file does. A frame
 * with another salt than the log's is of an earlier log, and is not looked at by SQLite either.
 */
static gboolean
check_log(const char *path, int fd, guint known, GError **error)
{
    guint8 log[WAL_HEADER], frame[WAL_FRAME], header[DB_HEADER];
    guint64 page_size;

    if (!read_at(fd, log, sizeof log, 0) || (big_endian_at(log) | 1) != WAL_MAGIC)
        return TRUE;
    page_size = big_endian_at(log + 8);
    for (guint64 at = sizeof log; read_at(fd, frame, sizeof frame, at);
         at += sizeof frame + page_size)
        if (big_endian_at(frame) == 1 && memcmp(frame + 8, log + 16, 8) == 0 &&
            read_at(fd, header, sizeof header, at + sizeof frame) &&
            !check_header(path, header, known, error))
            return FALSE;
    return TRUE;
}

static gboolean
check_log_file(const char *path, guint known, GError **error)
{
    g_autofree char *log = g_strconcat(path, "-wal", NULL);
    g_auto(KhFd) fd = g_open(log, O_RDONLY | O_NOFOLLOW | O_CLOEXEC, 0);

    if (fd < 0)
        return errno == ENOENT || kh_error_set_errno(error, log, "opened");
    return check_log(path, fd, known, error);
}

/* That it is there at all must outlive a power cut as what is written into it does. */
static gboolean
sync_parent(const char *path, GError **error)
{
    g_autofree char *parent = g_path_get_dirname(path);
    g_auto(KhFd) fd = g_open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);

    return (fd >= 0 && fsync(fd) == 0) || kh_error_set_errno(error, parent, "synced");
}

gboolean
kh_database_file_check(const char *path, guint known, GError **error)
{
    gboolean read_only = kh_read_only_parent(path);
    const int access = read_only ? O_RDONLY : O_RDWR | O_CREAT;
    g_auto(KhFd) fd = g_open(path, access | O_NOFOLLOW | O_CLOEXEC, 0600);
    guint8 header[DB_HEADER];
    ssize_t n;

    if (fd < 0)
        return kh_error_set_errno(error, path, "opened");
    n = pread(fd, header, sizeof header, 0);
    if (n == 0 && !read_only)
        return sync_parent(path, error);
    if (n < (ssize_t)sizeof header)
        memset(header, 0, sizeof header);
    return check_header(path, header, known, error) && check_log_file(path, known, error);
}
