/* SPDX-License-Identifier: MIT */
/*
 * The life of one instance; see instance.h. A start is: start-up, run until "ready". Every
 * change of state goes through kh_instance_enter_state(), which saves and announces it,
 * before the step that it names is taken; the end of a machine, expected or not, goes
 * through kh_instance_conclude() in instance-end.c. What callers ask for is in
 * instance-operations.c.
 */
#include "instance-private.h"

#include <fcntl.h>
#include <unistd.h>

#include "crash-point.h"
#include "descriptors.h"
#include "error.h"
#include "launch/shim-protocol.h"
#include "log/instance-log.h"
#include "machine/preparation.h"
#include "qemu/command-line.h"
#include "machine/removal.h"
#include "confidential/snp-host.h"
#include "machine/start-up.h"
#include "state/instance-dir.h"

/* Of an error that is kept, in bytes: 10,000 of them fit in one message of the bus. */
#define MESSAGE_MAX 400

G_DEFINE_FINAL_TYPE(KhInstance, kh_instance, G_TYPE_OBJECT)

enum { SIGNAL_CHANGED, SIGNAL_STEP, SIGNAL_GONE, N_SIGNALS };

static guint signals[N_SIGNALS];

/* What it waits for may hold it still, and it reads a record that goes with the instance. */
static void
drop_run(KhInstance *self)
{
    if (self->run == NULL)
        return;
    g_signal_handlers_disconnect_by_data(self->run, self);
    g_object_run_dispose(G_OBJECT(self->run));
    g_clear_object(&self->run);
}

static void
kh_instance_dispose(GObject *object)
{
    KhInstance *self = KH_INSTANCE(object);

    drop_run(self);
    g_clear_object(&self->beginning);
    g_clear_handle_id(&self->restart_timer, g_source_remove);
    kh_instance_forget_unseen(self);
    kh_instance_forget_unsaved(self);
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

void
kh_instance_replace(char **field, const char *text)
{
    char *copy = g_strdup(text);

    g_free(*field);
    *field = copy;
}

void
kh_instance_report(KhInstance *self, const char *step, double progress)
{
    g_signal_emit(self, signals[SIGNAL_STEP], 0, step, progress);
}

void
kh_instance_announce(KhInstance *self)
{
    const char *reason = self->record->reason;

    kh_log_instance(self->record, G_LOG_LEVEL_MESSAGE, "%s%s%s", kh_state_name(self->record->state),
                    reason[0] != '\0' ? ": " : "", reason);
    g_signal_emit(self, signals[SIGNAL_CHANGED], 0);
}

/* The one place where the state changes; @error when the database does not know of it. */
gboolean
kh_instance_enter_state(KhInstance *self, KhState state, const char *reason, GError **error)
{
    gboolean saved;

    kh_record_set_state(self->record, state);
    kh_instance_replace(&self->record->reason, reason);
    saved = kh_instance_save(self, error);
    kh_instance_announce(self);
    return saved;
}

/* For what has happened, which is so whether it can be written down or not. */
void
kh_instance_set_state(KhInstance *self, KhState state, const char *reason)
{
    kh_instance_enter_state(self, state, reason, NULL);
}

static void
set_last_error(KhInstance *self, const GError *error)
{
    g_autofree char *message = kh_text_sanitize(error == NULL ? "" : error->message, MESSAGE_MAX);

    kh_instance_replace(&self->record->error_name, error == NULL ? "" : kh_error_name(error->code));
    kh_instance_replace(&self->record->error_message, message);
}

gboolean
kh_instance_has_machine(KhInstance *self)
{
    return self->run != NULL || self->beginning != NULL;
}

void
kh_instance_set_failed(KhInstance *self, const GError *error, const char *reason)
{
    g_autoptr(GError) unsaved = NULL;

    set_last_error(self, error);
    kh_instance_set_state(self, KH_STATE_FAILED, reason);
    unsaved = kh_instance_unsaved_error(self);
    kh_waiters_finish(self->starters, error);
    kh_waiters_finish(self->stoppers, unsaved);
}

/* A shim that was killed leaves its sockets; they would only be connected to in vain. */
static void
drop_sockets(KhInstance *self)
{
    static const char *const names[] = {KH_SOCKET_QMP, KH_SOCKET_CONTROL, KH_SOCKET_CONSOLE};
    int folder = kh_instance_dir_open(kh_state_dir_runtime_fd(self->host->state_dir),
                                      self->record->id, NULL);

    for (guint i = 0; folder >= 0 && i < G_N_ELEMENTS(names); i++)
        unlinkat(folder, names[i], 0);
    if (folder >= 0)
        close(folder);
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
    g_clear_object(&self->run);
    g_clear_object(&self->beginning);
    self->commanding = self->resetting = self->seeking = self->doubted = FALSE;
    drop_sockets(self);
    kh_instance_conclude(self, step, out_of_memory);
}

void
kh_instance_release(KhInstance *self)
{
    const KhMachineRef ref = kh_instance_get_machine_ref(self);

    kh_launcher_release_async(self->host->launcher, &ref, on_released, g_object_ref(self));
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
    if (self->record->state != KH_STATE_STARTING)
        return;
    kh_crash_point("start:ready");
    self->ready_at = g_get_monotonic_time();
    self->record->ready_usec = g_get_real_time();
    if (self->started_at > 0)
        self->record->boot_time_usec = self->ready_at - self->started_at;
    kh_instance_set_state(self, KH_STATE_RUNNING, "");
    kh_crash_point("start:running");
    kh_waiters_finish(self->starters, NULL);
}

void
kh_instance_note_paused(KhRun *run, KhInstance *self)
{
    if (self->record->state == KH_STATE_RUNNING)
        kh_instance_set_state(self, KH_STATE_PAUSED,
                              self->commanding ? "" : "QEMU has paused it; its log may say why");
}

void
kh_instance_note_resumed(KhRun *run, KhInstance *self)
{
    /* What a reset lets go on boots; it runs when RPC has answered. */
    if (self->record->state == KH_STATE_PAUSED && !self->resetting)
        kh_instance_set_state(self, KH_STATE_RUNNING, "");
}

guint
kh_instance_default_stop_ms(KhInstance *self)
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
    self->record->exit_code = kh_run_get_exit_code(run);
    kh_instance_redact(self, self->failure);
    kh_instance_set_state(self, KH_STATE_STOPPING, self->failure->message);
    kh_run_stop(run, kh_instance_default_stop_ms(self), KH_RUN_QUIT_MS);
}

