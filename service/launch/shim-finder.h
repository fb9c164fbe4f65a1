/* SPDX-License-Identifier: MIT */
/*
 * Finds a machine of an earlier service again: by the pids that were noted; by who made its
 * control socket (SO_PEERCRED, unix(7)); else, where the sockets are gone or replaced, among
 * the processes of the machine's user. QEMU is the shim's child. Whatever is found must prove
 * to be this service's (identity.h). Used by the launchers, and by the instance for the pids
 * of its row.
 *
 * All give both processes, transfer full, or an error: KH_ERROR_NOT_FOUND when it is known
 * that there is no machine; KH_ERROR_NOT_AUTHORIZED when there is one of this id that is
 * another service's; anything else when it could not be looked at, or is starting or ending.
 */
#pragma once

#include "launcher.h"

G_BEGIN_DECLS

/* The noted pids; KH_ERROR_NOT_FOUND also when they are no machine of this id any more. */
KhVm *kh_shim_finder_follow(const KhMachineRef *ref, GError **error);

/* The machine of the shim @pid. */
KhVm *kh_shim_finder_follow_shim(const KhMachineRef *ref, gint64 pid, GError **error);

/* Without regard to the noted pids. */
KhVm *kh_shim_finder_find(const KhMachineRef *ref, GError **error);

G_END_DECLS
