/* SPDX-License-Identifier: MIT */
/*
 * What the parts of an instance share: instance.c, its life; instance-save.c, its row;
 * instance-recovery.c, what an earlier service has left; instance-end.c, what the end of its
 * machine means; instance-operations.c, what is asked of it. Nobody else includes it.
 */
#pragma once

#include "model/backoff.h"
#include "instance.h"
#include "machine/run.h"
#include "waiters.h"

G_BEGIN_DECLS

struct _KhInstance {
    GObject parent_instance;
    const KhHost *host;
    KhRecord *record;
    KhRun *run;              /* while a machine lives */
    GCancellable *beginning; /* while one is being started, or looked for: no run yet */
    gint64 started_at;       /* monotonic */
    gint64 ready_at;         /* monotonic; 0 while it is not */
    GError *failure;         /* why it is being stopped by the service itself */
    gboolean launched;       /* the start has come as far as QEMU */
    gboolean automatic;      /* the start is one of the restart policy's */
    gboolean seeking;        /* it is not known yet whether a machine lives */
    gboolean doubted;        /* the same, though by its row none does */
    gboolean kill;           /* the stop under way is by force */
    gboolean again;          /* it is to start once it has stopped */
    gboolean commanding;     /* a monitor command is under way */
    gboolean resetting;      /* and it is a reset */
    gboolean cleared;        /* it is deleted but for its row */
    gboolean gone;
    KhBackoff backoff;
    guint restart_timer;
    GError *unseen;   /* why it is not known whether a machine lives */
    guint look_timer; /* until that is looked at again */
    guint look_delay; /* seconds that it waits */
    GError *unsaved;  /* why the database does not have the record as it is */
    guint save_timer; /* until that is tried again */
    guint save_delay; /* seconds that it waits */
    guint calls;      /* that are served: of the last one the record has the caller */
    KhWaiters *starters, *stoppers, *deleters;
};

/* Gives @field a copy of @text. */
void kh_instance_replace(char **field, const char *text);

/* Says how far an operation is: a text for people, and a part of 1. */
void kh_instance_report(KhInstance *self, const char *step, double progress);

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
gboolean kh_instance_remove_row(KhInstance *self);

/* Why a call that has done its work is told that this may be forgotten; NULL: it is saved. */
GError *kh_instance_unsaved_error(KhInstance *self);

/* Looks for a machine of it, which by its row it does not have. */
void kh_instance_doubt(KhInstance *self);

/* Looks for its machine at once, if that is to be tried again. */
void kh_instance_look_now(KhInstance *self);

/* It is known whether a machine lives. */
void kh_instance_forget_unseen(KhInstance *self);

/* Gives up what is not saved, of an instance that goes. */
void kh_instance_forget_unsaved(KhInstance *self);

/* Says which state it has come to, to the journal and to the bus. */
void kh_instance_announce(KhInstance *self);

/* The one place where the state changes; @error when the database does not know of it. */
gboolean kh_instance_enter_state(KhInstance *self, KhState state, const char *reason,
                                 GError **error);

/* For what has happened, which is so whether it can be written down or not. */
void kh_instance_set_state(KhInstance *self, KhState state, const char *reason);

/* Whether a machine lives, is being started, or is looked for. */
gboolean kh_instance_has_machine(KhInstance *self);

/* No process of it lives: the way into "failed" for starts, runs and deletions alike. */
void kh_instance_set_failed(KhInstance *self, const GError *error, const char *reason);

/*
 * Its machine is dead, after @step of a stop: what that means depends on what was wanted of
 * it. @out_of_memory: the kernel has killed it for that.
 */
void kh_instance_conclude(KhInstance *self, KhStopStep step, gboolean out_of_memory);

/* A guest may repeat its arguments, which may be keys, in what it gives up with. */
void kh_instance_redact(KhInstance *self, GError *error);

/* What was configured for the next start holds from now on, and the old port is free. */
void kh_instance_take_pending(KhInstance *self);

/* No process of it lives, as was wished; a restart goes on with a start. */
void kh_instance_set_stopped(KhInstance *self, const char *reason, gboolean forced);

/* QEMU says so, or has been told so. */
void kh_instance_note_paused(KhRun *run, KhInstance *self);
void kh_instance_note_resumed(KhRun *run, KhInstance *self);

/* Follows the processes of its machine. */
void kh_instance_follow(KhInstance *self, KhVm *vm);

/* Where its machine is to be looked for; valid as long as the instance and its record. */
KhMachineRef kh_instance_get_machine_ref(KhInstance *self);

/* Has the launcher let go of a machine that is dead, or never was; then concludes. */
void kh_instance_release(KhInstance *self);

/* Starts it; @automatic for the restart policy's own starts. */
void kh_instance_begin(KhInstance *self, gboolean automatic);

/* Removes what there is of it; its machine is dead. */
void kh_instance_begin_removal(KhInstance *self);

/* Its row has gone as the last: so has it. */
void kh_instance_conclude_removal(KhInstance *self);

/* A restart that was due when the service before this one ended; its time may have passed. */
void kh_instance_resume_restart(KhInstance *self);

/* Calls off an automatic restart, if one is due. */
void kh_instance_forget_restart(KhInstance *self);

/* What the control channel's stop gets by default, in milliseconds. */
guint kh_instance_default_stop_ms(KhInstance *self);

G_END_DECLS
