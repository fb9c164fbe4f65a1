/* SPDX-License-Identifier: MIT */
/* Whether a file system is read-only; see read-only.h. */
#include "read-only.h"

#include "auto-fd.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <sys/statvfs.h>

/*
 * One that the kernel has closed for its errors need not have the flag (ext4 since Linux 6.14), so
 * a file is made that nobody sees. What cannot be made for another reason is not read-only.
 */
gboolean
kh_read_only_folder(int folder)
{
    struct statvfs info;
    g_auto(KhFd) fd = -1;

    if (fstatvfs(folder, &info) == 0 && (info.f_flag & ST_RDONLY) != 0)
        return TRUE;
    fd = openat(folder, ".", O_TMPFILE | O_WRONLY | O_CLOEXEC, 0600);
    return fd < 0 && errno == EROFS;
}

gboolean
kh_read_only_parent(const char *path)
{
    g_autofree char *parent = g_path_get_dirname(path);
    g_auto(KhFd) folder = g_open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);

    return folder >= 0 && kh_read_only_folder(folder);
}
