/* SPDX-License-Identifier: MIT */
/*
 * What the parts of an instance share: instance.c, its record and state; instance-save.c, its
 * row; instance-jobs.c, what is under way; instance-requests.c, what is asked of it, with
 * instance-stop.c, instance-commands.c, instance-deletion.c and instance-configure.c;
 * instance-start.c, a machine's beginning; instance-end.c, what its end means;
 * instance-recovery.c, what an earlier service has left. Nobody else includes it.
 */
#pragma once

#include "instance.h"
#include "machine/run.h"
#include "model/backoff.h"

G_BEGIN_DECLS

/* A lifecycle job, and what only the instance has to know of it. */
typedef struct {
    KhJob *job; /* NULL: none; ours */
    KhOperation operation;
    gboolean kill;       /* its stop is by force */
    gboolean unattended; /* a start that nobody waits for: its failure is the restart policy's */
    GError *failure;     /* what its end will mean, where that is known before; ours */
} KhLifecycle;

/* What is known of a machine. */
typedef enum {
    KH_PRESENCE_NONE,
    KH_PRESENCE_BEGINNING, /* one is being started */
    KH_PRESENCE_SOUGHT,    /* it is not known yet whether one lives */
    KH_PRESENCE_FOLLOWED,  /* one lives, or has just died: there is a run */
} KhPresence;

struct _KhInstance {
    GObject parent_instance;
    const KhMachines *machines;
    KhStore *store;       /* with its row; outlives it, as all three do */
    KhJobs *jobs;         /* the service's registry, which outlives its instances */
    KhShutdown *shutdown; /* the same of this */
    KhRecord *record;
    KhAspects changes;         /* that nobody has been told of yet */
    KhLifecycle current, next; /* the job under way, and the one that waits for its end */
    GArray *overtaken;         /* of KhLifecycle: cancelled ones that end with the machine */
    KhPresence presence;
    KhRun *run;        /* while a machine is followed */
    gboolean launched; /* the last start has come as far as QEMU */
    gint64 started_at; /* monotonic */
    gint64 ready_at;   /* monotonic; 0 while it is not */
    gboolean cleared;  /* it is deleted but for its row */
    gboolean gone;
    KhBackoff backoff;
    guint restart_timer;
    GError *unseen;   /* why it is not known whether a machine lives */
    guint look_timer; /* until that is looked at again */
    guint look_delay; /* seconds that it waits */
    GError *unsaved;  /* why the database does not have the record as it is */
    guint save_timer; /* until that is tried again */
    guint save_delay; /* seconds that it waits */
};

/* --- instance.c: record and state --- */

/* Gives @field a copy of @text. */
void kh_instance_replace(char **field, const char *text);

/* @aspects of it have changed; told with the next announcement. */
void kh_instance_touch(KhInstance *self, KhAspects aspects);

/* Tells of what has been touched, if anything has. */
void kh_instance_tell(KhInstance *self);

/* Says which state it has come to, to the journal and to the bus. */
void kh_instance_announce(KhInstance *self);

/* The one place where the state changes; @error when the database does not know of it. */
gboolean kh_instance_enter_state(KhInstance *self, KhState state, const char *reason,
                                 GError **error);

/* For what has happened, which is so whether it can be written down or not. */
void kh_instance_set_state(KhInstance *self, KhState state, const char *reason);

/* Why it could not be what it was to be; NULL: that is over. */
void kh_instance_set_last_error(KhInstance *self, const GError *error);

/* A guest may repeat its arguments, which may be keys, in what it gives up with. */
void kh_instance_redact(KhInstance *self, GError *error);

/* What the control channel's stop gets by default, in milliseconds. */
guint kh_instance_default_stop_ms(KhInstance *self);

/* Emits "gone". */
void kh_instance_emit_gone(KhInstance *self);

/* --- instance-save.c: the row --- */

/*
 * Writes its record, of what has happened: on a failure (@error) it is written again later,
 * and at the service's end, until that works.
 */
gboolean kh_instance_save(KhInstance *self, GError **error);

/* The same of what is only intended, and is given up by the caller on a failure. */
gboolean kh_instance_save_intent(KhInstance *self, GError **error);

/* The same with its ports, when another configuration holds. */
void kh_instance_save_ports(KhInstance *self);

/* Removes the row, the last that is left of it, now or as soon as that works. */
gboolean kh_instance_remove_row(KhInstance *self, GError **error);

/* Why a call that has done its work is told that this may be forgotten; NULL: it is saved. */
GError *kh_instance_unsaved_error(KhInstance *self);

/* Gives up what is not saved, of an instance that goes. */
void kh_instance_forget_unsaved(KhInstance *self);

/* --- instance-jobs.c: what is under way --- */

/*
 * Begins the job of @operation for @owner, in the place of the current one, which is returned:
 * it is overtaken, once the state says what has come in its place.
 */
