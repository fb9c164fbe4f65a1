/* SPDX-License-Identifier: MIT */
/* Work in folders whose contents are hostile. See the header. */
#include "shim-folder.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "shim-trash.h"

int
kh_shim_folder_open(const char *path)
{
    return open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

bool
kh_shim_folder_check(int folder, const char *path, KhShimError *error)
{
    struct stat status;
    if (fstat(folder, &status) < 0)
        return kh_shim_fail_errno(error, "cannot examine %s", path);
    if (status.st_uid != geteuid())
        return kh_shim_fail(error, "%s belongs to uid %u; give it to uid %u of the machine", path,
                            status.st_uid, geteuid());
    if ((status.st_mode & 022) != 0)
        return kh_shim_fail(error, "%s can be written by others; set its mode to 0700", path);
    return true;
}

int
kh_shim_open_component(const char *path, KhShimError *error)
{
    struct stat status;
    int fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (fd < 0) {
        kh_shim_fail_errno(error, "cannot open the boot component %s", path);
        return -1;
    }
    if (fstat(fd, &status) < 0 || !S_ISREG(status.st_mode)) {
        close(fd);
        kh_shim_fail(error, "the boot component %s is not a regular file", path);
        return -1;
    }
    return fd;
}

bool
kh_shim_remove(int folder, const char *name)
{
    if (unlinkat(folder, name, 0) == 0 || errno == ENOENT)
        return true;
    if (errno != EISDIR && errno != EPERM)
        return false;
    if (unlinkat(folder, name, AT_REMOVEDIR) == 0 || kh_shim_set_aside(folder, name, folder))
        return true;
    return (errno == ENOSPC || errno == EDQUOT) && kh_shim_clear(folder, name);
}

static const char *
kind_of(mode_t mode)
{
    return S_ISDIR(mode) ? "a folder" : S_ISREG(mode) ? "a file" : "something";
}

bool
kh_shim_fail_in_the_way(int folder, const char *name, KhShimError *error)
{
    char link[40], path[256];
    struct stat status = {0};
    int saved = errno;
    bool found = fstatat(folder, name, &status, AT_SYMLINK_NOFOLLOW) == 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", folder);
    ssize_t length = readlink(link, path, sizeof path);
    errno = saved;
    return kh_shim_fail_errno(error,
                              "%s is in the place of %s and cannot be removed; remove it by hand, "
                              "and start again: %.*s/%s",
                              found ? kind_of(status.st_mode) : "something", name,
                              length > 0 ? (int)length : 0, path, name);
}

int
kh_shim_create(int folder, const char *name)
{
    const int flags =
        O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC;
    int fd = openat(folder, name, flags, 0600);
    if (fd >= 0 || errno != EEXIST)
        return fd;
    if (!kh_shim_remove(folder, name))
        return -1;
    return openat(folder, name, flags, 0600);
}

bool
kh_shim_move(int from, const char *name, int to, const char *target)
{
    if (renameat(from, name, to, target) == 0)
        return true;
    if (errno == ENOENT || !kh_shim_remove(to, target))
        return false;
    return renameat(from, name, to, target) == 0;
}

bool
kh_shim_is_own_file(const struct stat *status)
{
    return S_ISREG(status->st_mode) && status->st_nlink == 1 && status->st_uid == geteuid();
}

/* A path of a socket has 107 bytes at most, so it is bound by its bare name. */
static bool
bind_here(int fd, const char *name)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "%s", name);
    mode_t old = umask(0177);
    bool bound = bind(fd, (const struct sockaddr *)&address, sizeof address) == 0;
    umask(old);
    return bound && listen(fd, 8) == 0;
}

int
kh_shim_listen(int folder, const char *name, KhShimError *error)
{
    if (!kh_shim_remove(folder, name)) {
        kh_shim_fail_in_the_way(folder, name, error);
        return -1;
    }
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0 || fchdir(folder) < 0 || !bind_here(fd, name)) {
        kh_shim_fail_errno(error, "cannot make the socket %s", name);
        if (fd >= 0)
            close(fd);
        return -1;
    }
    return fd;
}

int
kh_shim_accept(int listener, uid_t service_uid)
{
    struct ucred peer;
    socklen_t length = sizeof peer;
    int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0)
        return -1;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &length) == 0 &&
        (peer.uid == service_uid || peer.uid == 0))
        return fd;
    close(fd);
    return -1;
}
