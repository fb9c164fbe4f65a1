/* SPDX-License-Identifier: MIT */
/*
 * One instance: its record, its state, and its machine while that runs. Knows nothing of
 * the bus: the manager owns it, its bus object mirrors it.
 */
#pragma once

#include "host.h"
#include "state/record.h"

G_BEGIN_DECLS

#define KH_TYPE_INSTANCE (kh_instance_get_type())
G_DECLARE_FINAL_TYPE(KhInstance, kh_instance, KH, INSTANCE, GObject)

/*
 * Takes @record. A machine that the record says is running is followed again if it still
 * lives; else the instance is "failed" or, where it was asked to stop, "stopped".
 * Signals: "changed" (record or pid differ), "gone" (deleted; the last one).
 */
KhInstance *kh_instance_new(const KhHost *host, KhRecord *record);

/* Its record; owned by @self, read-only. */
const KhRecord *kh_instance_get_record(KhInstance *self);

/* The process id of its QEMU, 0 when none runs. */
guint32 kh_instance_get_main_pid(KhInstance *self);

/* "kvm" or "tcg": what it runs with, or would. */
const char *kh_instance_get_accelerator(KhInstance *self);

/* The equivalent command line of command-line.h; transfer full. */
char **kh_instance_get_portable_command(KhInstance *self);

/*
 * Opens its state folder, for the log reader; -1 and @error when there is none yet.
 * Closing it is the caller's.
 */
int kh_instance_open_folder(KhInstance *self, GError **error);

/*
 * Starts it. With @wait the call finishes when RPC has answered, else once the state is
 * "starting". After @timeout_usec it fails with KH_ERROR_TIMED_OUT and the instance goes on
 * starting. Other errors: INVALID_STATE, BUSY, CANCELLED (stopped meanwhile), and whatever
 * made it fail.
 */
void kh_instance_start_async(KhInstance *self, gboolean wait, gint64 timeout_usec,
                             GAsyncReadyCallback callback, gpointer user_data);

/*
 * Stops it; finishes when QEMU has ended. @timeout_usec bounds the graceful part, 0 for the
 * default; with @kill QEMU is killed at once.
 */
void kh_instance_stop_async(KhInstance *self, gboolean kill, gint64 timeout_usec,
                            GAsyncReadyCallback callback, gpointer user_data);

/*
 * Removes its files, row, port and uid; then "gone". With @force a living machine is
 * killed first; with @keep_data data.raw stays, given to the service's user.
 */
void kh_instance_delete_async(KhInstance *self, gboolean force, gboolean keep_data,
                              GAsyncReadyCallback callback, gpointer user_data);

/* Of each of the three. */
gboolean kh_instance_operation_finish(KhInstance *self, GAsyncResult *result, GError **error);

G_END_DECLS
