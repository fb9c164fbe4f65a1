/* SPDX-License-Identifier: MIT */
/*
 * Starts QEMU (or mkfs) below the shim so that it cannot outlive it, and learns of its
 * end. Called by shim-run.c and shim-tools.c after the drop of rights.
 */
#pragma once

#include <sys/types.h>

#include "shim-error.h"

#define KH_SHIM_CHILD_FDS 7

/* What the new process gets; every other descriptor is closed. */
typedef struct {
    const char *program;        /* a path, or a name sought in the fixed PATH */
    char *const *arguments;     /* without the program's name */
    int output;                 /* becomes its stdout and stderr */
    int fds[KH_SHIM_CHILD_FDS]; /* -1: not given; become KH_SHIM_FD_KERNEL and following */
} KhShimSpawn;

typedef struct {
    pid_t pid;
    int pidfd; /* close-on-exec; readable once it has ended */
} KhShimChild;

/*
 * Returns once exec has succeeded. The child is killed when the shim dies, has a session
 * of its own, /dev/null as its input and an environment of PATH and LANG only.
 */
bool kh_shim_child_spawn(KhShimChild *child, const KhShimSpawn *spawn, KhShimError *error);

/* Sends a signal to it and to nobody else. */
void kh_shim_child_signal(const KhShimChild *child, int number);

/*
 * Waits for its end, kills what is left of its session's process group, and frees. The
 * status is that of waitpid().
 */
int kh_shim_child_reap(KhShimChild *child);

/* The code that the shim exits with for a status of waitpid(). */
int kh_shim_child_exit_code(int status);
