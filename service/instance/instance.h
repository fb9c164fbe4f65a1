/* SPDX-License-Identifier: MIT */
/*
 * One instance: its record, its state, and its machine while that runs. Knows nothing of
 * the bus: the manager owns it, its bus object mirrors it.
 */
#pragma once

#include "job/jobs.h"
#include "machine/machines.h"
#include "model/record.h"
#include "model/state-table.h"
#include "shutdown.h"
#include "state/store.h"

G_BEGIN_DECLS

#define KH_TYPE_INSTANCE (kh_instance_get_type())
G_DECLARE_FINAL_TYPE(KhInstance, kh_instance, KH, INSTANCE, GObject)

/**
 * KhAspects:
 * @KH_ASPECT_CONFIG: what it is configured to, now
 * @KH_ASPECT_IMAGE: which boot components it is pinned to, now or from its next start on
 * @KH_ASPECT_STATE: its state, job, and what waits for its next start
 * @KH_ASPECT_MACHINE: the processes of its machine, and what they are held to
 *
 * Of what a change was.
 */
typedef enum {
    KH_ASPECT_CONFIG = 1 << 0,
    KH_ASPECT_IMAGE = 1 << 1,
    KH_ASPECT_STATE = 1 << 2,
    KH_ASPECT_MACHINE = 1 << 3,
} KhAspects;

/*
 * Takes @record, of a row that is there; kh_instance_take_over() is for one that a service
 * before this one has left.
 * Signals: "changed" (KhAspects, as guint), "gone" (deleted; the last one).
 */
KhInstance *kh_instance_new(const KhMachines *machines, KhStore *store, KhJobs *jobs,
                            KhShutdown *shutdown, KhRecord *record);

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

/**
 * KhRequest:
 * @operation: what is asked for
 * @caller: the uid of who asks; KH_JOB_SERVICE: it is the service's own doing, and a stop no
 *   operator's wish: the instance starts with the service again
 * @timeout_usec: how long a start may take to answer, or a stop with all its steps; 0: by default
 * @kill: the stop of a restart is by force
 * @keep_data: what is in data.raw stays, given to the service's user
 */
typedef struct {
    KhOperation operation;
    gint64 caller;
    gint64 timeout_usec;
    gboolean kill, keep_data;
} KhRequest;

/*
 * The job that does what is asked for: a new one, or the one under way that it joins; transfer
 * full. NULL without an error where nothing is to be done. With one nothing has changed:
 * INVALID_STATE, BUSY, NOT_FOUND, and what stands against it.
 *
 * A start, restart or reset is done when RPC has answered, a stop when QEMU has ended (it goes
 * on while QEMU outlives its kill), a deletion when its files, row, port and uid are free.
 */
KhJob *kh_instance_request(KhInstance *self, const KhRequest *request, GError **error);

/*
 * Waits for the @job that @request has come to, as long as that says; the wait is finished by
 * kh_job_wait_finish(). KH_ERROR_TIMED_OUT, and the job goes on; CANCELLED when another
 * operation has come in its place; and whatever made it fail.
 */
void kh_instance_wait_async(KhInstance *self, KhJob *job, const KhRequest *request,
                            GAsyncReadyCallback callback, gpointer user_data);

/* The lifecycle job under way; NULL. Owned by @self. */
KhJob *kh_instance_get_job(KhInstance *self);

/*
 * Where it is not known yet whether a machine of it lives, it is started when there is none:
 * TRUE. FALSE where that is known. For the starts with the service.
 */
gboolean kh_instance_start_if_gone(KhInstance *self);

/*
 * Gives it, for @caller, the checked @config (taken), which @changes (a{sv}) led to, whose machine
 * is expected to have @measurement ("": it is not confidential), and of which a living machine
 * takes what it can; the rest waits in the record's "pending". On an error (PORT_UNAVAILABLE,
 * FAILED) nothing has changed.
 */
gboolean kh_instance_configure(KhInstance *self, KhConfig *config, GVariant *changes,
                               const char *measurement, guint32 caller, GError **error);

G_END_DECLS
