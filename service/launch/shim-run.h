/* SPDX-License-Identifier: MIT */
/*
 * The shim's main job: one QEMU from its start to its end. Called by shim.c.
 */
#pragma once

#include "shim-options.h"

/*
 * Runs QEMU until it ends; returns the shim's exit code. What keeps QEMU from starting is
 * said on the ready descriptor and on stderr.
 */
int kh_shim_run(const KhShimOptions *options);
