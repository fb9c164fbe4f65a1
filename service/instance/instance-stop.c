/* SPDX-License-Identifier: MIT */
/* Stops and restarts, as they are asked for; what a machine's end means is in instance-end.c. */
#include "instance-private.h"

#include "crash-point.h"

gint64
kh_instance_stop_budget(KhInstance *self, const KhRequest *request)
{
    gint64 steps = ((gint64)kh_instance_default_stop_ms(self) + KH_RUN_QUIT_MS) * 1000;

    return (request->timeout_usec > 0 ? request->timeout_usec : steps) + KH_RUN_KILL_MS * 1000;
}

char *
kh_instance_explain_late_stop(KhInstance *self)
{
    const char *name = self->record->name;

    if (self->run != NULL)
        return g_strdup_printf(
            "QEMU of \"%s\" was killed and has not ended; a device or a file system may be stuck",
            name);
    if (self->unseen != NULL)
        return g_strdup_printf("It is not known yet whether the machine of \"%s\" is running; it "
                               "will be stopped as soon as it is found",
                               name);
    return g_strdup_printf(
        "\"%s\" is still being started, and will stop once the start has been interrupted", name);
}

/* The graceful step and quit share what a caller gives; by default quit has its own time. */
static void
stop_run(KhInstance *self, guint total_ms)
{
    guint quit = MIN(KH_RUN_QUIT_MS, total_ms / 2);

    if (self->current.kill)
        kh_run_kill(self->run);
    else if (total_ms == 0)
        kh_run_stop(self->run, kh_instance_default_stop_ms(self), KH_RUN_QUIT_MS);
    else
        kh_run_stop(self->run, total_ms - quit, quit);
}

/* For the current job; asked again, it may only get shorter. */
static void
begin_stop(KhInstance *self, gboolean kill, guint total_ms)
{
    self->current.kill = self->current.kill || kill;
    if (self->record->state != KH_STATE_STOPPING)
        kh_instance_set_state(self, KH_STATE_STOPPING, "");
    else
        kh_instance_save(self, NULL);
    kh_instance_tell(self);
    kh_crash_point("stop:intended");
    kh_instance_report(self, "stopping the guest", 0.1);
    if (self->run != NULL)
        stop_run(self, total_ms);
    kh_instance_look_now(self);
    kh_crash_point("stop:told");
}

/*
 * Joins the stop that is under way, or takes the place of whatever else is; what has made the
 * service stop the machine of a start still says what its end means.
 */
static KhLifecycle
begin_job(KhInstance *self, const KhRequest *request)
{
    KhLifecycle overtaken = {0};

    if (kh_lifecycle_stops(&self->current))
        return overtaken;
    overtaken = kh_instance_begin_job(self, request->operation, request->caller);
    if (overtaken.failure != NULL)
        self->current.failure = g_error_copy(overtaken.failure);
    return overtaken;
}

KhJob *
kh_instance_ask_stop(KhInstance *self, const KhRequest *request, GError **error)
{
    KhLifecycle overtaken = begin_job(self, request);
    g_autoptr(KhJob) job = g_object_ref(self->current.job);

    kh_instance_drop_next_job(self, "was stopped before it ran");
    if (request->caller != KH_JOB_SERVICE)
        kh_instance_replace(&self->record->stopped_in, self->machines->facts->boot_id);
    kh_instance_forget_restart(self);
    if (kh_instance_has_machine(self))
        begin_stop(self, request->operation == KH_OPERATION_KILL,
                   (guint)(request->timeout_usec / 1000));
    else
        kh_instance_set_stopped(self, "The automatic restart was cancelled", FALSE);
    kh_instance_overtake_job(self, &overtaken, "was stopped before it ran");
    return g_steal_pointer(&job);
}

/*
 * What is not written down is not begun: it would be stopped, and nobody start it again. A
 * service that takes over in the middle sees by the time that a start is to follow.
 */
static gboolean
intend_restart(KhInstance *self, GError **error)
{
    KhRecord *record = self->record;
    const KhState before = record->state;
    const gint64 due = record->restart_usec;
    g_autofree char *reason = g_steal_pointer(&record->reason);
    gboolean saved;

    record->state = KH_STATE_STOPPING;
    record->reason = g_strdup("");
    record->restart_usec = g_get_real_time();
    saved = kh_instance_save_intent(self, error);
    record->state = before;
    g_free(record->reason);
    record->reason = g_steal_pointer(&reason);
    if (!saved)
        record->restart_usec = due;
    return saved;
}

KhJob *
kh_instance_ask_restart(KhInstance *self, const KhRequest *request, GError **error)
{
    const gboolean lives = kh_instance_has_machine(self);
    g_autoptr(KhJob) job = NULL;
    KhLifecycle overtaken;

    if (lives && !intend_restart(self, error))
        return NULL;
    kh_instance_forgive(self);
    kh_instance_drop_next_job(self, "is being restarted");
    overtaken = kh_instance_begin_job(self, KH_OPERATION_RESTART, request->caller);
    job = g_object_ref(self->current.job);
    if (lives)
        begin_stop(self, request->kill, 0);
    else
        kh_instance_begin(self);
    kh_instance_overtake_job(self, &overtaken, "is being restarted");
    return g_steal_pointer(&job);
}
