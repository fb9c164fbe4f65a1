/* SPDX-License-Identifier: MIT */
/*
 * The beginning of a machine, for the job under way: start-up, then a run, until RPC answers;
 * and what the run tells while it lives. Its end goes to instance-end.c.
 */
#include "instance-private.h"

#include <unistd.h>

#include "auto-fd.h"
#include "crash-point.h"
#include "descriptors.h"
#include "error.h"
#include "launch/shim-protocol.h"
#include "machine/start-up.h"

gboolean
kh_instance_has_machine(KhInstance *self)
{
    return self->presence != KH_PRESENCE_NONE;
}

/* The launcher has let go of a machine that is dead. */
static void
on_released(GObject *source, GAsyncResult *result, gpointer data)
{
    g_autoptr(KhInstance) self = data;
    gboolean out_of_memory = kh_machines_release_finish(self->machines, self->record, result);
    KhStopStep step = KH_STOP_NONE;

    if (self->run != NULL)
        step = kh_run_get_stop_step(self->run);
    g_clear_object(&self->run);
    self->presence = KH_PRESENCE_NONE;
    kh_instance_touch(self, KH_ASPECT_MACHINE);
    kh_instance_conclude(self, step, out_of_memory);
}

void
kh_instance_release(KhInstance *self)
{
    kh_machines_release_async(self->machines, self->record, on_released, g_object_ref(self));
}

static void
on_run_ended(KhRun *run, KhInstance *self)
{
    g_signal_handlers_disconnect_by_data(run, self);
    kh_crash_point("stop:dead");
    self->record->shim = self->record->qemu = (KhProcess){0};
    kh_instance_release(self);
}

static void
on_run_ready(KhRun *run, KhInstance *self)
{
    KhLifecycle job;

    if (self->record->state != KH_STATE_STARTING)
        return;
    kh_crash_point("start:ready");
    self->ready_at = g_get_monotonic_time();
    self->record->ready_usec = g_get_real_time();
    if (self->started_at > 0)
        self->record->boot_time_usec = self->ready_at - self->started_at;
    job = kh_instance_take_job(self);
    kh_instance_set_state(self, KH_STATE_RUNNING, "");
    kh_crash_point("start:running");
    kh_instance_end_job(self, &job, NULL);
}

/* What QEMU tells while it is being told is no news of its own. */
static void
on_run_paused(KhRun *run, gboolean paused, KhInstance *self)
{
    const KhState state = self->record->state;
    const gboolean busy = self->current.job != NULL;

    if (paused && state == KH_STATE_RUNNING)
        kh_instance_set_state(self, KH_STATE_PAUSED,
                              busy && kh_operation_commands(self->current.operation)
                                  ? ""
                                  : "QEMU has paused it; its log may say why");
    /* What a reset lets go on boots; it runs when RPC has answered. */
    else if (!paused && state == KH_STATE_PAUSED &&
             !(busy && self->current.operation == KH_OPERATION_RESET))
        kh_instance_set_state(self, KH_STATE_RUNNING, "");
}

/* Katana is dead and its guest is not: the state may be "failed" once that is stopped. */
static void
on_run_failing(KhRun *run, const GError *error, KhInstance *self)
{
    KhLifecycle overtaken = {0};

    if (self->current.failure != NULL)
        return;
    if (self->record->state != KH_STATE_STARTING)
        overtaken = kh_instance_begin_job(self, KH_OPERATION_STOP, KH_JOB_SERVICE);
    self->current.failure = g_error_copy(error);
    self->record->exit_code = kh_run_get_exit_code(run);
    kh_instance_redact(self, self->current.failure);
    kh_instance_set_state(self, KH_STATE_STOPPING, self->current.failure->message);
    kh_instance_report(self, "stopping the guest", 0.8);
    kh_instance_overtake_job(self, &overtaken, "failed before that was done");
    kh_run_stop(run, kh_instance_default_stop_ms(self), KH_RUN_QUIT_MS);
}

