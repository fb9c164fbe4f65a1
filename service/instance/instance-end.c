/* SPDX-License-Identifier: MIT */
/*
 * What the end of a machine means: for the state and its reason, for the job under way, and for
 * the restart policy. Called by instance-start.c when the launcher has let go of a dead machine.
 */
#include "instance-private.h"

#include <fcntl.h>
#include <unistd.h>

#include "auto-fd.h"
#include "crash-point.h"
#include "machine/exit-cause.h"
#include "error.h"
#include "launch/shim-protocol.h"
#include "log/instance-log.h"
#include "port/registry.h"

/* Why a start that is over has come to nothing, though nothing has failed. */
#define STOPPED_BEFORE "was stopped before it ran"

void
kh_instance_go_on(KhInstance *self)
{
    KhLifecycle job;

    if (!kh_lifecycle_starts(&self->current))
        return;
    if (!kh_shutdown_has_begun(self->shutdown)) {
        kh_instance_begin(self);
        return;
    }
    job = kh_instance_take_job(self);
    kh_instance_cancel_job(self, &job, STOPPED_BEFORE);
}

void
kh_instance_set_stopped(KhInstance *self, const char *reason, gboolean forced)
{
    /* A restart that has come to its start is one, and goes the way of a start. */
    const gboolean restarts = self->record->state == KH_STATE_STOPPING &&
                              self->current.job != NULL &&
                              self->current.operation == KH_OPERATION_RESTART;
    KhLifecycle job = {0};
    g_autoptr(GError) unsaved = NULL;

    if (!restarts)
        job = kh_instance_take_job(self);
    if (!kh_lifecycle_starts(&self->current))
        kh_instance_forget_restart(self);
    kh_instance_replace(&self->record->stop_result, forced ? "forced" : "graceful");
    kh_crash_point("stop:ended");
    kh_instance_set_state(self, KH_STATE_STOPPED, reason);
    kh_crash_point("stop:noted");
    unsaved = kh_instance_unsaved_error(self);
    if (kh_lifecycle_stops(&job))
        kh_instance_end_job(self, &job, unsaved);
    else
        kh_instance_cancel_job(self, &job, STOPPED_BEFORE);
    kh_instance_end_overtaken_jobs(self);
    kh_instance_go_on(self);
}

void
kh_instance_set_failed(KhInstance *self, const GError *error, const char *reason)
{
    KhLifecycle job = kh_instance_take_job(self);
    g_autoptr(GError) unsaved = NULL;

    kh_instance_set_last_error(self, error);
    kh_instance_set_state(self, KH_STATE_FAILED, reason);
    unsaved = kh_instance_unsaved_error(self);
    kh_instance_end_job(self, &job, kh_lifecycle_stops(&job) ? unsaved : error);
    kh_instance_end_overtaken_jobs(self);
}

static gboolean
on_restart_timer(gpointer data)
{
    KhInstance *self = data;

    self->restart_timer = 0;
    if (kh_shutdown_has_begun(self->shutdown))
        return G_SOURCE_REMOVE;
    self->record->restart_count++;
    kh_instance_begin_job(self, KH_OPERATION_START, KH_JOB_SERVICE);
    self->current.unattended = TRUE;
    kh_instance_begin(self);
    return G_SOURCE_REMOVE;
}

void
kh_instance_forget_restart(KhInstance *self)
{
    g_clear_handle_id(&self->restart_timer, g_source_remove);
    self->record->restart_usec = 0;
}

static gboolean
policy_restarts(KhInstance *self, KhEnding ending)
{
    const char *policy = self->record->config->restart_policy;

    /* Who asked for this start has been told that nothing came up; who stopped it meant it. */
    if ((!self->launched && self->current.job != NULL && !self->current.unattended) ||
        kh_shutdown_has_begun(self->shutdown) ||
        g_str_equal(self->record->stopped_in, self->machines->facts->boot_id))
        return FALSE;
    return g_str_equal(policy, "always") ||
           (g_str_equal(policy, "on-failure") && ending != KH_ENDING_POWERED_OFF);
}

