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
 * when /proc hides it (hidepid= of proc(5)).
 */
gint64 kh_process_start_time(gint64 pid);

#define KH_TYPE_PROCESS_HANDLE (kh_process_handle_get_type())
G_DECLARE_FINAL_TYPE(KhProcessHandle, kh_process_handle, KH, PROCESS_HANDLE, GObject)

/*
 * Opens @process, if it still is the one that began at its start time. KH_ERROR_NOT_FOUND
 * when it is gone. Signal: "ended", once. Transfer full.
 */
KhProcessHandle *kh_process_handle_open(const KhProcess *process, GError **error);

/*
 * Whether the process is one of @uid's. KH_ERROR_LAUNCH_FAILED when it is not, or when /proc
 * does not show it; KH_ERROR_NOT_FOUND when it is gone.
 */
gboolean kh_process_handle_check_owner(KhProcessHandle *self, guint32 uid, GError **error);

gboolean kh_process_handle_has_ended(KhProcessHandle *self);

/* pidfd_send_signal(2); nothing happens to an ended process. */
void kh_process_handle_signal(KhProcessHandle *self, int signal_number);

G_END_DECLS
