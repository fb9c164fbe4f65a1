/* SPDX-License-Identifier: MIT */
/*
 * One instance; see instance.h. A start is: start-up, run until "ready". Every change of
 * state goes through set_state(), which saves and announces it, before the step that it
 * names is taken; the end of a machine, expected or not, goes through conclude(). What may
 * be done when stands in state-table.c.
 */
#include "instance.h"

#include <unistd.h>

#include "backoff.h"
#include "crash-point.h"
#include "ending.h"
#include "error.h"
#include "log.h"
#include "preparation.h"
#include "qemu/command-line.h"
#include "removal.h"
#include "run.h"
#include "start-up.h"
#include "state/instance-dir.h"
#include "waiters.h"

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
    gboolean again;          /* it is to start once it has stopped */
    gboolean commanding;     /* a monitor command is under way */
    gboolean gone;
    KhBackoff backoff;
    guint restart_timer;
    KhWaiters *starters, *stoppers, *deleters;
};

G_DEFINE_FINAL_TYPE(KhInstance, kh_instance, G_TYPE_OBJECT)

enum { SIGNAL_CHANGED, SIGNAL_STEP, SIGNAL_GONE, N_SIGNALS };

static guint signals[N_SIGNALS];

static void
kh_instance_dispose(GObject *object)
{
    KhInstance *self = KH_INSTANCE(object);

    if (self->run != NULL)
        g_signal_handlers_disconnect_by_data(self->run, self);
    g_clear_object(&self->run);
    g_clear_object(&self->beginning);
    g_clear_handle_id(&self->restart_timer, g_source_remove);
    g_clear_pointer(&self->starters, kh_waiters_free);
    g_clear_pointer(&self->stoppers, kh_waiters_free);
    g_clear_pointer(&self->deleters, kh_waiters_free);
    G_OBJECT_CLASS(kh_instance_parent_class)->dispose(object);
}

static void
kh_instance_finalize(GObject *object)
{
    KhInstance *self = KH_INSTANCE(object);

    kh_record_free(self->record);
    g_clear_error(&self->failure);
    G_OBJECT_CLASS(kh_instance_parent_class)->finalize(object);
}

static void
kh_instance_class_init(KhInstanceClass *class)
{
    GType type = KH_TYPE_INSTANCE;

    G_OBJECT_CLASS(class)->dispose = kh_instance_dispose;
    G_OBJECT_CLASS(class)->finalize = kh_instance_finalize;
    signals[SIGNAL_CHANGED] =
        g_signal_new("changed", type, G_SIGNAL_RUN_LAST, 0, NULL, NULL, NULL, G_TYPE_NONE, 0);
    signals[SIGNAL_STEP] = g_signal_new("step", type, G_SIGNAL_RUN_LAST, 0, NULL, NULL, NULL,
                                        G_TYPE_NONE, 2, G_TYPE_STRING, G_TYPE_DOUBLE);
    signals[SIGNAL_GONE] =
        g_signal_new("gone", type, G_SIGNAL_RUN_LAST, 0, NULL, NULL, NULL, G_TYPE_NONE, 0);
}

static void
kh_instance_init(KhInstance *self)
{
    self->starters = kh_waiters_new();
    self->stoppers = kh_waiters_new();
    self->deleters = kh_waiters_new();
}

static void
replace(char **field, const char *text)
{
    char *copy = g_strdup(text);

    g_free(*field);
    *field = copy;
}

static gboolean
save(KhInstance *self, GError **error)
{
    g_autoptr(GError) failure = NULL;

    if (kh_store_update(self->host->store, self->record, &failure))
        return TRUE;
    kh_log_instance(self->record, G_LOG_LEVEL_WARNING, "Its state was not saved: %s",
                    failure->message);
    g_propagate_error(error, g_steal_pointer(&failure));
    return FALSE;
}

static void
report(KhInstance *self, const char *step, double progress)
{
    g_signal_emit(self, signals[SIGNAL_STEP], 0, step, progress);
}