void
kh_instance_follow(KhInstance *self, KhVm *vm)
{
    g_clear_object(&self->beginning);
    self->launched = TRUE;
    self->record->shim = *kh_vm_get_shim(vm);
    self->record->qemu = *kh_vm_get_qemu(vm);
    self->run = kh_run_new(self->host, self->record, vm);
    g_signal_connect(self->run, "ready", G_CALLBACK(on_run_ready), self);
    g_signal_connect(self->run, "paused", G_CALLBACK(kh_instance_note_paused), self);
    g_signal_connect(self->run, "resumed", G_CALLBACK(kh_instance_note_resumed), self);
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
        g_signal_emit(self, signals[SIGNAL_CHANGED], 0);
        kh_instance_report(self, "waiting for RPC", 0.7);
        /* It may have been changed since the launch. */
        kh_launcher_set_cpu_quota(self->host->launcher, self->record->id,
                                  self->record->config->cpu_quota);
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
    kh_instance_release(self);
}

static void
on_step(const char *step, double progress, gpointer data)
{
    kh_instance_report(data, step, progress);
}

/* Before the start is noted, so that one which is found later was left by it. */
static void
drop_exit_status(KhInstance *self)
{
    int folder = kh_instance_open_folder(self, NULL);

    if (folder < 0)
        return;
    unlinkat(folder, KH_FILE_EXIT_STATUS, 0);
    close(folder);
}

