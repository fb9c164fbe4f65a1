/* SPDX-License-Identifier: MIT */
/*
 * A process followed by pidfd (pidfd_open(2)): never mistaken for a later one with the
 * same id, and dead as soon as it is a zombie. Used by KhVm for the shim and for QEMU.
 */
#pragma once

#include <glib-object.h>

#include "model/record.h"

G_BEGIN_DECLS

/*
 * What /proc/PID/@name holds (proc(5)), NUL-terminated, of @length bytes (may be NULL);
 * transfer full. KH_ERROR_NOT_FOUND only when there is no such process;
 * KH_ERROR_RESOURCE_UNAVAILABLE when it could not be looked at: descriptors or memory are
 * short, or /proc hides it (hidepid=).
 */
char *kh_process_read(gint64 pid, const char *name, gsize *length, GError **error);

/* Field 22 of /proc/PID/stat, clock ticks since boot; 0 when it is not known. */
gint64 kh_process_start_time(gint64 pid);

/* The pid of its parent, 0 for none; -1 and the errors of kh_process_read(). */
gint64 kh_process_read_parent(gint64 pid, GError **error);

/*
 * Sets the start time of @process to that of its pid, to 0 when there is no such process.
 * FALSE, and KH_ERROR_RESOURCE_UNAVAILABLE, when it could not be looked at.
 */
gboolean kh_process_read_start_time(KhProcess *process, GError **error);

#define KH_TYPE_PROCESS_HANDLE (kh_process_handle_get_type())
G_DECLARE_FINAL_TYPE(KhProcessHandle, kh_process_handle, KH, PROCESS_HANDLE, GObject)

/*
 * Opens @process, if it still is the one that began at its start time. KH_ERROR_NOT_FOUND
 * when it is known to be gone, KH_ERROR_RESOURCE_UNAVAILABLE when it could not be looked at.
 * Signal: "ended", once. Transfer full.
 */
KhProcessHandle *kh_process_handle_open(const KhProcess *process, GError **error);

/*
 * Whether the process is one of @uid's. KH_ERROR_LAUNCH_FAILED when it is not,
 * KH_ERROR_NOT_FOUND when it is gone, KH_ERROR_RESOURCE_UNAVAILABLE when /proc does not show it.
 */
gboolean kh_process_handle_check_owner(KhProcessHandle *self, guint32 uid, GError **error);

gboolean kh_process_handle_has_ended(KhProcessHandle *self);

/* pidfd_send_signal(2). FALSE when the process has ended, to which nothing happens. */
gboolean kh_process_handle_signal(KhProcessHandle *self, int signal_number);

G_END_DECLS
