/* SPDX-License-Identifier: MIT */
/* What else must run under the VM's uid: mkfs, and a look at /dev/kvm. Called by shim.c. */
#pragma once

#include "shim-options.h"

/* Runs the arguments (mkfs and its own) in the state folder; returns its exit code. */
int kh_shim_format(const KhShimOptions *options);

/* 0 when /dev/kvm opens for reading and writing, else 1. */
int kh_shim_probe_kvm(const KhShimOptions *options);
