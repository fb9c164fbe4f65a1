/* SPDX-License-Identifier: MIT */
/*
 * One instance; see instance.h. A start is: preparation, launch, run until "ready". Every
 * change of state goes through set_state(), which saves and announces it. What may be done
 * when stands in state-table.c.
 */
#include "instance.h"

#include <unistd.h>

#include "ending.h"
#include "error.h"
#include "launch/shim-protocol.h"
#include "log.h"
#include "preparation.h"
#include "qemu/command-line.h"
#include "run.h"
#include "state-table.h"
#include "state/instance-dir.h"
#include "waiters.h"

struct _KhInstance {
    GObject parent_instance;
    const KhHost *host;
    KhRecord *record;
    KhRun *run;         /* while a machine lives */
    gboolean beginning; /* preparation or launch is under way: no run yet */
    gint64 started_at;  /* monotonic */
    GError *failure;    /* why it is being stopped by the service itself */
    GTask *deleting;
    gboolean gone;
    gboolean keep_data;
    KhWaiters *starters;
    KhWaiters *stoppers;
};

G_DEFINE_FINAL_TYPE(KhInstance, kh_instance, G_TYPE_OBJECT)

enum { SIGNAL_CHANGED, SIGNAL_GONE, N_SIGNALS };

static guint signals[N_SIGNALS];

static void
kh_instance_dispose(GObject *object)
{
    KhInstance *self = KH_INSTANCE(object);

    if (self->run != NULL)
        g_signal_handlers_disconnect_by_data(self->run, self);
    g_clear_object(&self->run);
    g_clear_pointer(&self->starters, kh_waiters_free);
    g_clear_pointer(&self->stoppers, kh_waiters_free);
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
    signals[SIGNAL_GONE] =
        g_signal_new("gone", type, G_SIGNAL_RUN_LAST, 0, NULL, NULL, NULL, G_TYPE_NONE, 0);
}

static void
kh_instance_init(KhInstance *self)
{
    self->starters = kh_waiters_new();
    self->stoppers = kh_waiters_new();
}

static void
replace(char **field, const char *text)
{
    g_free(*field);
    *field = g_strdup(text);
}

static void
save(KhInstance *self)
{
    g_autoptr(GError) error = NULL;

    if (!kh_store_update(self->host->store, self->record, &error))
        kh_log_instance(self->record, G_LOG_LEVEL_WARNING, "Its state was not saved: %s",
                        error->message);
}

/* The one place where the state changes. */
static void
set_state(KhInstance *self, KhState state, const char *reason)
{
    self->record->state = state;
    replace(&self->record->reason, reason);
    save(self);
    kh_log_instance(self->record, G_LOG_LEVEL_MESSAGE, "%s%s%s", kh_state_name(state),
                    reason[0] != '\0' ? ": " : "", reason);
    g_signal_emit(self, signals[SIGNAL_CHANGED], 0);
}

static void
set_last_error(KhInstance *self, const GError *error)
{
    replace(&self->record->error_name, error == NULL ? "" : kh_error_name(error->code));
    replace(&self->record->error_message, error == NULL ? "" : error->message);
}

/* No process of it lives: the way into "failed" for starts, runs and deletions alike. */
static void
set_failed(KhInstance *self, const GError *error)
{
    set_last_error(self, error);
    set_state(self, KH_STATE_FAILED, error->message);
    kh_waiters_finish(self->starters, error);
    kh_waiters_finish(self->stoppers, NULL);
}

static void
set_stopped(KhInstance *self, const char *reason)
{
    g_autoptr(GError) error = g_error_new(KH_ERROR, KH_ERROR_CANCELLED,
                                          "\"%s\" was stopped before it ran", self->record->name);

    set_state(self, KH_STATE_STOPPED, reason);
    kh_waiters_finish(self->starters, error);
    kh_waiters_finish(self->stoppers, NULL);
}

static char *
read_boot_id(void)
{
    g_autofree char *id = NULL;

    if (!g_file_get_contents("/proc/sys/kernel/random/boot_id", &id, NULL, NULL))
        return g_strdup("");
    return g_strdup(g_strstrip(id));
}

static void begin_deletion(KhInstance *self);