/* The one place where the state changes; @error when the database does not know of it. */
static gboolean
enter_state(KhInstance *self, KhState state, const char *reason, GError **error)
{
    gboolean saved;

    self->record->state = state;
    replace(&self->record->reason, reason);
    saved = save(self, error);
    kh_log_instance(self->record, G_LOG_LEVEL_MESSAGE, "%s%s%s", kh_state_name(state),
                    reason[0] != '\0' ? ": " : "", reason);
    g_signal_emit(self, signals[SIGNAL_CHANGED], 0);
    return saved;
}

/* For what has happened, which is so whether it can be written down or not. */
static void
set_state(KhInstance *self, KhState state, const char *reason)
{
    enter_state(self, state, reason, NULL);
}

static void
set_last_error(KhInstance *self, const GError *error)
{
    replace(&self->record->error_name, error == NULL ? "" : kh_error_name(error->code));
    replace(&self->record->error_message, error == NULL ? "" : error->message);
}

static gboolean
has_machine(KhInstance *self)
{
    return self->run != NULL || self->beginning != NULL;
}

/* No process of it lives: the way into "failed" for starts, runs and deletions alike. */
static void
set_failed(KhInstance *self, const GError *error, const char *reason)
{
    set_last_error(self, error);
    set_state(self, KH_STATE_FAILED, reason);
    kh_waiters_finish(self->starters, error);
    kh_waiters_finish(self->stoppers, NULL);
}

static void begin(KhInstance *self, gboolean automatic);

static void
set_stopped(KhInstance *self, const char *reason, gboolean forced)
{
    g_autoptr(GError) error = g_error_new(KH_ERROR, KH_ERROR_CANCELLED,
                                          "\"%s\" was stopped before it ran", self->record->name);
    gboolean again = self->again;

    self->again = FALSE;
    replace(&self->record->stop_result, forced ? "forced" : "graceful");
    kh_crash_point("stop:ended");
    set_state(self, KH_STATE_STOPPED, reason);
    kh_crash_point("stop:noted");
    kh_waiters_finish(self->stoppers, NULL);
    if (again)
        begin(self, FALSE);
    else
        kh_waiters_finish(self->starters, error);
}

static gboolean
on_restart_timer(gpointer data)
{
    KhInstance *self = data;

    self->restart_timer = 0;
    self->record->restart_count++;
    begin(self, TRUE);
    return G_SOURCE_REMOVE;
}

static void
forget_restart(KhInstance *self)
{
    g_clear_handle_id(&self->restart_timer, g_source_remove);
    self->record->restart_usec = 0;
}

