/* SPDX-License-Identifier: MIT */
/* The modes that do one small thing under the VM's user. Called by shim.c. */
#pragma once

#include "shim-options.h"

/*
 * --format: runs the command in the state folder. Its output goes to stderr, the first
 * 64 KiB of it. Returns its exit code, 128 + signal, or KH_SHIM_EXIT_FAILED.
 */
int kh_shim_format(const KhShimOptions *options);

/* --probe-kvm, --probe-sev: 0 when @device opens for reading and writing as that user, else 1. */
int kh_shim_probe(const KhShimOptions *options, const char *device);
