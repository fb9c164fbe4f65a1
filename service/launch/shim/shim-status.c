/* SPDX-License-Identifier: MIT */
/* The exit-status file. */
#include "shim-status.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "shim-folder.h"

/* Longer than any status. */
static const char blank[] = "                               \n";

bool
kh_shim_status_clear(int folder, KhShimError *error)
{
    static const char *const names[] = {KH_FILE_EXIT_STATUS, KH_FILE_EXIT_STATUS_NEW};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (!kh_shim_remove(folder, names[i]))
            return kh_shim_fail_in_the_way(folder, names[i], error);
    return true;
}

int
kh_shim_status_reserve(int folder)
{
    int reserved = kh_shim_create(folder, KH_FILE_EXIT_STATUS_NEW);
    if (reserved >= 0 && (fcntl(reserved, F_SETFL, 0) < 0 ||
                          write(reserved, blank, strlen(blank)) != (ssize_t)strlen(blank))) {
        close(reserved);
        reserved = -1;
    }
    return reserved;
}

/* QEMU may have put something else in the place of the file. */
static bool
is_in_place(int folder, int reserved)
{
    struct stat ours, found;
    return reserved >= 0 && fstat(reserved, &ours) == 0 &&
           fstatat(folder, KH_FILE_EXIT_STATUS_NEW, &found, AT_SYMLINK_NOFOLLOW) == 0 &&
           ours.st_ino == found.st_ino && ours.st_dev == found.st_dev && ours.st_nlink == 1;
}

bool
kh_shim_status_write(int folder, int reserved, int status, const char *word, KhShimError *error)
{
    char line[sizeof blank];
    int length = WIFSIGNALED(status)
                     ? snprintf(line, sizeof line, "signaled %d%s\n", WTERMSIG(status), word)
                     : snprintf(line, sizeof line, "exited %d%s\n", WEXITSTATUS(status), word);
    int fd = reserved;
    if (!is_in_place(folder, reserved)) {
        if (reserved >= 0)
            close(reserved);
        fd = kh_shim_create(folder, KH_FILE_EXIT_STATUS_NEW);
        if (fd < 0)
            return kh_shim_fail_errno(error, "cannot create " KH_FILE_EXIT_STATUS_NEW);
        fcntl(fd, F_SETFL, 0);
    }
    bool written = pwrite(fd, line, length, 0) == length && ftruncate(fd, length) == 0;
    close(fd);
    if (!written || !kh_shim_move(folder, KH_FILE_EXIT_STATUS_NEW, folder, KH_FILE_EXIT_STATUS))
        return kh_shim_fail_errno(error, "cannot write " KH_FILE_EXIT_STATUS);
    return true;
}
