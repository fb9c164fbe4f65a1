/* SPDX-License-Identifier: MIT */
/*
 * One instance: its record, its state, and its machine while that runs. Knows nothing of
 * the bus: the manager owns it, its bus object mirrors it.
 */
#pragma once

#include "host.h"
#include "model/state-table.h"
#include "model/record.h"

G_BEGIN_DECLS

#define KH_TYPE_INSTANCE (kh_instance_get_type())
G_DECLARE_FINAL_TYPE(KhInstance, kh_instance, KH, INSTANCE, GObject)

/*
 * Takes @record, of a row that is there; kh_instance_take_over() is for one that a service
 * before this one has left.
 * Signals: "changed" (record or pid differ), "step" (text, part of 1: how far an operation
 * is), "gone" (deleted; the last one).
 */
KhInstance *kh_instance_new(const KhHost *host, KhRecord *record);

/*
 * Goes on where a service before this one left it: a machine that the record says is running
 * is followed again if it still lives; else what it left says how it ended. @lives: its
 * folder is held, or something runs under its machine's user, so that one is looked for
 * whatever the record says.
 */
void kh_instance_take_over(KhInstance *self, gboolean lives);

/*
 * It is to be deleted whatever its row says, since a service before this one has marked its
 * folder so, or has not finished making it. Before kh_instance_take_over().
 */
void kh_instance_note_deleted(KhInstance *self);

/*
 * Its record; owned by @self, read-only. What it holds, texts and configurations, is replaced by
 * every change: nothing of that may be kept until a later turn of the main loop.
 */
const KhRecord *kh_instance_get_record(KhInstance *self);

/*
 * While a call is served, the journal says with each line who has called: the last of several.
 * Each enter has its leave.
 */
void kh_instance_enter_call(KhInstance *self, guint32 uid);
void kh_instance_leave_call(KhInstance *self);

/*
 * Why it is in its state, and what else is to be known of that: that nobody has seen whether
 * its machine lives, that the database does not know it yet. "" for nothing. Transfer full.
 */
char *kh_instance_build_reason(KhInstance *self);

/* Whether the database knows all of it, now that this was tried once more. At the service's end. */
gboolean kh_instance_is_saved(KhInstance *self);

/* The process id of its QEMU, 0 when none runs. */
guint32 kh_instance_get_main_pid(KhInstance *self);

/* "kvm" or "tcg": what it runs with, or would. A text of the record's, as above. */
const char *kh_instance_get_accelerator(KhInstance *self);

/* Whether its confidential machine runs, or would, as an ordinary one. */
gboolean kh_instance_is_simulated(KhInstance *self);

/* What QEMU and its shim may use together, in bytes. */
guint64 kh_instance_get_memory_limit(KhInstance *self);

/* The equivalent command line of command-line.h; transfer full. */
char **kh_instance_get_portable_command(KhInstance *self);

/*
 * Opens its state folder, for the log reader; -1 and @error when there is none yet.
 * Closing it is the caller's.
 */
int kh_instance_open_folder(KhInstance *self, GError **error);

/* What the state table says of @operation now; @error when it is refused. */
KhAdmission kh_instance_check(KhInstance *self, KhOperation operation, GError **error);

/*
 * Starts it; finishes when RPC has answered. After @timeout_usec it fails with
 * KH_ERROR_TIMED_OUT and the instance goes on starting. Other errors: INVALID_STATE, BUSY,
 * CANCELLED (stopped meanwhile), and whatever made it fail.
 */
void kh_instance_start_async(KhInstance *self, gint64 timeout_usec, GAsyncReadyCallback callback,
                             gpointer user_data);

/*
 * Where it is not known yet whether a machine of it lives, it is started when there is none:
 * TRUE. FALSE where that is known. For the starts with the service.
 */
gboolean kh_instance_start_if_gone(KhInstance *self);

typedef struct {
    gboolean kill;       /* QEMU is killed at once */
    gint64 timeout_usec; /* of all steps together; 0 for the default */
    gboolean by_service; /* not an operator's wish: it starts with the service again */
} KhStop;

/*
 * Stops it; finishes when QEMU has ended. KH_ERROR_TIMED_OUT when QEMU outlives its kill;
 * then it stays "stopping".
 */
void kh_instance_stop_async(KhInstance *self, const KhStop *how, GAsyncReadyCallback callback,
                            gpointer user_data);

/* Stops it as @how says, if it runs, and starts it; @timeout_usec is for the start. */
void kh_instance_restart_async(KhInstance *self, const KhStop *how, gint64 timeout_usec,
                               GAsyncReadyCallback callback, gpointer user_data);

/* Resets the virtual machine; finishes when RPC has answered again. */
void kh_instance_reset_async(KhInstance *self, gint64 timeout_usec, GAsyncReadyCallback callback,
                             gpointer user_data);

/* Halts the virtual processors, or lets them go on. BUSY while another command is under way. */
void kh_instance_pause_async(KhInstance *self, GAsyncReadyCallback callback, gpointer user_data);
void kh_instance_resume_async(KhInstance *self, GAsyncReadyCallback callback, gpointer user_data);

/*
 * Removes its files, row, port and uid; then "gone". With @force a living machine is
 * killed first; with @keep_data data.raw stays, given to the service's user.
 */
void kh_instance_delete_async(KhInstance *self, gboolean force, gboolean keep_data,
                              GAsyncReadyCallback callback, gpointer user_data);

/* Of each of these. */
gboolean kh_instance_operation_finish(KhInstance *self, GAsyncResult *result, GError **error);

/*
 * Gives it the checked @config (taken), which @changes (a{sv}) led to, whose machine is expected to
 * have @measurement ("": it is not confidential), and of which a living machine takes what it can;
 * the rest waits in the record's "pending". On an error (PORT_UNAVAILABLE, FAILED) nothing has
 * changed.
 */
gboolean kh_instance_configure(KhInstance *self, KhConfig *config, GVariant *changes,
                               const char *measurement, GError **error);

G_END_DECLS
