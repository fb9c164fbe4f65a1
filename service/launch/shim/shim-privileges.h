/* SPDX-License-Identifier: MIT */
/*
 * How the shim gets rid of rights and of descriptors that it was started with. Called by
 * every mode of the shim before it does anything for a virtual machine.
 */
#pragma once

#include "shim-options.h"

/*
 * Opens /dev/null on 0 to 2 where they are closed, puts it on 0, and closes every other
 * descriptor but `keep` (-1: none), which becomes close-on-exec.
 */
bool kh_shim_close_descriptors(int keep, KhShimError *error);

/*
 * Becomes the user of the options for good: bounding set emptied (where CAP_SETPCAP is
 * held), groups, gid and uid changed, all capabilities dropped, no-new-privileges, umask
 * 0077, not dumpable, no core files. Without --uid the user stays, the rest is done.
 * Verifies the result; on an error the process must end.
 */
bool kh_shim_drop_privileges(const KhShimOptions *options, KhShimError *error);

/* Refuses uid 0, which neither QEMU nor mkfs ever gets. */
bool kh_shim_refuse_root(KhShimError *error);