static GError *
describe_end(KhInstance *self)
{
    g_autoptr(GError) missing = NULL;
    int folder = kh_instance_open_folder(self, &missing);
    GError *error;

    if (folder < 0)
        return g_steal_pointer(&missing);
    error = kh_ending_describe(folder, self->record->vm_uid);
    close(folder);
    return error;
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

/* The machine is dead: what that means depends on what was wanted of it. */
static void
settle(KhInstance *self, KhStopStep step)
{
    g_autoptr(GError) error = g_steal_pointer(&self->failure);

    if (self->deleting != NULL) {
        begin_deletion(self);
        return;
    }
    if (error == NULL && step == KH_STOP_NONE)
        error = describe_end(self);
    if (error != NULL)
        set_failed(self, error);
    else
        set_stopped(self, reason_of_stop(step));
}

static void
on_run_ended(KhRun *run, KhInstance *self)
{
    g_autoptr(KhInstance) held = g_object_ref(self);
    KhStopStep step = kh_run_get_stop_step(run);
    g_autoptr(GError) error = NULL;

    g_signal_handlers_disconnect_by_data(run, self);
    self->record->shim = self->record->qemu = (KhProcess){0};
    replace(&self->record->boot_id, "");
    if (step == KH_STOP_NONE && self->failure == NULL && self->deleting == NULL)
        self->failure = describe_end(self);
    g_clear_object(&self->run);
    settle(self, step);
}

static void
on_run_ready(KhRun *run, KhInstance *self)
{
    if (self->record->state != KH_STATE_STARTING)
        return;
    self->record->ready_usec = g_get_real_time();
    if (self->started_at > 0)
        self->record->boot_time_usec = g_get_monotonic_time() - self->started_at;
    set_state(self, KH_STATE_RUNNING, "");
    kh_waiters_finish(self->starters, NULL);
}

/* Katana is dead and its guest is not: the state may be "failed" once that is stopped. */
static void
on_run_failing(KhRun *run, const GError *error, KhInstance *self)
{
    if (self->failure != NULL)
        return;
    self->failure = g_error_copy(error);
    set_state(self, KH_STATE_STOPPING, error->message);
    kh_run_stop(run, self->host->stop_timeout * 1000);
}

static void
follow(KhInstance *self, KhVm *vm)
{
    self->record->shim = *kh_vm_get_shim(vm);
    self->record->qemu = *kh_vm_get_qemu(vm);
    self->run = kh_run_new(self->host, self->record, vm);
    g_signal_connect(self->run, "ready", G_CALLBACK(on_run_ready), self);
    g_signal_connect(self->run, "failing", G_CALLBACK(on_run_failing), self);
    g_signal_connect(self->run, "ended", G_CALLBACK(on_run_ended), self);
}

/* Whether somebody has stopped or deleted it while it was not running yet. */
static gboolean
is_unwanted(KhInstance *self)
{
    return self->record->state != KH_STATE_STARTING;
}

static void
give_up_beginning(KhInstance *self, GError *reason)
{
    g_autoptr(GError) error = reason;

    self->beginning = FALSE;
    if (is_unwanted(self))
        settle(self, KH_STOP_KILL);
    else
        set_failed(self, error);
}

static void
on_launched(GObject *source, GAsyncResult *result, gpointer data)
{
    g_autoptr(KhInstance) self = data;
    g_autofree char *boot_id = read_boot_id();
    GError *error = NULL;
    g_autoptr(KhVm) vm =
        kh_launcher_launch_finish(KH_LAUNCHER(source), result, &error);

    if (vm == NULL && g_error_matches(error, KH_ERROR, KH_ERROR_NOT_FOUND)) {
        /* It lived, and is dead already: its log says why. */
        g_error_free(error);
        error = describe_end(self);
    }
    if (vm == NULL) {
        give_up_beginning(self, error);
        return;
    }
    self->beginning = FALSE;
    replace(&self->record->boot_id, boot_id);
    follow(self, vm);
    save(self);
    g_signal_emit(self, signals[SIGNAL_CHANGED], 0);
    if (is_unwanted(self))
        kh_run_kill(self->run);
}

static void
launch(KhInstance *self)
{
    const KhHost *host = self->host;
    const KhRecord *record = self->record;
    g_autofree char *state = kh_preparation_state_folder(host, record);
    g_autofree char *runtime =
        g_build_filename(kh_state_dir_get_runtime(host->state_dir), record->id, NULL);
    g_autofree char *image = kh_image_store_folder(host->images, record->image);
    g_autofree char *kernel = g_build_filename(image, KH_IMAGE_KERNEL, NULL);
    g_autofree char *initrd = g_build_filename(image, KH_IMAGE_INITRD, NULL);
    const char *accelerator = kh_instance_get_accelerator(self);
    const KhMachine machine = {
        .config = record->config, .name = record->name, .accelerator = accelerator};
    g_auto(GStrv) args = kh_command_line_build(&machine);
    const KhLaunch request = {.id = record->id,
                              .name = record->name,
                              .state_folder = state,
                              .runtime_folder = runtime,
                              .uid = record->vm_uid,
                              .kvm = g_str_equal(accelerator, "kvm"),
                              .kernel = kernel,
                              .initrd = initrd,
                              .qemu = host->qemu,
                              .qemu_args = args,
                              .log_size = host->log_size,
                              .log_files = host->log_files,
                              .stop_timeout = host->stop_timeout};

    kh_launcher_launch_async(host->launcher, &request, on_launched, g_object_ref(self));
}

static void
on_prepared(GObject *source, GAsyncResult *result, gpointer data)
{
    g_autoptr(KhInstance) self = data;
    GError *error = NULL;

    if (!kh_preparation_run_finish(result, &error) || is_unwanted(self))
        give_up_beginning(self, error);
    else
        launch(self);
}

static void
begin(KhInstance *self)
{
    self->beginning = TRUE;
    self->started_at = g_get_monotonic_time();
    self->record->started_usec = g_get_real_time();
    self->record->ready_usec = self->record->boot_time_usec = 0;
    set_last_error(self, NULL);
    set_state(self, KH_STATE_STARTING, "");
    kh_preparation_run_async(self->host, self->record, on_prepared, g_object_ref(self));
}

/* Answers what the table has already decided; TRUE when @task (taken then) is done. */
static gboolean
decided(KhInstance *self, KhOperation operation, GTask *task)
{
    KhVerdict verdict = kh_state_table_verdict(self->record->state, operation);
    GError *error = NULL;

    if (!self->gone && (verdict == KH_VERDICT_ALLOW || verdict == KH_VERDICT_JOIN))
        return FALSE;
    if (self->gone) {
        g_task_return_new_error(task, KH_ERROR, KH_ERROR_NOT_FOUND, "\"%s\" has been deleted",
                                self->record->name);
    } else if (verdict == KH_VERDICT_NOTHING) {
        g_task_return_boolean(task, TRUE);
    } else {
        kh_state_table_explain(self->record->name, self->record->state, operation, &error);
        g_task_return_error(task, error);
    }
    g_object_unref(task);
    return TRUE;
}

void
kh_instance_start_async(KhInstance *self, gboolean wait, gint64 timeout_usec,
                        GAsyncReadyCallback callback, gpointer user_data)
{
    GTask *task = g_task_new(self, NULL, callback, user_data);
    g_autofree char *late = NULL;

    g_task_set_source_tag(task, kh_instance_start_async);
    if (decided(self, KH_OPERATION_START, task))
        return;
    if (self->record->state != KH_STATE_STARTING)
        begin(self);
    if (!wait) {
        g_task_return_boolean(task, TRUE);
        g_object_unref(task);
        return;
    }
    late = g_strdup_printf("\"%s\" has not answered within %.3g s; it goes on starting: wait for "
                           "it, read its log, or stop it",
                           self->record->name, (double)timeout_usec / G_USEC_PER_SEC);
    kh_waiters_add(self->starters, task, timeout_usec, late);
}

static guint
stop_timeout_ms(KhInstance *self, gint64 timeout_usec)
{
    if (timeout_usec <= 0)
        return self->host->stop_timeout * 1000;
    return (guint)(timeout_usec / 1000);
}

void
kh_instance_stop_async(KhInstance *self, gboolean kill, gint64 timeout_usec,
                       GAsyncReadyCallback callback, gpointer user_data)
{
    GTask *task = g_task_new(self, NULL, callback, user_data);

    g_task_set_source_tag(task, kh_instance_stop_async);
    if (decided(self, KH_OPERATION_STOP, task))
        return;
    kh_waiters_add(self->stoppers, task, 0, "");
    if (self->record->state != KH_STATE_STOPPING)
        set_state(self, KH_STATE_STOPPING, "");
    if (self->run != NULL && kill)
        kh_run_kill(self->run);
    else if (self->run != NULL)
        kh_run_stop(self->run, stop_timeout_ms(self, timeout_usec));
}

static gboolean
remove_files(KhInstance *self, GError **error)
{
    const char *keep = self->keep_data ? KH_FILE_DATA : NULL;
    KhStateDir *dir = self->host->state_dir;

    return kh_instance_dir_remove(kh_state_dir_runtime_fd(dir), self->record->id, NULL, error) &&
           kh_instance_dir_remove(kh_state_dir_instances_fd(dir), self->record->id, keep, error);
}

/* The record does not change while it is being deleted, so the thread may read it. */
static void
remove_in_thread(GTask *task, gpointer source, gpointer data, GCancellable *cancellable)
{
    GError *error = NULL;

    if (remove_files(KH_INSTANCE(source), &error))
        g_task_return_boolean(task, TRUE);
    else
        g_task_return_error(task, error);
}

static gboolean
forget(KhInstance *self, GError **error)
{
    if (!kh_store_remove(self->host->store, self->record->id, error))
        return FALSE;
    if (self->host->uids != NULL && self->record->vm_uid >= 0)
        kh_uid_pool_release(self->host->uids, (guint32)self->record->vm_uid);
    return TRUE;
}

static void
on_removed(GObject *source, GAsyncResult *result, gpointer data)
{
    g_autoptr(KhInstance) self = g_object_ref(KH_INSTANCE(source));
    g_autoptr(GTask) task = g_steal_pointer(&self->deleting);
    g_autoptr(GError) error = NULL;

    if (!g_task_propagate_boolean(G_TASK(result), &error) || !forget(self, &error)) {
        set_failed(self, error);
        g_task_return_error(task, g_steal_pointer(&error));
        return;
    }
    self->gone = TRUE;
    kh_log_instance(self->record, G_LOG_LEVEL_MESSAGE, "deleted");
    g_signal_emit(self, signals[SIGNAL_GONE], 0);
    kh_waiters_finish(self->stoppers, NULL);
    g_task_return_boolean(task, TRUE);
}

static void
begin_deletion(KhInstance *self)
{
    g_autoptr(GTask) removal = g_task_new(self, NULL, on_removed, NULL);
    g_autoptr(GError) error =
        g_error_new(KH_ERROR, KH_ERROR_CANCELLED, "\"%s\" was deleted", self->record->name);

    kh_waiters_finish(self->starters, error);
    g_task_run_in_thread(removal, remove_in_thread);
}

void
kh_instance_delete_async(KhInstance *self, gboolean force, gboolean keep_data,
                         GAsyncReadyCallback callback, gpointer user_data)
{
    GTask *task = g_task_new(self, NULL, callback, user_data);
    KhOperation operation = force ? KH_OPERATION_FORCE_DELETE : KH_OPERATION_DELETE;

    g_task_set_source_tag(task, kh_instance_delete_async);
    if (decided(self, operation, task))
        return;
    if (self->deleting != NULL) {
        kh_waiters_add(self->stoppers, task, 0, "");
        return;
    }
    self->deleting = task;
    self->keep_data = keep_data;
    set_state(self, KH_STATE_DELETING, "");
    if (self->run != NULL)
        kh_run_kill(self->run);
    else if (!self->beginning)
        begin_deletion(self);
}

gboolean
kh_instance_operation_finish(KhInstance *self, GAsyncResult *result, GError **error)
{
    return g_task_propagate_boolean(G_TASK(result), error);
}

/* Where a service before this one left it. */
static void
resume(KhInstance *self)
{
    g_autofree char *boot_id = read_boot_id();
    g_autoptr(KhVm) vm = NULL;
    g_autoptr(GError) error = NULL;

    if (g_str_equal(boot_id, self->record->boot_id))
        vm = kh_vm_new(&self->record->shim, &self->record->qemu, NULL);
    if (vm != NULL) {
        follow(self, vm);
        if (self->record->state == KH_STATE_STOPPING)
            kh_run_stop(self->run, self->host->stop_timeout * 1000);
        else if (self->record->state == KH_STATE_DELETING)
            kh_run_kill(self->run);
        return;
    }
    if (self->record->state == KH_STATE_STOPPING) {
        set_stopped(self, "It ended while the service was away");
    } else {
        error =
            g_error_new(KH_ERROR, KH_ERROR_FAILED, "It was %s when the service ended, and is gone",
                        kh_state_name(self->record->state));
        set_failed(self, error);
    }
}

KhInstance *
kh_instance_new(const KhHost *host, KhRecord *record)
{
    KhInstance *self = g_object_new(KH_TYPE_INSTANCE, NULL);

    self->host = host;
    self->record = record;
    if (record->state == KH_STATE_STARTING || record->state == KH_STATE_RUNNING ||
        record->state == KH_STATE_STOPPING || record->state == KH_STATE_DELETING)
        resume(self);
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

char **
kh_instance_get_portable_command(KhInstance *self)
{
    g_autofree char *image = kh_image_store_folder(self->host->images, self->record->image);
    g_autofree char *data = kh_preparation_state_folder(self->host, self->record);
    const KhMachine machine = {.config = self->record->config,
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