KhLifecycle kh_instance_begin_job(KhInstance *self, KhOperation operation, gint64 owner);

/* The same of one that waits: for the end of the current one, or to know of a machine. */
void kh_instance_begin_next_job(KhInstance *self, KhOperation operation, gint64 owner);

/* The one that waits, if there is one, is not wanted any more, because of @why. */
void kh_instance_drop_next_job(KhInstance *self, const char *why);

/*
 * Takes the current job, which has come to its end; the next one is current from now on. The
 * caller ends it, with one of the two below, once the state says so.
 */
KhLifecycle kh_instance_take_job(KhInstance *self);

/* @job (taken; may be none) is done, or has failed with @error. */
void kh_instance_end_job(KhInstance *self, KhLifecycle *job, const GError *error);

/* The same as cancelled, unless it has failed: "NAME @why". */
void kh_instance_cancel_job(KhInstance *self, KhLifecycle *job, const char *why);

/* The same of a start when its machine has ended; what it has under way is told at once. */
void kh_instance_overtake_job(KhInstance *self, KhLifecycle *job, const char *why);

/* That has. */
void kh_instance_end_overtaken_jobs(KhInstance *self);

gboolean kh_lifecycle_stops(const KhLifecycle *job);
gboolean kh_lifecycle_starts(const KhLifecycle *job);

/* The job under way is at @step now, a text for people, and a part of 1. */
void kh_instance_report(KhInstance *self, const char *step, double progress);

/* The job of its deletion, which is under way. */
KhJob *kh_instance_get_deletion(KhInstance *self);

/* --- instance-start.c: a machine's beginning --- */

/* Starts it, for the current job. */
void kh_instance_begin(KhInstance *self);

/* Follows the processes of its machine. */
void kh_instance_follow(KhInstance *self, KhVm *vm);

/* Has the launcher let go of a machine that is dead, or never was; then concludes. */
void kh_instance_release(KhInstance *self);

/* Whether a machine lives, is being started, or is looked for. */
gboolean kh_instance_has_machine(KhInstance *self);

/* --- instance-end.c: what the end of a machine means --- */

/* No process of it lives: the way into "failed" for starts, runs and deletions alike. */
void kh_instance_set_failed(KhInstance *self, const GError *error, const char *reason);

/* No process of it lives, as was wished; what is to follow that goes on. */
void kh_instance_set_stopped(KhInstance *self, const char *reason, gboolean forced);

/*
 * Its machine is dead, after @step of a stop: what that means depends on what was wanted of
 * it. @out_of_memory: the kernel has killed it for that.
 */
void kh_instance_conclude(KhInstance *self, KhStopStep step, gboolean out_of_memory);

/* Nothing lives: a restart's second half, or a start that waited to know that, begins. */
void kh_instance_go_on(KhInstance *self);

/* What was configured for the next start holds from now on, and the old port is free. */
void kh_instance_take_pending(KhInstance *self);

/* A restart that was due when the service before this one ended; its time may have passed. */
void kh_instance_resume_restart(KhInstance *self);

/* Calls off an automatic restart, if one is due. */
void kh_instance_forget_restart(KhInstance *self);

/* --- instance-recovery.c: what an earlier service has left --- */

/* Looks for a machine of it, which by its row it does not have. */
void kh_instance_doubt(KhInstance *self);

/* Whether that is being done. */
gboolean kh_instance_is_doubted(KhInstance *self);

/* Looks for its machine at once, if that is to be tried again. */
void kh_instance_look_now(KhInstance *self);

/* It is known whether a machine lives. */
void kh_instance_forget_unseen(KhInstance *self);

/* --- instance-requests.c and its parts: what is asked of it; see KhRequest --- */

/* What each of these begins or joins, transfer full; NULL and @error: nothing has changed. */
KhJob *kh_instance_ask_stop(KhInstance *self, const KhRequest *request, GError **error);
KhJob *kh_instance_ask_restart(KhInstance *self, const KhRequest *request, GError **error);
KhJob *kh_instance_ask_command(KhInstance *self, const KhRequest *request, GError **error);
KhJob *kh_instance_ask_deletion(KhInstance *self, const KhRequest *request, GError **error);

/* An operator wants it to run. */
void kh_instance_forgive(KhInstance *self);

/* How long the stop of @request may take, its last resort included, in microseconds. */
gint64 kh_instance_stop_budget(KhInstance *self, const KhRequest *request);

/* Why that has not been long enough; transfer full. */
char *kh_instance_explain_late_stop(KhInstance *self);

/* Removes what there is of it; its machine is dead. */
void kh_instance_begin_removal(KhInstance *self);

/* Its row has gone as the last: so has it. */
void kh_instance_conclude_removal(KhInstance *self);

G_END_DECLS
