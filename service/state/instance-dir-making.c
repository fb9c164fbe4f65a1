/* SPDX-License-Identifier: MIT */
/* What the service makes in an instance's folders; see instance-dir-making.h. */
#include "instance-dir-making.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "auto-fd.h"
#include "crash-point.h"
#include "error.h"
#include "instance-dir-removal.h"
#include "instance-dir.h"
#include "write-all.h"

static gboolean
give(int fd, gint64 uid)
{
    return uid < 0 || fchown(fd, (uid_t)uid, (gid_t)uid) == 0;
}

gboolean
kh_instance_dir_create(int parent, const char *name, gint64 uid, GError **error)
{
    g_auto(KhFd) fd = -1;

    if (mkdirat(parent, name, 0700) != 0)
        return kh_error_set_errno(error, name, "made");
    kh_crash_point("folder:bare");
    fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 || fchmod(fd, 0700) != 0 || !give(fd, uid))
        kh_error_set_errno(error, name, "given to the machine's user");
    else if (kh_instance_dir_sync(fd, name, error) && kh_instance_dir_sync(parent, name, error))
        return TRUE;
    unlinkat(parent, name, AT_REMOVEDIR);
    return FALSE;
}

/* A file that is not what it was to be does not stay. */
static gboolean
check_done(gboolean done, int folder, const char *name, const char *doing, GError **error)
{
    if (done)
        return TRUE;
    kh_error_set_errno(error, name, doing);
    unlinkat(folder, name, 0);
    return FALSE;
}

static int
create_file(int folder, const char *name, gint64 uid, GError **error)
{
    g_auto(KhFd) fd =
        openat(folder, name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);

    if (fd < 0)
        kh_error_set_errno(error, name, "created");
    else if (check_done(give(fd, uid), folder, name, "given to the machine's user", error))
        return g_steal_fd(&fd);
    return -1;
}

gboolean
kh_instance_dir_write(int folder, const char *name, gint64 uid, const char *text, GError **error)
{
    gsize length = strlen(text);
    g_auto(KhFd) fd =
        kh_instance_dir_clear(folder, name, error) ? create_file(folder, name, uid, error) : -1;

    return fd >= 0 &&
           check_done(kh_write_all(fd, text, length) == length, folder, name, "written", error);
}

gboolean
kh_instance_dir_sync_file(int folder, const char *name, gint64 uid, GError **error)
{
    g_auto(KhFd) fd = kh_instance_dir_open_file(folder, name, uid, error);

    return fd >= 0 &&
           (fdatasync(fd) == 0 || kh_error_set_errno(error, name, "written to the disk")) &&
           kh_instance_dir_sync(folder, name, error);
}

gboolean
kh_instance_dir_create_disk(int folder, const char *name, gint64 uid, guint64 size, GError **error)
{
    g_auto(KhFd) fd = create_file(folder, name, uid, error);

    return fd >= 0 &&
           check_done(ftruncate(fd, (off_t)size) == 0, folder, name, "given its size", error);
}