void
kh_instance_follow(KhInstance *self, KhVm *vm)
{
    self->presence = KH_PRESENCE_FOLLOWED;
    kh_instance_touch(self, KH_ASPECT_MACHINE);
    self->launched = TRUE;
    self->record->shim = *kh_vm_get_shim(vm);
    self->record->qemu = *kh_vm_get_qemu(vm);
    self->run = kh_run_new(self->machines, self->record, vm);
    g_signal_connect(self->run, "ready", G_CALLBACK(on_run_ready), self);
    g_signal_connect(self->run, "paused", G_CALLBACK(on_run_paused), self);
    g_signal_connect(self->run, "failing", G_CALLBACK(on_run_failing), self);
    g_signal_connect(self->run, "ended", G_CALLBACK(on_run_ended), self);
}

static void
on_started_up(GObject *source, GAsyncResult *result, gpointer data)
{
    g_autoptr(KhInstance) self = data;
    GError *error = NULL;
    g_autoptr(KhVm) vm = kh_start_up_finish(result, &error);

    if (vm != NULL) {
        kh_instance_follow(self, vm);
        kh_instance_save(self, NULL);
        kh_crash_point("start:noted");
        /* It may have been changed since the launch. */
        kh_run_apply_cpu_quota(self->run);
        kh_instance_tell(self);
        /* Stopped or deleted meanwhile: nothing of value runs in it yet. */
        if (self->record->state == KH_STATE_STARTING)
            kh_instance_report(self, "waiting for RPC", 0.7);
        else
            kh_run_kill(self->run);
        return;
    }
    /* Not found: it lived, and is dead already; what it left says why. */
    self->launched = g_error_matches(error, KH_ERROR, KH_ERROR_NOT_FOUND);
    if (self->record->state == KH_STATE_STARTING && !self->launched)
        self->current.failure = g_steal_pointer(&error);
    g_clear_error(&error);
    kh_instance_release(self);
}

/* A start-up that something else has come in the place of has no steps of any job any more. */
static void
on_step(const char *step, double progress, gpointer data)
{
    KhInstance *self = data;

    if (self->record->state == KH_STATE_STARTING)
        kh_instance_report(self, step, progress);
}

static gboolean
note_disk(const KhRecord *record, gpointer data, GError **error)
{
    return kh_instance_save_intent(data, error);
}

/* Before the start is noted, so that one which is found later was left by it. */
static void
drop_exit_status(KhInstance *self)
{
    g_auto(KhFd) folder = kh_instance_open_folder(self, NULL);

    if (folder >= 0)
        unlinkat(folder, KH_FILE_EXIT_STATUS, 0);
}

/* Nothing of the start before holds any more. */
static void
reset_record(KhInstance *self)
{
    KhRecord *record = self->record;

    record->started_usec = g_get_real_time();
    record->ready_usec = record->boot_time_usec = 0;
    record->simulated = record->config->tee && self->machines->settings->simulate_tee;
    /* Those of the last machine, whose end nobody may have seen. */
    record->shim = record->qemu = (KhProcess){0};
    record->exit_code = -1;
    kh_instance_replace(&record->boot_id, self->machines->facts->boot_id);
    kh_instance_set_last_error(self, NULL);
}

void
kh_instance_begin(KhInstance *self)
{
    KhStartUp how = {.accelerator = kh_instance_get_accelerator(self),
                     .on_step = on_step,
                     .note_disk = note_disk,
                     .data = self};

    kh_instance_forget_restart(self);
    self->presence = KH_PRESENCE_BEGINNING;
    self->launched = self->current.kill = FALSE;
    self->started_at = g_get_monotonic_time();
    self->ready_at = 0;
    reset_record(self);
    drop_exit_status(self);
    /* What is not written down is not begun: nobody would find the machine again. */
    if (!kh_instance_enter_state(self, KH_STATE_STARTING, "", &self->current.failure) ||
        !kh_descriptors_check(KH_DESCRIPTORS_MACHINE, &self->current.failure)) {
        kh_instance_release(self);
        return;
    }
    kh_crash_point("start:intended");
    how.cancellable = kh_job_get_cancellable(self->current.job);
    kh_start_up_async(self->machines, self->record, &how, on_started_up, g_object_ref(self));
}
