/* SPDX-License-Identifier: MIT */
/*
 * The exit-status file, which tells a service that was not there how QEMU ended. Its room
 * is taken at the start, so that a full disk cannot lose it. Called by shim-run.c.
 */
#pragma once

#include "shim-error.h"

/*
 * Removes the status of an earlier boot and takes the room for the new one. `*reserved` is
 * the descriptor for kh_shim_status_write(), -1 where the disk is full already.
 */
bool kh_shim_status_reserve(int folder, int *reserved, KhShimError *error);

/*
 * Writes a status of waitpid(), and whether the shim was asked to stop the machine, and
 * gives the file its name. Closes `reserved`.
 */
bool kh_shim_status_write(int folder, int reserved, int status, bool stopped, KhShimError *error);
