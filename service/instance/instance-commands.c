/* SPDX-License-Identifier: MIT */
/* Pause, resume and reset, as they are asked for: commands for QEMU's monitor. */
#include "instance-private.h"

#include "crash-point.h"
#include "error.h"

/*
 * A service that takes over in the middle must not believe that RPC answers: the row of a
 * running machine says "starting" before it is reset. Of a paused one QEMU is asked.
 */
static gboolean
intend_reset(KhInstance *self, GError **error)
{
    KhState before = self->record->state;
    gboolean saved;

    if (before != KH_STATE_RUNNING)
        return TRUE;
    self->record->state = KH_STATE_STARTING;
    saved = kh_instance_save_intent(self, error);
    self->record->state = before;
    kh_crash_point("command:intended");
    return saved;
}

/* The machine boots anew under the same QEMU; its job goes on until RPC answers. */
static void
begin_again(KhInstance *self)
{
    self->started_at = g_get_monotonic_time();
    self->ready_at = 0;
    self->record->started_usec = g_get_real_time();
    self->record->ready_usec = self->record->boot_time_usec = 0;
    kh_instance_set_state(self, KH_STATE_STARTING, "It was reset");
    kh_instance_report(self, "waiting for RPC", 0.5);
}

/* A command that was refused; after a reset the machine goes on as it did. */
static void
fail_command(KhInstance *self, const GError *error)
{
    KhLifecycle job = kh_instance_take_job(self);

    if (job.operation == KH_OPERATION_RESET)
        kh_instance_save(self, NULL);
    kh_instance_end_job(self, &job, error);
}

static void
finish_command(KhInstance *self)
{
    const KhOperation operation = self->current.operation;
    const KhState state = self->record->state;
    KhLifecycle job;

    if (operation == KH_OPERATION_RESET) {
        begin_again(self);
        return;
    }
    job = kh_instance_take_job(self);
    /* QEMU may have said so already. */
    if (operation == KH_OPERATION_PAUSE && state == KH_STATE_RUNNING)
        kh_instance_set_state(self, KH_STATE_PAUSED, "");
    else if (operation == KH_OPERATION_RESUME && state == KH_STATE_PAUSED)
        kh_instance_set_state(self, KH_STATE_RUNNING, "");
    kh_instance_end_job(self, &job, NULL);
}

/* A command on its way, for the job that it is of. */
typedef struct {
    KhInstance *instance;
    KhJob *job;
} Command;

/* Its job may have ended before it: with the machine, or by what has come in its place. */
static void
on_commanded(GObject *source, GAsyncResult *result, gpointer data)
{
    g_autofree Command *command = data;
    g_autoptr(KhInstance) self = command->instance;
    g_autoptr(KhJob) job = command->job;
    g_autoptr(GError) error = NULL;
    gboolean done = KH_IS_RUN(source) ? kh_run_reset_finish(KH_RUN(source), result, &error)
                                      : kh_monitor_do_finish(KH_MONITOR(source), result, &error);

    kh_crash_point("command:done");
    if (self->current.job != job)
        return;
    if (done)
        finish_command(self);
    else
        fail_command(self, error);
}

static gboolean
check_monitor(KhInstance *self, GError **error)
{
    if (self->unseen != NULL) {
        g_propagate_error(error, g_error_copy(self->unseen));
        return FALSE;
    }
    if (self->current.job == NULL && self->run != NULL)
        return TRUE;
    return kh_error_set(error, KH_ERROR_BUSY,
                        "Another command for \"%s\" is in progress; try again", self->record->name);
}

KhJob *
kh_instance_ask_command(KhInstance *self, const KhRequest *request, GError **error)
{
    Command *command;

    if (!check_monitor(self, error) ||
        (request->operation == KH_OPERATION_RESET && !intend_reset(self, error)))
        return NULL;
    kh_instance_begin_job(self, request->operation, request->caller);
    kh_instance_tell(self);
    command = g_new0(Command, 1);
    command->instance = g_object_ref(self);
    command->job = g_object_ref(self->current.job);
    if (request->operation == KH_OPERATION_RESET)
        kh_run_reset_async(self->run, on_commanded, command);
    else
        kh_monitor_do_async(kh_run_get_monitor(self->run),
                            request->operation == KH_OPERATION_PAUSE ? KH_MONITOR_PAUSE
                                                                     : KH_MONITOR_RESUME,
                            on_commanded, command);
    return g_object_ref(self->current.job);
}
