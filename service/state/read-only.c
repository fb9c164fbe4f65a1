/* SPDX-License-Identifier: MIT */
/* Whether a file system is read-only; see read-only.h. */
#include "read-only.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <sys/statvfs.h>
#include <unistd.h>

/*
 * One that the kernel has closed for its errors need not have the flag (ext4 since Linux 6.14), so
 * a file is made that nobody sees. What cannot be made for another reason is not read-only.
 */
gboolean
kh_read_only_folder(int folder)
{
    struct statvfs info;
    int fd;

    if (fstatvfs(folder, &info) == 0 && (info.f_flag & ST_RDONLY) != 0)
        return TRUE;
    fd = openat(folder, ".", O_TMPFILE | O_WRONLY | O_CLOEXEC, 0600);
    if (fd < 0)
        return errno == EROFS;
    close(fd);
    return FALSE;
}

gboolean
kh_read_only_parent(const char *path)
{
    g_autofree char *parent = g_path_get_dirname(path);
    int folder = g_open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
    gboolean read_only = folder >= 0 && kh_read_only_folder(folder);

    if (folder >= 0)
        close(folder);
    return read_only;
}