/* The reason of the state "failed"; where the policy says so, a restart is due after it. */
static char *
plan_restart(KhInstance *self, const GError *error, KhEnding ending)
{
    gint64 now = g_get_monotonic_time();
    guint delay;

    if (!policy_restarts(self, ending))
        return g_strdup(error->message);
    if (self->ready_at > 0 && now - self->ready_at >= KH_BACKOFF_WINDOW_S * G_USEC_PER_SEC)
        kh_backoff_reset(&self->backoff);
    delay = kh_backoff_next(&self->backoff, now);
    if (delay == 0)
        return g_strdup_printf("%s; restart limit: it has ended more than %d times in %d s",
                               error->message, KH_BACKOFF_LIMIT, KH_BACKOFF_WINDOW_S);
    self->record->restart_usec = g_get_real_time() + (gint64)delay * G_USEC_PER_SEC;
    self->restart_timer = g_timeout_add_seconds(delay, on_restart_timer, self);
    return g_strdup_printf("%s; it starts again in %u s", error->message, delay);
}

/*
 * Until a machine is launched, the logs in the folder are the last one's; an exit status is
 * this start's, which has begun with the removal of the last, unless the host has gone down.
 */
static gboolean
left_by_this_start(KhInstance *self, int folder, gboolean same_boot)
{
    return self->launched ||
           (same_boot && faccessat(folder, KH_FILE_EXIT_STATUS, F_OK, AT_SYMLINK_NOFOLLOW) == 0);
}

/* Unless the guest has told it while it lived. */
static void
note_exit_code(KhInstance *self)
{
    gboolean same_boot = g_str_equal(self->record->boot_id, self->machines->facts->boot_id);
    g_auto(KhFd) folder = -1;

    if (self->record->exit_code < 0)
        folder = kh_instance_open_folder(self, NULL);
    if (folder >= 0 && left_by_this_start(self, folder, same_boot))
        self->record->exit_code = kh_ending_read_exit_code(folder, self->record->vm_uid);
}

/* Where nothing can be written its shim could not leave how QEMU has ended. */
static gboolean
explain_silence(KhInstance *self, GError **error)
{
    const char *folder = kh_state_dir_find_read_only(self->machines->state_dir);

    if (folder == NULL || !self->launched)
        return FALSE;
    g_clear_error(error);
    g_set_error(error, KH_ERROR, KH_ERROR_FAILED,
                "How QEMU ended is not known, because its shim could not write it down: %s is on a "
                "file system that is read-only",
                folder);
    return TRUE;
}

static KhEnding
describe_end(KhInstance *self, GError **error)
{
    g_auto(KhFd) folder = kh_instance_open_folder(self, error);
    gboolean same_boot = g_str_equal(self->record->boot_id, self->machines->facts->boot_id);
    KhEnding ending = KH_ENDING_UNKNOWN;

    if (folder < 0)
        return KH_ENDING_FAILED;
    if (left_by_this_start(self, folder, same_boot))
        ending = kh_ending_describe(folder, self->record->vm_uid, error);
    if (ending == KH_ENDING_UNKNOWN && explain_silence(self, error))
        return ending;
    if (ending != KH_ENDING_UNKNOWN || (same_boot && self->launched))
        return ending;
    g_clear_error(error);
    g_set_error(error, KH_ERROR, KH_ERROR_FAILED,
                same_boot ? "The service ended while it was %s"
                          : "The host went down while it was %s",
                kh_state_name(self->record->state));
    return KH_ENDING_FAILED;
}

/* Whether somebody has taken its port between the probe and QEMU's own attempt. */
static void
look_at_port(KhInstance *self, GError **error)
{
    const KhConfig *config = self->record->config;
    g_autoptr(GError) taken = NULL;

    if (self->ready_at > 0 || !g_error_matches(*error, KH_ERROR, KH_ERROR_LAUNCH_FAILED) ||
        kh_port_probe(config->rpc_address, config->rpc_port, &taken) ||
        !g_error_matches(taken, KH_ERROR, KH_ERROR_PORT_UNAVAILABLE))
        return;
    g_error_free(*error);
    *error = g_steal_pointer(&taken);
}

