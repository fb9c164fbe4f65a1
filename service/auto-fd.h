/* SPDX-License-Identifier: MIT */
/*
 * A descriptor that is closed where its variable ends, and errno stays: g_auto(KhFd), and
 * g_steal_fd() for what is kept. Used wherever a file is open within a function.
 */
#pragma once

#include <errno.h>
#include <glib.h>
#include <unistd.h>

typedef int KhFd;

static inline void
kh_fd_close(KhFd fd)
{
    int saved = errno;

    close(fd);
    errno = saved;
}

G_DEFINE_AUTO_CLEANUP_FREE_FUNC(KhFd, kh_fd_close, -1)
