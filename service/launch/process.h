/* SPDX-License-Identifier: MIT */
/*
 * A process followed by pidfd (pidfd_open(2)): never mistaken for a later one with the
 * same id, and dead as soon as it is a zombie. Used by KhVm for the shim and for QEMU.
 */
#pragma once

#include <glib-object.h>

#include "state/record.h"

G_BEGIN_DECLS

/*
 * Field 22 of /proc/PID/stat, clock ticks since boot; 0 when there is no such process, or
 * when it is another user's and hidden (ProtectProc=).
 */
gint64 kh_process_start_time(gint64 pid);

#define KH_TYPE_PROCESS_HANDLE (kh_process_handle_get_type())
G_DECLARE_FINAL_TYPE(KhProcessHandle, kh_process_handle, KH, PROCESS_HANDLE, GObject)

/*
 * Opens @process, if it still is the one that began at its start time; without one only if
 * it is @trusted to be that. KH_ERROR_NOT_FOUND when it is gone. Signal: "ended", once.
 * Transfer full.
 */
KhProcessHandle *kh_process_handle_open(const KhProcess *process, gboolean trusted, GError **error);

gboolean kh_process_handle_has_ended(KhProcessHandle *self);

/* pidfd_send_signal(2); nothing happens to an ended process. */
void kh_process_handle_signal(KhProcessHandle *self, int signal_number);

G_END_DECLS