static GError *
out_of_memory_error(KhInstance *self)
{
    return g_error_new(
        KH_ERROR, KH_ERROR_RESOURCE_UNAVAILABLE,
        "The kernel killed it because it was out of memory, at its limit of %" G_GUINT64_FORMAT
        " bytes or at the host's",
        kh_instance_get_memory_limit(self));
}

static const char *
reason_of_stop(KhStopStep step)
{
    switch (step) {
    case KH_STOP_QUIT:
        return "The guest did not stop in time; QEMU was told to quit";
    case KH_STOP_KILL:
        return "QEMU was killed";
    default:
        return "";
    }
}

void
kh_instance_take_pending(KhInstance *self)
{
    if (self->record->pending == NULL)
        return;
    kh_config_unref(self->record->config);
    self->record->config = g_steal_pointer(&self->record->pending);
    kh_instance_replace(&self->record->measurement, self->record->pending_measurement);
    kh_instance_replace(&self->record->pending_measurement, "");
    kh_instance_replace(&self->record->pending_secrets, "");
    kh_instance_touch(self, KH_ASPECT_CONFIG | KH_ASPECT_IMAGE | KH_ASPECT_MACHINE);
    kh_instance_save_ports(self);
    kh_crash_point("set:taken");
}

/* It has ended and nobody here had asked for that. */
static void
conclude_unasked(KhInstance *self, gboolean out_of_memory)
{
    g_autoptr(GError) error = g_steal_pointer(&self->current.failure);
    KhEnding ending = KH_ENDING_FAILED;
    g_autofree char *reason = NULL;

    if (error == NULL)
        ending = describe_end(self, &error);
    look_at_port(self, &error);
    if (out_of_memory && ending != KH_ENDING_STOPPED) {
        g_error_free(error);
        error = out_of_memory_error(self);
        ending = KH_ENDING_FAILED;
    }
    kh_instance_redact(self, error);
    kh_instance_take_pending(self);
    if (ending == KH_ENDING_STOPPED || ending == KH_ENDING_FORCED) {
        kh_instance_set_stopped(self, error->message, ending == KH_ENDING_FORCED);
        return;
    }
    reason = plan_restart(self, error, ending);
    kh_instance_set_failed(self, error, reason);
    kh_instance_go_on(self);
}

/*
 * It was to stop. Up to the control channel's step its end is the guest's own doing, unless
 * what it left says otherwise: a kill from outside, a crash.
 */
static void
conclude_stop(KhInstance *self, KhStopStep step, gboolean out_of_memory)
{
    g_autoptr(GError) reason = NULL;
    KhEnding ending = KH_ENDING_POWERED_OFF;
    gboolean graceful;

    if (step <= KH_STOP_CONTROL && self->launched)
        ending = describe_end(self, &reason);
    if (out_of_memory) {
        g_clear_error(&reason);
        reason = out_of_memory_error(self);
        ending = KH_ENDING_FAILED;
    }
    graceful =
        step <= KH_STOP_CONTROL && (ending == KH_ENDING_POWERED_OFF || ending == KH_ENDING_STOPPED);
    if (reason != NULL)
        kh_instance_redact(self, reason);
    kh_instance_take_pending(self);
    kh_instance_set_stopped(
        self, graceful || reason == NULL ? reason_of_stop(step) : reason->message, !graceful);
}

void
kh_instance_conclude(KhInstance *self, KhStopStep step, gboolean out_of_memory)
{
    KhRecord *record = self->record;
    gboolean asked = record->state == KH_STATE_STOPPING && self->current.failure == NULL;

    if (record->state == KH_STATE_DELETING) {
        kh_instance_begin_removal(self);
        return;
    }
    note_exit_code(self);
    if (asked) {
        conclude_stop(self, step, out_of_memory);
    } else {
        conclude_unasked(self, out_of_memory);
    }
}

/* A time that no back-off can have meant is another clock's: the restart is due now. */
void
kh_instance_resume_restart(KhInstance *self)
{
    gint64 left = (self->record->restart_usec - g_get_real_time()) / G_USEC_PER_SEC;
    guint seconds = left > KH_BACKOFF_MAX_S ? 1 : (guint)MAX(left, 1);

    self->restart_timer = g_timeout_add_seconds(seconds, on_restart_timer, self);
}
