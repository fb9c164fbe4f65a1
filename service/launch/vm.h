/* SPDX-License-Identifier: MIT */
/*
 * A virtual machine's two processes, the shim and its QEMU, under whichever launcher.
 * Made by a launcher, or from the database after a restart of the service; owned by a
 * KhRun.
 */
#pragma once

#include <gio/gio.h>

#include "process.h"

G_BEGIN_DECLS

#define KH_TYPE_VM (kh_vm_get_type())
G_DECLARE_FINAL_TYPE(KhVm, kh_vm, KH, VM, GObject)

/*
 * Follows both, or the one that is left. KH_ERROR_NOT_FOUND only when both are known to be
 * gone; KH_ERROR_RESOURCE_UNAVAILABLE when one of them could not be looked at. Signal: "ended",
 * once, when both have; who connects later asks kh_vm_has_ended() first. Transfer full.
 */
KhVm *kh_vm_new(const KhProcess *shim, const KhProcess *qemu, GError **error);

/*
 * The same for processes that the shim has told of. Nothing it says makes the service follow,
 * and one day kill, another's process: both must be @uid's, -1 for the service's own.
 * KH_ERROR_LAUNCH_FAILED when one is not.
 */
KhVm *kh_vm_follow(const KhProcess *shim, const KhProcess *qemu, gint64 uid, GError **error);

const KhProcess *kh_vm_get_shim(KhVm *self);
const KhProcess *kh_vm_get_qemu(KhVm *self);

/* Whether "ended" has been emitted: both may end before anybody has taken the object. */
gboolean kh_vm_has_ended(KhVm *self);

/*
 * Has the shim stop the guest itself, whatever has become of its sockets: SIGTERM to it, after
 * which it resumes a paused guest, asks it to stop, waits for its stop-timeout, and ends QEMU
 * in the end. One that is told so already goes on with it. FALSE when no shim is alive.
 */
gboolean kh_vm_terminate(KhVm *self);

/* A power cut: SIGKILL to QEMU; the shim notes it and ends. */
void kh_vm_kill(KhVm *self);

G_END_DECLS