static gboolean
policy_restarts(KhInstance *self, KhEnding ending)
{
    const char *policy = self->record->config->restart_policy;

    /* Who asked for this start has been told that nothing came up. */
    if (!self->launched && !self->automatic)
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

static KhEnding
describe_end(KhInstance *self, GError **error)
{
    int folder = kh_instance_open_folder(self, error);
    gboolean same_boot = g_str_equal(self->record->boot_id, self->host->boot_id);
    KhEnding ending;

    if (folder < 0)
        return KH_ENDING_FAILED;
    ending = kh_ending_describe(folder, self->record->vm_uid, error);
    close(folder);
    if (ending != KH_ENDING_UNKNOWN || (same_boot && self->launched))
        return ending;
    g_clear_error(error);
    g_set_error(error, KH_ERROR, KH_ERROR_FAILED,
                same_boot ? "The service ended while it was %s"
                          : "The host went down while it was %s",
                kh_state_name(self->record->state));
    return KH_ENDING_FAILED;
}

static GError *
out_of_memory_error(KhInstance *self)
{
    return g_error_new(
        KH_ERROR, KH_ERROR_RESOURCE_UNAVAILABLE,
        "The kernel killed it: it was out of memory, at its limit of %" G_GUINT64_FORMAT
        " bytes or the host's",
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

/* What was configured for the next start holds from now on, and the old port is free. */
static void
take_pending(KhInstance *self)
{
    g_autoptr(GError) error = NULL;

    if (self->record->pending == NULL)
        return;
    kh_config_free(self->record->config);
    self->record->config = g_steal_pointer(&self->record->pending);
    if (!kh_store_reconfigure(self->host->store, self->record, &error))
        kh_log_instance(self->record, G_LOG_LEVEL_WARNING, "Its configuration was not saved: %s",
                        error->message);
}

static void begin_removal(KhInstance *self);

/* It has ended and nobody here had asked for that. */
static void
conclude_unasked(KhInstance *self, gboolean out_of_memory)
{
    g_autoptr(GError) error = g_steal_pointer(&self->failure);
    KhEnding ending = KH_ENDING_FAILED;
    g_autofree char *reason = NULL;

    if (error == NULL)
        ending = describe_end(self, &error);
    if (out_of_memory && ending != KH_ENDING_STOPPED) {
        g_error_free(error);
        error = out_of_memory_error(self);
        ending = KH_ENDING_FAILED;
    }
    take_pending(self);
    if (ending == KH_ENDING_STOPPED || ending == KH_ENDING_FORCED) {
        set_stopped(self, error->message, ending == KH_ENDING_FORCED);
        return;
    }
    reason = plan_restart(self, error, ending);
    set_failed(self, error, reason);
}

/* The machine is dead: what that means depends on what was wanted of it. */
static void
conclude(KhInstance *self, KhStopStep step, gboolean out_of_memory)
{
    KhRecord *record = self->record;
    gboolean asked = record->state == KH_STATE_STOPPING && self->failure == NULL;

    if (record->state == KH_STATE_DELETING) {
        begin_removal(self);
    } else if (asked) {
        take_pending(self);
        set_stopped(self, reason_of_stop(step), step > KH_STOP_CONTROL);
    } else {
        conclude_unasked(self, out_of_memory);
    }
}

/* The launcher has let go of a machine that is dead. */
static void
on_released(GObject *source, GAsyncResult *result, gpointer data)
{
    g_autoptr(KhInstance) self = data;
    gboolean out_of_memory = kh_launcher_release_finish(KH_LAUNCHER(source), result);
    KhStopStep step = KH_STOP_NONE;

    if (self->run != NULL)
        step = kh_run_get_stop_step(self->run);
    else if (self->record->state == KH_STATE_STOPPING && self->launched)
        step = KH_STOP_KILL;
    g_clear_object(&self->run);
    g_clear_object(&self->beginning);
    self->commanding = FALSE;
    conclude(self, step, out_of_memory);
}

/* Forgets the processes once what they leave has been taken. */
static void
release(KhInstance *self)
{
    kh_launcher_release_async(self->host->launcher, self->record->id, on_released,
                              g_object_ref(self));
}

static void
on_run_ended(KhRun *run, KhInstance *self)
{
    g_signal_handlers_disconnect_by_data(run, self);
    self->record->shim = self->record->qemu = (KhProcess){0};
    release(self);
}

static void
on_run_ready(KhRun *run, KhInstance *self)
{
    if (self->record->state != KH_STATE_STARTING)
        return;
    kh_crash_point("start:ready");
    self->ready_at = g_get_monotonic_time();
    self->record->ready_usec = g_get_real_time();
    if (self->started_at > 0)
        self->record->boot_time_usec = self->ready_at - self->started_at;
    set_state(self, KH_STATE_RUNNING, "");
    kh_crash_point("start:running");
    kh_waiters_finish(self->starters, NULL);
}

static void
on_run_paused(KhRun *run, KhInstance *self)
{
    if (self->record->state == KH_STATE_RUNNING)
        set_state(self, KH_STATE_PAUSED,
                  self->commanding ? "" : "QEMU has paused it; its log may say why");
}

static void
on_run_resumed(KhRun *run, KhInstance *self)
{
    if (self->record->state == KH_STATE_PAUSED)
        set_state(self, KH_STATE_RUNNING, "");
}

static guint
default_stop_ms(KhInstance *self)
{
    return self->host->stop_timeout * 1000;
}

/* Katana is dead and its guest is not: the state may be "failed" once that is stopped. */
static void
on_run_failing(KhRun *run, const GError *error, KhInstance *self)
{
    if (self->failure != NULL)
        return;
    self->failure = g_error_copy(error);
    set_state(self, KH_STATE_STOPPING, error->message);
    kh_run_stop(run, default_stop_ms(self), KH_RUN_QUIT_MS);
}

static void
follow(KhInstance *self, KhVm *vm)
{
    g_clear_object(&self->beginning);
    self->launched = TRUE;
    self->record->shim = *kh_vm_get_shim(vm);
    self->record->qemu = *kh_vm_get_qemu(vm);
    self->run = kh_run_new(self->host, self->record, vm);
    g_signal_connect(self->run, "ready", G_CALLBACK(on_run_ready), self);
    g_signal_connect(self->run, "paused", G_CALLBACK(on_run_paused), self);
    g_signal_connect(self->run, "resumed", G_CALLBACK(on_run_resumed), self);
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
        follow(self, vm);
        save(self, NULL);
        kh_crash_point("start:noted");
        g_signal_emit(self, signals[SIGNAL_CHANGED], 0);
        report(self, "waiting for RPC", 0.7);
        /* Stopped or deleted meanwhile: nothing of value runs in it yet. */
        if (self->record->state != KH_STATE_STARTING)
            kh_run_kill(self->run);
        return;
    }
    /* Not found: it lived, and is dead already; what it left says why. */
    self->launched = g_error_matches(error, KH_ERROR, KH_ERROR_NOT_FOUND);
    if (self->record->state == KH_STATE_STARTING && !self->launched)
        self->failure = g_steal_pointer(&error);
    g_clear_error(&error);
    release(self);
}

static void
on_step(const char *step, double progress, gpointer data)
{
    report(data, step, progress);
}

static void
begin(KhInstance *self, gboolean automatic)
{
    KhRecord *record = self->record;
    KhStartUp how = {
        .accelerator = kh_instance_get_accelerator(self), .on_step = on_step, .step_data = self};

    forget_restart(self);
    how.cancellable = self->beginning = g_cancellable_new();
    self->automatic = automatic;
    self->launched = self->again = FALSE;
    self->started_at = g_get_monotonic_time();
    self->ready_at = 0;
    record->started_usec = g_get_real_time();
    record->ready_usec = record->boot_time_usec = 0;
    replace(&record->boot_id, self->host->boot_id);
    set_last_error(self, NULL);
    /* What is not written down is not begun: nobody would find the machine again. */
    if (!enter_state(self, KH_STATE_STARTING, "", &self->failure)) {
        release(self);
        return;
    }
    kh_crash_point("start:intended");
    kh_start_up_async(self->host, record, &how, on_started_up, g_object_ref(self));
}

static gboolean
needs_configuration(KhOperation operation)
{
    return operation == KH_OPERATION_START || operation == KH_OPERATION_RESTART ||
           operation == KH_OPERATION_CONFIGURE;
}

KhVerdict
kh_instance_check(KhInstance *self, KhOperation operation, GError **error)
{
    KhVerdict verdict = kh_state_table_verdict(self->record->state, operation);

    if (self->gone) {
        g_set_error(error, KH_ERROR, KH_ERROR_NOT_FOUND, "\"%s\" has been deleted",
                    self->record->name);
        return KH_VERDICT_REFUSE;
    }
    /* A stop ends the wait for an automatic restart. */
    if (self->restart_timer != 0 &&
        (operation == KH_OPERATION_STOP || operation == KH_OPERATION_KILL))
        return KH_VERDICT_ALLOW;
    if (verdict == KH_VERDICT_REFUSE) {
        kh_state_table_explain(self->record->name, self->record->state, operation, error);
    } else if (self->record->damage != NULL && needs_configuration(operation)) {
        g_set_error(error, KH_ERROR, KH_ERROR_FAILED,
                    "The database's row of \"%s\" is damaged (%s); it can only be stopped and "
                    "deleted",
                    self->record->name, self->record->damage);
        return KH_VERDICT_REFUSE;
    }
    return verdict;
}

/* Answers what the table has already decided; TRUE when @task (taken then) is done. */
static gboolean
decided(KhInstance *self, KhOperation operation, GTask *task)
{
    GError *error = NULL;
    KhVerdict verdict = kh_instance_check(self, operation, &error);

    if (verdict == KH_VERDICT_ALLOW || verdict == KH_VERDICT_JOIN)
        return FALSE;
    if (verdict == KH_VERDICT_NOTHING)
        g_task_return_boolean(task, TRUE);
    else
        g_task_return_error(task, error);
    g_object_unref(task);
    return TRUE;
}

/* @task (taken) waits until RPC has answered. */
static void
wait_for_ready(KhInstance *self, GTask *task, gint64 timeout_usec)
{
    g_autofree char *late =
        g_strdup_printf("\"%s\" has not answered within %.3g s; it goes on starting: wait for it, "
                        "read its log, or stop it",
                        self->record->name, (double)timeout_usec / G_USEC_PER_SEC);

    kh_waiters_add(self->starters, task, timeout_usec, late);
}

/* An operator wants it to run. */
static void
forgive(KhInstance *self)
{
    kh_backoff_reset(&self->backoff);
    self->record->restart_count = 0;
    replace(&self->record->stopped_in, "");
}

void
kh_instance_start_async(KhInstance *self, gint64 timeout_usec, GAsyncReadyCallback callback,
                        gpointer user_data)
{
    GTask *task = g_task_new(self, NULL, callback, user_data);

    g_task_set_source_tag(task, kh_instance_start_async);
    if (decided(self, KH_OPERATION_START, task))
        return;
    wait_for_ready(self, task, timeout_usec);
    if (self->record->state == KH_STATE_STARTING)
        return;
    forgive(self);
    begin(self, FALSE);
}

/* The graceful step and quit share what a caller gives; by default quit has its own time. */
static void
stop_run(KhInstance *self, const KhStop *how)
{
    guint total = (guint)(how->timeout_usec / 1000);
    guint quit = MIN(KH_RUN_QUIT_MS, total / 2);

    if (how->kill)
        kh_run_kill(self->run);
    else if (total == 0)
        kh_run_stop(self->run, default_stop_ms(self), KH_RUN_QUIT_MS);
    else
        kh_run_stop(self->run, total - quit, quit);
}

static void
begin_stop(KhInstance *self, const KhStop *how)
{
    if (self->record->state != KH_STATE_STOPPING)
        set_state(self, KH_STATE_STOPPING, "");
    kh_crash_point("stop:intended");
    report(self, "stopping the guest", 0.1);
    if (self->run != NULL)
        stop_run(self, how);
    else if (self->beginning != NULL)
        g_cancellable_cancel(self->beginning);
    kh_crash_point("stop:told");
}

/* How long a stop may take, its last resort included. */
static gint64
stop_budget(KhInstance *self, const KhStop *how)
{
    gint64 steps = ((gint64)default_stop_ms(self) + KH_RUN_QUIT_MS) * 1000;

    return (how->timeout_usec > 0 ? how->timeout_usec : steps) + KH_RUN_KILL_MS * 1000;
}

static void
wait_for_stop(KhInstance *self, GTask *task, const KhStop *how)
{
    g_autofree char *late = g_strdup_printf(
        "QEMU of \"%s\" has outlived its kill; a device or a file system may be stuck",
        self->record->name);

    kh_waiters_add(self->stoppers, task, stop_budget(self, how), late);
}

void
kh_instance_stop_async(KhInstance *self, const KhStop *how, GAsyncReadyCallback callback,
                       gpointer user_data)
{
    GTask *task = g_task_new(self, NULL, callback, user_data);

    g_task_set_source_tag(task, kh_instance_stop_async);
    self->again = FALSE;
    if (decided(self, how->kill ? KH_OPERATION_KILL : KH_OPERATION_STOP, task))
        return;
    if (!how->by_service)
        replace(&self->record->stopped_in, self->host->boot_id);
    wait_for_stop(self, task, how);
    if (has_machine(self)) {
        begin_stop(self, how);
    } else {
        forget_restart(self);
        set_stopped(self, "The automatic restart was called off", FALSE);
    }
}

void
kh_instance_restart_async(KhInstance *self, const KhStop *how, gint64 timeout_usec,
                          GAsyncReadyCallback callback, gpointer user_data)
{
    GTask *task = g_task_new(self, NULL, callback, user_data);

    g_task_set_source_tag(task, kh_instance_restart_async);
    if (decided(self, KH_OPERATION_RESTART, task))
        return;
    forgive(self);
    wait_for_ready(self, task, timeout_usec + (has_machine(self) ? stop_budget(self, how) : 0));
    if (has_machine(self)) {
        self->again = TRUE;
        begin_stop(self, how);
    } else {
        begin(self, FALSE);
    }
}

/* A monitor command on its way. */
typedef struct {
    KhRunCommand command;
    gint64 timeout_usec;
} Command;

/* The machine boots anew under the same QEMU. */
static void
begin_again(KhInstance *self)
{
    self->started_at = g_get_monotonic_time();
    self->ready_at = 0;
    self->record->started_usec = g_get_real_time();
    self->record->ready_usec = self->record->boot_time_usec = 0;
    set_state(self, KH_STATE_STARTING, "It was reset");
    report(self, "waiting for RPC", 0.5);
}

static void
on_commanded(GObject *source, GAsyncResult *result, gpointer data)
{
    g_autoptr(GTask) task = data;
    KhInstance *self = g_task_get_source_object(task);
    const Command *command = g_task_get_task_data(task);
    KhState state = self->record->state;
    GError *error = NULL;
    gboolean done = kh_run_command_finish(KH_RUN(source), result, &error);

    self->commanding = FALSE;
    if (!done) {
        g_task_return_error(task, error);
    } else if (state != KH_STATE_RUNNING && state != KH_STATE_PAUSED) {
        g_task_return_new_error(task, KH_ERROR, KH_ERROR_CANCELLED, "\"%s\" is %s meanwhile",
                                self->record->name, kh_state_name(state));
    } else if (command->command == KH_RUN_RESET) {
        begin_again(self);
        wait_for_ready(self, g_steal_pointer(&task), command->timeout_usec);
    } else {
        (command->command == KH_RUN_PAUSE ? on_run_paused : on_run_resumed)(self->run, self);
        g_task_return_boolean(task, TRUE);
    }
}

static void
command_async(KhInstance *self, KhOperation operation, const Command *what,
              GAsyncReadyCallback callback, gpointer user_data)
{
    GTask *task = g_task_new(self, NULL, callback, user_data);

    g_task_set_source_tag(task, command_async);
    g_task_set_task_data(task, g_memdup2(what, sizeof *what), g_free);
    if (decided(self, operation, task))
        return;
    if (self->commanding || self->run == NULL) {
        g_task_return_new_error(task, KH_ERROR, KH_ERROR_BUSY,
                                "Another command for \"%s\" is under way; try again",
                                self->record->name);
        g_object_unref(task);
        return;
    }
    self->commanding = TRUE;
    kh_run_command_async(self->run, what->command, on_commanded, task);
}

void
kh_instance_reset_async(KhInstance *self, gint64 timeout_usec, GAsyncReadyCallback callback,
                        gpointer user_data)
{
    const Command command = {KH_RUN_RESET, timeout_usec};

    command_async(self, KH_OPERATION_RESET, &command, callback, user_data);
}

void
kh_instance_pause_async(KhInstance *self, GAsyncReadyCallback callback, gpointer user_data)
{
    const Command command = {KH_RUN_PAUSE, 0};

    command_async(self, KH_OPERATION_PAUSE, &command, callback, user_data);
}

void
kh_instance_resume_async(KhInstance *self, GAsyncReadyCallback callback, gpointer user_data)
{
    const Command command = {KH_RUN_RESUME, 0};

    command_async(self, KH_OPERATION_RESUME, &command, callback, user_data);
}

static void
on_removed(GObject *source, GAsyncResult *result, gpointer data)
{
    g_autoptr(KhInstance) self = data;
    g_autoptr(GError) error = NULL;

    if (!kh_removal_run_finish(result, &error)) {
        self->record->keep_data = FALSE;
        set_failed(self, error, error->message);
        kh_waiters_finish(self->deleters, error);
        return;
    }
    self->gone = TRUE;
    kh_log_instance(self->record, G_LOG_LEVEL_MESSAGE, "deleted");
    g_signal_emit(self, signals[SIGNAL_GONE], 0);
    kh_waiters_finish(self->stoppers, NULL);
    kh_waiters_finish(self->deleters, NULL);
}

static void
begin_removal(KhInstance *self)
{
    g_autoptr(GError) error =
        g_error_new(KH_ERROR, KH_ERROR_CANCELLED, "\"%s\" was deleted", self->record->name);

    kh_crash_point("delete:ended");
    kh_waiters_finish(self->starters, error);
    kh_removal_run_async(self->host, self->record, on_removed, g_object_ref(self));
}

void
kh_instance_delete_async(KhInstance *self, gboolean force, gboolean keep_data,
                         GAsyncReadyCallback callback, gpointer user_data)
{
    GTask *task = g_task_new(self, NULL, callback, user_data);
    KhState before = self->record->state;
    g_autoptr(GError) error = NULL;

    g_task_set_source_tag(task, kh_instance_delete_async);
    if (decided(self, force ? KH_OPERATION_FORCE_DELETE : KH_OPERATION_DELETE, task))
        return;
    kh_waiters_add(self->deleters, task, 0, "");
    if (before == KH_STATE_DELETING)
        return;
    forget_restart(self);
    self->record->keep_data = keep_data;
    if (!enter_state(self, KH_STATE_DELETING, "", &error)) {
        self->record->keep_data = FALSE;
        set_state(self, before, "");
        kh_waiters_finish(self->deleters, error);
        return;
    }
    kh_crash_point("delete:intended");
    if (self->run != NULL)
        kh_run_kill(self->run);
    else if (self->beginning != NULL)
        g_cancellable_cancel(self->beginning);
    else
        begin_removal(self);
}

gboolean
kh_instance_operation_finish(KhInstance *self, GAsyncResult *result, GError **error)
{
    return g_task_propagate_boolean(G_TASK(result), error);
}

/* @config and @pending (both taken) instead of what there was; back again on failure. */
static gboolean
exchange(KhInstance *self, KhConfig *config, KhConfig *pending, GError **error)
{
    KhRecord *record = self->record;
    g_autoptr(KhConfig) old_config = g_steal_pointer(&record->config);
    g_autoptr(KhConfig) old_pending = g_steal_pointer(&record->pending);

    record->config = config;
    record->pending = pending;
    kh_crash_point("set:checked");
    if (kh_store_reconfigure(self->host->store, record, error)) {
        kh_crash_point("set:written");
        return TRUE;
    }
    kh_config_free(config);
    kh_config_free(pending);
    record->config = g_steal_pointer(&old_config);
    record->pending = g_steal_pointer(&old_pending);
    return FALSE;
}

/* Those keys that a living machine, or a restart that is due, takes at once. */
static void
apply_live_keys(KhInstance *self)
{
    const KhConfig *config = self->record->config;

    if (self->run != NULL)
        kh_launcher_set_cpu_quota(self->host->launcher, self->record->id, config->cpu_quota);
    if (self->restart_timer != 0 && g_str_equal(config->restart_policy, "no")) {
        forget_restart(self);
        set_state(self, KH_STATE_FAILED, self->record->error_message);
    }
}

gboolean
kh_instance_configure(KhInstance *self, KhConfig *config, GError **error)
{
    g_autoptr(KhConfig) wanted = config;
    g_autoptr(KhConfig) now = NULL;
    g_auto(GStrv) differences = NULL;

    if (kh_instance_check(self, KH_OPERATION_CONFIGURE, error) == KH_VERDICT_REFUSE)
        return FALSE;
    if (has_machine(self)) {
        now = kh_config_with_live_keys(self->record->config, wanted);
        differences = kh_config_differences(now, wanted);
        if (differences[0] == NULL)
            g_clear_pointer(&wanted, kh_config_free);
    } else {
        now = g_steal_pointer(&wanted);
    }
    if (!exchange(self, g_steal_pointer(&now), g_steal_pointer(&wanted), error))
        return FALSE;
    apply_live_keys(self);
    g_signal_emit(self, signals[SIGNAL_CHANGED], 0);
    return TRUE;
}

/* A machine is there that a service before this one has started. */
static void
adopt(KhInstance *self, KhVm *vm)
{
    follow(self, vm);
    save(self, NULL);
    kh_log_instance(self->record, G_LOG_LEVEL_MESSAGE, "is followed again, QEMU's pid is %u",
                    kh_instance_get_main_pid(self));
    g_signal_emit(self, signals[SIGNAL_CHANGED], 0);
    if (self->record->state == KH_STATE_DELETING)
        kh_run_kill(self->run);
    if (self->record->state != KH_STATE_STOPPING)
        return;
    /* Only a stop of the service's own has a reason: Katana's end. */
    if (self->record->reason[0] != '\0')
        self->failure = g_error_new(KH_ERROR, KH_ERROR_GUEST_FAILED, "%s", self->record->reason);
    kh_run_stop(self->run, default_stop_ms(self), KH_RUN_QUIT_MS);
}

static void
on_recovered(GObject *source, GAsyncResult *result, gpointer data)
{
    g_autoptr(KhInstance) self = data;
    g_autoptr(KhVm) vm = kh_launcher_recover_finish(KH_LAUNCHER(source), result, NULL);

    if (vm != NULL)
        adopt(self, vm);
    else
        release(self);
}

/* Where a service before this one left it. */
static void
resume(KhInstance *self)
{
    KhRecord *record = self->record;
    gboolean same_boot = g_str_equal(record->boot_id, self->host->boot_id);
    const KhTraces traces = {.id = record->id,
                             .runtime_fd = kh_state_dir_runtime_fd(self->host->state_dir),
                             .uid = record->vm_uid};
    g_autoptr(KhVm) vm = NULL;

    self->launched = record->shim.pid > 0;
    if (same_boot && self->launched)
        vm = kh_vm_new(&record->shim, &record->qemu, NULL);
    if (vm != NULL) {
        adopt(self, vm);
        return;
    }
    self->beginning = g_cancellable_new();
    if (same_boot && !self->launched)
        kh_launcher_recover_async(self->host->launcher, &traces, on_recovered, g_object_ref(self));
    else
        release(self);
}

/* A restart that was due when the service ended; its time may have passed. */
static void
resume_restart(KhInstance *self)
{
    gint64 left = self->record->restart_usec - g_get_real_time();
    guint seconds = (guint)CLAMP(left / G_USEC_PER_SEC, 1, KH_BACKOFF_MAX_S);

    self->restart_timer = g_timeout_add_seconds(seconds, on_restart_timer, self);
}

KhInstance *
kh_instance_new(const KhHost *host, KhRecord *record)
{
    KhInstance *self = g_object_new(KH_TYPE_INSTANCE, NULL);

    self->host = host;
    self->record = record;
    switch (record->state) {
    case KH_STATE_CREATED:
    case KH_STATE_STOPPED:
        take_pending(self);
        break;
    case KH_STATE_FAILED:
        take_pending(self);
        if (record->restart_usec > 0)
            resume_restart(self);
        break;
    default:
        resume(self);
    }
    return self;
}

const KhRecord *
kh_instance_get_record(KhInstance *self)
{
    return self->record;
}

guint32
kh_instance_get_main_pid(KhInstance *self)
{
    return self->run == NULL ? 0 : (guint32)self->record->qemu.pid;
}

const char *
kh_instance_get_accelerator(KhInstance *self)
{
    const char *wanted = self->record->config->accelerator;

    return g_str_equal(wanted, "auto") ? self->host->accelerator : wanted;
}

guint64
kh_instance_get_memory_limit(KhInstance *self)
{
    return kh_start_up_memory_max(self->record->config, kh_instance_get_accelerator(self));
}

char **
kh_instance_get_portable_command(KhInstance *self)
{
    const KhConfig *config = self->record->config;
    g_autofree char *image = kh_image_store_folder(self->host->images, config->image);
    g_autofree char *data = kh_preparation_state_folder(self->host, self->record);
    const KhMachine machine = {.config = config,
                               .name = self->record->name,
                               .accelerator = kh_instance_get_accelerator(self),
                               .qemu = self->host->qemu,
                               .image_folder = image,
                               .data_folder = data};

    return kh_command_line_build_portable(&machine);
}

int
kh_instance_open_folder(KhInstance *self, GError **error)
{
    return kh_instance_dir_open(kh_state_dir_instances_fd(self->host->state_dir), self->record->id,
                                error);
}
