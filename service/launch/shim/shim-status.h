/* SPDX-License-Identifier: MIT */
/*
 * The exit-status file, which tells a service that was not there how QEMU ended. Its room
 * is taken at the start, so that a full disk cannot lose it. Called by shim-run.c.
 */
#pragma once

#include "shim-error.h"

/* Takes the status of an earlier boot away, and what lies in the place of the new one. */
bool kh_shim_status_clear(int folder, KhShimError *error);

/*
 * Takes the room for the new status. The descriptor for kh_shim_status_write(), -1 where the
 * disk is full already.
 */
int kh_shim_status_reserve(int folder);

/*
 * Writes a status of waitpid() and, after it, `word`: how the shim stopped the machine, or
 * "". Gives the file its name; closes `reserved`.
 */
bool kh_shim_status_write(int folder, int reserved, int status, const char *word,
                          KhShimError *error);