void
kh_instance_begin(KhInstance *self, gboolean automatic)
{
    KhRecord *record = self->record;
    KhStartUp how = {
        .accelerator = kh_instance_get_accelerator(self), .on_step = on_step, .step_data = self};

    kh_instance_forget_restart(self);
    g_clear_error(&self->failure);
    self->kill = FALSE;
    how.cancellable = self->beginning = g_cancellable_new();
    self->automatic = automatic;
    self->launched = self->again = FALSE;
    self->started_at = g_get_monotonic_time();
    self->ready_at = 0;
    record->started_usec = g_get_real_time();
    record->ready_usec = record->boot_time_usec = 0;
    record->simulated = record->config->tee && self->host->simulate_tee;
    /* Those of the last machine, whose end nobody may have seen. */
    record->shim = record->qemu = (KhProcess){0};
    record->exit_code = -1;
    kh_instance_replace(&record->boot_id, self->host->boot_id);
    set_last_error(self, NULL);
    drop_exit_status(self);
    /* What is not written down is not begun: nobody would find the machine again. */
    if (!kh_instance_enter_state(self, KH_STATE_STARTING, "", &self->failure) ||
        !kh_descriptors_check(KH_DESCRIPTORS_MACHINE, &self->failure)) {
        kh_instance_release(self);
        return;
    }
    kh_crash_point("start:intended");
    kh_start_up_async(self->host, record, &how, on_started_up, g_object_ref(self));
}

void
kh_instance_conclude_removal(KhInstance *self)
{
    /* The manager lets go of it. */
    g_autoptr(KhInstance) held = g_object_ref(self);
    KhUidPool *uids = self->host->uids;

    self->gone = TRUE;
    if (uids != NULL && self->record->vm_uid >= 0)
        kh_uid_pool_release(uids, (guint32)self->record->vm_uid);
    kh_crash_point("delete:uid-released");
    kh_log_instance(self->record, G_LOG_LEVEL_MESSAGE, "deleted");
    g_signal_emit(self, signals[SIGNAL_GONE], 0);
    kh_waiters_finish(self->stoppers, NULL);
    kh_waiters_finish(self->deleters, NULL);
}

static void
on_removed(GObject *source, GAsyncResult *result, gpointer data)
{
    g_autoptr(KhInstance) self = data;
    g_autoptr(GError) error = NULL;

    kh_crash_point("delete:files-removed");
    self->cleared = kh_removal_run_finish(result, &error);
    if (self->cleared) {
        kh_instance_remove_row(self);
        return;
    }
    self->record->keep_data = FALSE;
    g_clear_error(&self->failure);
    kh_instance_set_failed(self, error, error->message);
    kh_waiters_finish(self->deleters, error);
}

void
kh_instance_begin_removal(KhInstance *self)
{
    g_autoptr(GError) error =
        g_error_new(KH_ERROR, KH_ERROR_CANCELLED, "\"%s\" was deleted", self->record->name);

    kh_crash_point("delete:ended");
    kh_waiters_finish(self->starters, error);
    kh_removal_run_async(self->host, self->record, on_removed, g_object_ref(self));
}

KhInstance *
kh_instance_new(const KhHost *host, KhRecord *record)
{
    KhInstance *self = g_object_new(KH_TYPE_INSTANCE, NULL);

    self->host = host;
    self->record = record;
    return self;
}

const KhRecord *
kh_instance_get_record(KhInstance *self)
{
    return self->record;
}

void
kh_instance_enter_call(KhInstance *self, guint32 uid)
{
    self->calls++;
    self->record->caller_uid = uid;
}

void
kh_instance_leave_call(KhInstance *self)
{
    if (--self->calls == 0)
        self->record->caller_uid = -1;
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

    /* Nothing else protects it; a host without is told of at its start. */
    if (self->record->config->tee && !kh_instance_is_simulated(self))
        return "kvm";
    return g_str_equal(wanted, "auto") ? self->host->accelerator : wanted;
}

gboolean
kh_instance_is_simulated(KhInstance *self)
{
    if (kh_instance_has_machine(self))
        return self->record->simulated;
    return self->record->config->tee && self->host->simulate_tee;
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
                               .data_folder = data,
                               .simulated = kh_instance_is_simulated(self),
                               .c_bit = kh_snp_host_c_bit(),
                               .luks_uuid = config->sealed ? self->record->id : NULL};

    return kh_command_line_build_portable(&machine);
}

int
kh_instance_open_folder(KhInstance *self, GError **error)
{
    return kh_instance_dir_open(kh_state_dir_instances_fd(self->host->state_dir), self->record->id,
                                error);
}
