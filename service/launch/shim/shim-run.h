/* SPDX-License-Identifier: MIT */
/* The mode --run: one virtual machine from its start to its end. Called by shim.c. */
#pragma once

#include "shim-options.h"

/*
 * Returns the code to exit with. The ready descriptor of the options is used up: the ready
 * line has been written, or the error line and the same on stderr.
 */
int kh_shim_run(const KhShimOptions *options);
