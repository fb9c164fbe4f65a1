/* SPDX-License-Identifier: MIT */
/* Room for a full disk; see reserve.h. */
#include "reserve.h"

#include "auto-fd.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

/* The index of the log has 32 KiB, and is mapped: its room must be there when it is touched. */
#define ROOM_BYTES (256 * 1024)
/* Less than this is not taken. */
#define STEP_MIN 4096

struct _KhReserve {
    char *database;
    char *path;
};

KhReserve *
kh_reserve_new(const char *path)
{
    KhReserve *reserve = g_new0(KhReserve, 1);

    reserve->database = g_strdup(path);
    reserve->path = g_strconcat(path, KH_RESERVE_SUFFIX, NULL);
    return reserve;
}

void
kh_reserve_free(KhReserve *reserve)
{
    g_free(reserve->database);
    g_free(reserve->path);
    g_free(reserve);
}

/* -1: not now. What would free nothing, were it removed, is replaced: a link, or one of two. */
static int
open_file(const char *path)
{
    const int flags = O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC;
    g_auto(KhFd) fd = g_open(path, flags | O_NONBLOCK, 0600);
    struct stat status;

    if (fd < 0 && errno != ELOOP)
        return -1;
    if (fd >= 0 && fstat(fd, &status) == 0 && S_ISREG(status.st_mode) && status.st_nlink == 1)
        return g_steal_fd(&fd);
    g_unlink(path);
    return g_open(path, flags | O_EXCL, 0600);
}

/* Root may use what the file system keeps from others. */
static guint64
free_bytes(const struct statvfs *info)
{
    return (guint64)(geteuid() == 0 ? info->f_bfree : info->f_bavail) * info->f_frsize;
}

/* The size that a file has does not say whether there are holes in it. */
static void
fill(int fd)
{
    struct statvfs info;
    struct stat status;
    guint64 has, more;

    if (fstat(fd, &status) != 0 || fstatvfs(fd, &info) != 0)
        return;
    has = (guint64)status.st_blocks * 512;
    if (has >= KH_RESERVE_BYTES)
        return;
    for (more = MIN(KH_RESERVE_BYTES - has, free_bytes(&info)); more >= STEP_MIN; more /= 2)
        if (posix_fallocate(fd, 0, (off_t)(has + more)) == 0)
            return;
}

void
kh_reserve_keep(KhReserve *reserve)
{
    g_auto(KhFd) fd = open_file(reserve->path);

    if (fd >= 0)
        fill(fd);
}

gboolean
kh_reserve_give_up(KhReserve *reserve)
{
    return g_unlink(reserve->path) == 0;
}

void
kh_reserve_make_room(KhReserve *reserve)
{
    g_autofree char *folder = g_path_get_dirname(reserve->database);
    struct statvfs info;

    if (statvfs(folder, &info) == 0 && (guint64)info.f_bavail * info.f_frsize < ROOM_BYTES)
        kh_reserve_give_up(reserve);
}
