/* SPDX-License-Identifier: MIT */
/* Room for a full disk; see reserve.h. */
#include "reserve.h"

#include <fcntl.h>
#include <glib/gstdio.h>
#include <sys/statvfs.h>
#include <unistd.h>

/* The index of the log has 32 KiB, and is mapped: its room must be there when it is touched. */
#define ROOM_BYTES (256 * 1024)
#define RESERVE_MIN (64 * 1024)

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

static gboolean
allocate(int fd)
{
    for (off_t size = KH_RESERVE_BYTES; size >= RESERVE_MIN; size /= 2)
        if (posix_fallocate(fd, 0, size) == 0)
            return TRUE;
    return FALSE;
}

void
kh_reserve_keep(KhReserve *reserve)
{
    int fd = g_open(reserve->path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);

    if (fd < 0)
        return;
    if (!allocate(fd))
        g_unlink(reserve->path);
    close(fd);
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
