/* SPDX-License-Identifier: MIT */
/*
 * Processes that look like a shim and its QEMU from outside: their words, their user, their
 * sockets. The test's own program acts as both. Used by unit tests.
 */
#pragma once

#include <glib.h>
#include <sys/resource.h>
#include <sys/types.h>

typedef struct {
    const char *id;
    const char *folder;  /* its --state-dir */
    const char *socket;  /* which it serves; NULL for none */
    gboolean qemu;       /* it has a child */
    uid_t uid;           /* 0: the test's own */
    unsigned long flags; /* of clone(2): CLONE_NEWPID for a container of its own */
} FakeShim;

/* First in main(): acts as a shim, and does not return, when the program was called like one. */
void fake_shim_act(int argc, char **argv);

/* Starts one; returns when it is as it is to be. It ends with the test, or after a minute. */
GPid fake_shim_start(const FakeShim *shim);

/* The pid of its child. */
GPid fake_shim_find_qemu(GPid shim);

/* Kills it, with its child, and waits for its end. */
void fake_shim_end(GPid pid);

/* From now on @more descriptors can be opened; the limit there was, for the other function. */
rlim_t fake_shim_leave_descriptors(guint more);
void fake_shim_limit_descriptors(rlim_t n);
