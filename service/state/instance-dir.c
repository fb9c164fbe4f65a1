/* SPDX-License-Identifier: MIT */
/* Safe access to an instance's folders; see instance-dir.h. */
#include "instance-dir.h"

#include <fcntl.h>
#include <limits.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "auto-fd.h"
#include "error.h"
#include "names.h"

static uid_t
owner_of(gint64 uid)
{
    return uid < 0 ? geteuid() : (uid_t)uid;
}

/* Some file systems have no fsync of folders: then there is nothing to wait for. */
gboolean
kh_instance_dir_sync(int fd, const char *name, GError **error)
{
    return fsync(fd) == 0 || errno == EINVAL || errno == ENOTSUP ||
           kh_error_set_errno(error, name, "written to the disk");
}

static gboolean
is_link(int parent, const char *name)
{
    struct stat st;

    return fstatat(parent, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISLNK(st.st_mode);
}

static char *
path_in(int parent, const char *name)
{
    g_autofree char *link = g_strdup_printf("/proc/self/fd/%d", parent);
    g_autofree char *folder = g_file_read_link(link, NULL);

    return folder == NULL ? g_strdup(name) : g_build_filename(folder, name, NULL);
}

/* A link in a folder's place is ENOTDIR to open(2). An administrator has put it there. */
gboolean
kh_instance_dir_fail(int parent, const char *name, const char *doing, GError **error)
{
    int saved = errno;
    gboolean linked = saved == ENOTDIR && is_link(parent, name);
    g_autofree char *path = linked ? path_in(parent, name) : kh_text_sanitize(name, NAME_MAX);

    errno = linked ? ELOOP : saved;
    return kh_error_set_errno(error, path, doing);
}

int
kh_instance_dir_open(int parent, const char *name, GError **error)
{
    int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

    if (fd < 0)
        kh_instance_dir_fail(parent, name, "opened", error);
    return fd;
}

/* A folder may have lost its mode's bits; giving them back must follow no link either. */
static int
open_closed(int parent, const char *name)
{
    g_auto(KhFd) place = openat(parent, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    g_autofree char *path = g_strdup_printf("/proc/self/fd/%d", place);

    return place < 0 || chmod(path, 0700) != 0
               ? -1
               : openat(place, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

int
kh_instance_dir_open_closed(int parent, const char *name, GError **error)
{
    int fd = open_closed(parent, name);

    if (fd < 0)
        kh_instance_dir_fail(parent, name, "opened", error);
    return fd;
}

static gboolean
is_plain_file_of(int fd, uid_t uid)
{
    struct stat st;

    return fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_nlink == 1 && st.st_uid == uid;
}

int
kh_instance_dir_open_file(int folder, const char *name, gint64 uid, GError **error)
{
    g_auto(KhFd) fd =
        openat(folder, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);

    if (fd < 0)
        kh_error_set_errno(error, name, "opened");
    else if (is_plain_file_of(fd, owner_of(uid)))
        return g_steal_fd(&fd);
    else
        kh_error_set(error, KH_ERROR_FAILED,
                     "%s is not a plain file of the machine's user; it was left alone", name);
    return -1;
}

char *
kh_instance_dir_read(int folder, const char *name, gint64 uid, gsize max, GError **error)
{
    g_auto(KhFd) fd = kh_instance_dir_open_file(folder, name, uid, error);
    g_autofree char *text = NULL;

    if (fd < 0)
        return NULL;
    text = g_malloc0(max + 1);
    if (pread(fd, text, max, 0) >= 0)
        return g_steal_pointer(&text);
    kh_error_set_errno(error, name, "read");
    return NULL;
}

/* Of the socket itself, by its own descriptor: nothing else can be in its place any more. */
static int
connect_to(int place)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    g_auto(KhFd) fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    g_snprintf(address.sun_path, sizeof address.sun_path, "/proc/self/fd/%d", place);
    if (fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof address) != 0)
        return -1;
    return g_steal_fd(&fd);
}

static gboolean
is_socket_of(int place, uid_t uid)
{
    struct stat st;

    return fstat(place, &st) == 0 && S_ISSOCK(st.st_mode) && st.st_uid == uid;
}

static gboolean
is_served_by(int fd, uid_t uid, pid_t *pid)
{
    struct ucred peer = {0};
    socklen_t length = sizeof peer;
    gboolean known = getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &length) == 0;

    *pid = peer.pid;
    return known && peer.uid == uid;
}

int
kh_instance_dir_connect(int folder, const char *name, gint64 uid, pid_t *pid, GError **error)
{
    g_auto(KhFd) place = openat(folder, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    gboolean good = place >= 0 && is_socket_of(place, owner_of(uid));
    g_auto(KhFd) fd = good ? connect_to(place) : -1;

    if (good && fd < 0 && errno == ECONNREFUSED)
        kh_error_set(error, KH_ERROR_NOT_FOUND, "Nobody listens on %s any more", name);
    else if (place < 0 || (good && fd < 0))
        kh_error_set_errno(error, name, "connected to");
    else if (good && is_served_by(fd, owner_of(uid), pid))
        return g_steal_fd(&fd);
    else
        kh_error_set(error, KH_ERROR_NOT_AUTHORIZED,
                     "%s is not a socket of the machine's user %u, served by it", name,
                     owner_of(uid));
    return -1;
}
