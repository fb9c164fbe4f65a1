/* SPDX-License-Identifier: MIT */
/* One run of a machine; see run.h. */
#include "run.h"

#include <unistd.h>

#include "crash-point.h"
#include "error.h"
#include "guest/rpc-probe.h"
#include "launch/shim-protocol.h"
#include "log/instance-log.h"
#include "guest/guest-control.h"
#include "socket-link.h"
#include "state/instance-dir.h"

#define STATUS_INTERVAL_MS 2000
#define PROBE_INTERVAL_MS 50

struct _KhRun {
    GObject parent_instance;
    const KhMachines *machines;
    KhRecord *record; /* the instance's */
    KhVm *vm;
    int folder; /* with the sockets; -1: it could not be opened */
    KhMonitor *monitor;
    KhSocketLink *control_link;
    KhGuestControl *control; /* NULL: it is not connected */
    GCancellable *probing;
    guint end_source; /* the end of a machine that was dead when it came here */
    guint step_timer;
    KhStopStep step;
    gint64 step_deadline; /* monotonic */
    guint quit_ms;
    gboolean paused;
    gboolean probed;
    int exit_code;    /* Katana's; -1: it has not told */
    gboolean by_shim; /* the shim was told to stop the guest */
    gboolean ended;
};

G_DEFINE_FINAL_TYPE(KhRun, kh_run, G_TYPE_OBJECT)

enum { SIGNAL_READY, SIGNAL_PAUSED, SIGNAL_FAILING, SIGNAL_ENDED, N_SIGNALS };

static guint signals[N_SIGNALS];

static void
drop_control(KhRun *self)
{
    if (self->control == NULL)
        return;
    g_signal_handlers_disconnect_by_data(self->control, self);
    g_clear_object(&self->control);
}

/* Ends everything that could still call back. */
static void
fall_silent(KhRun *self)
{
    g_clear_handle_id(&self->end_source, g_source_remove);
    g_clear_handle_id(&self->step_timer, g_source_remove);
    g_cancellable_cancel(self->probing);
    g_signal_handlers_disconnect_by_data(self->monitor, self);
    kh_monitor_close(self->monitor);
    kh_socket_link_end(self->control_link);
    drop_control(self);
}

static void
kh_run_dispose(GObject *object)
{
    KhRun *self = KH_RUN(object);

    fall_silent(self);
    if (self->vm != NULL)
        g_signal_handlers_disconnect_by_data(self->vm, self);
    g_clear_object(&self->vm);
    G_OBJECT_CLASS(kh_run_parent_class)->dispose(object);
}

static void
kh_run_finalize(GObject *object)
{
    KhRun *self = KH_RUN(object);

    g_object_unref(self->monitor);
    kh_socket_link_free(self->control_link);
    g_object_unref(self->probing);
    kh_record_unref(self->record);
    if (self->folder >= 0)
        close(self->folder);
    G_OBJECT_CLASS(kh_run_parent_class)->finalize(object);
}

static void
kh_run_class_init(KhRunClass *class)
{
    GType type = KH_TYPE_RUN;

    G_OBJECT_CLASS(class)->dispose = kh_run_dispose;
    G_OBJECT_CLASS(class)->finalize = kh_run_finalize;
    signals[SIGNAL_READY] =
        g_signal_new("ready", type, G_SIGNAL_RUN_LAST, 0, NULL, NULL, NULL, G_TYPE_NONE, 0);
    signals[SIGNAL_PAUSED] = g_signal_new("paused", type, G_SIGNAL_RUN_LAST, 0, NULL, NULL, NULL,
                                          G_TYPE_NONE, 1, G_TYPE_BOOLEAN);
    signals[SIGNAL_FAILING] = g_signal_new("failing", type, G_SIGNAL_RUN_LAST, 0, NULL, NULL, NULL,
                                           G_TYPE_NONE, 1, G_TYPE_ERROR);
    signals[SIGNAL_ENDED] =
        g_signal_new("ended", type, G_SIGNAL_RUN_LAST, 0, NULL, NULL, NULL, G_TYPE_NONE, 0);
}

static void
kh_run_init(KhRun *self)
{
    self->folder = -1;
    self->exit_code = -1;
    self->probing = g_cancellable_new();
}

static void
on_vm_ended(KhVm *vm, KhRun *self)
{
    g_autoptr(KhRun) held = g_object_ref(self);

    if (self->ended)
        return;
    self->ended = TRUE;
    fall_silent(self);
    g_signal_emit(self, signals[SIGNAL_ENDED], 0);
}

static gboolean
on_end_source(gpointer data)
{
    KhRun *self = data;

    self->end_source = 0;
    on_vm_ended(self->vm, self);
    return G_SOURCE_REMOVE;
}

static void
on_probed(GObject *source, GAsyncResult *result, gpointer data)
{
    g_autoptr(KhRun) self = data;

    if (!kh_rpc_probe_finish(result, NULL) || self->ended || self->step != KH_STOP_NONE)
        return;
    kh_monitor_forbid_reboot(self->monitor);
    g_signal_emit(self, signals[SIGNAL_READY], 0);
}

static void
on_katana_started(KhGuestControl *control, KhRun *self)
{
    const KhConfig *config = self->record->config;

    if (self->probed)
        return;
    self->probed = TRUE;
    kh_rpc_probe_async(config->rpc_address, config->rpc_port, PROBE_INTERVAL_MS, self->probing,
                       on_probed, g_object_ref(self));
}

static void
emit_failing(KhRun *self, GError *reason)
{
    g_autoptr(GError) error = reason;

    if (self->step == KH_STOP_NONE)
        g_signal_emit(self, signals[SIGNAL_FAILING], 0, error);
}

static void
on_katana_refused(KhGuestControl *control, const char *reason, KhRun *self)
{
    emit_failing(self, g_error_new(KH_ERROR, KH_ERROR_GUEST_FAILED,
                                   "The guest did not start Katana: %s", reason));
}

static void
on_katana_exited(KhGuestControl *control, int code, KhRun *self)
{
    self->exit_code = code;
    emit_failing(self,
                 g_error_new(KH_ERROR, KH_ERROR_GUEST_FAILED, "Katana exited with code %d", code));
}

static void
on_control_closed(KhGuestControl *control, const GError *error, KhRun *self)
{
    drop_control(self);
    kh_socket_link_renew(self->control_link, FALSE);
}

static void
on_paused(KhMonitor *monitor, gboolean paused, KhRun *self)
{
    self->paused = paused;
    if (paused && self->step == KH_STOP_CONTROL)
        kh_monitor_tell(monitor, "cont");
    g_signal_emit(self, signals[SIGNAL_PAUSED], 0, paused);
}

/* Where its sockets have gone the shim does it itself, of which the exit status tells. */
static void
tell_shim_to_stop(KhRun *self)
{
    if (self->control != NULL || self->by_shim)
        return;
    self->by_shim = kh_vm_terminate(self->vm);
    if (self->by_shim)
        kh_log_instance(self->record, G_LOG_LEVEL_MESSAGE,
                        "Its control channel cannot be reached, so its shim is told to stop it");
}

static gboolean
open_folder(KhRun *self, GError **error)
{
    if (self->folder < 0)
        self->folder = kh_instance_dir_open(kh_state_dir_runtime_fd(self->machines->state_dir),
                                            self->record->id, error);
    return self->folder >= 0;
}

static void
follow_control(KhRun *self, KhLineChannel *channel)
{
    self->control = kh_guest_control_new(channel, STATUS_INTERVAL_MS);
    g_signal_connect(self->control, "started", G_CALLBACK(on_katana_started), self);
    g_signal_connect(self->control, "failed", G_CALLBACK(on_katana_refused), self);
    g_signal_connect(self->control, "exited", G_CALLBACK(on_katana_exited), self);
    g_signal_connect(self->control, "closed", G_CALLBACK(on_control_closed), self);
    if (self->step == KH_STOP_CONTROL)
        kh_guest_control_stop(self->control);
}

static void
on_control_channel(KhLineChannel *connected, gpointer data)
{
    g_autoptr(KhLineChannel) channel = connected;
    KhRun *self = data;

    if (channel != NULL)
        follow_control(self, channel);
    else
        open_folder(self, NULL);
    if (self->step == KH_STOP_CONTROL)
        tell_shim_to_stop(self);
}

KhRun *
kh_run_new(const KhMachines *machines, KhRecord *record, KhVm *vm)
{
    KhRun *self = g_object_new(KH_TYPE_RUN, NULL);
    const uid_t uid = record->vm_uid < 0 ? geteuid() : (uid_t)record->vm_uid;
    g_autoptr(GError) error = NULL;

    self->machines = machines;
    self->record = kh_record_ref(record);
    self->vm = g_object_ref(vm);
    g_signal_connect(vm, "ended", G_CALLBACK(on_vm_ended), self);
    if (kh_vm_has_ended(vm))
        self->end_source = g_idle_add(on_end_source, self);
    if (!open_folder(self, &error))
        kh_log_instance(record, G_LOG_LEVEL_WARNING, "Its sockets cannot be reached: %s",
                        error->message);
    self->monitor = kh_monitor_new(&self->folder, uid);
    g_signal_connect(self->monitor, "paused", G_CALLBACK(on_paused), self);
    self->control_link =
        kh_socket_link_new(&self->folder, KH_SOCKET_CONTROL, uid, on_control_channel, self);
    return self;
}

KhMonitor *
kh_run_get_monitor(KhRun *self)
{
    return self->monitor;
}

void
kh_run_apply_cpu_quota(KhRun *self)
{
    kh_launcher_set_cpu_quota(self->machines->launcher, self->record->id,
                              self->record->config->cpu_quota);
}

KhStopStep
kh_run_get_stop_step(KhRun *self)
{
    return self->step;
}

int
kh_run_get_exit_code(KhRun *self)
{
    return self->exit_code;
}

static void enter_step(KhRun *self, KhStopStep step, guint timeout_ms);

static gboolean
on_step_timeout(gpointer data)
{
    KhRun *self = data;

    self->step_timer = 0;
    if (self->step == KH_STOP_CONTROL && (kh_monitor_is_connected(self->monitor) || self->by_shim))
        enter_step(self, KH_STOP_QUIT, self->quit_ms);
    else
        enter_step(self, KH_STOP_KILL, 0);
    return G_SOURCE_REMOVE;
}

static void
tell_guest_to_stop(KhRun *self)
{
    if (self->paused)
        kh_monitor_tell(self->monitor, "cont");
    if (self->control != NULL)
        kh_guest_control_stop(self->control);
    else
        kh_socket_link_try(self->control_link);
    tell_shim_to_stop(self);
}

static void
enter_step(KhRun *self, KhStopStep step, guint timeout_ms)
{
    self->step = step;
    g_cancellable_cancel(self->probing);
    g_clear_handle_id(&self->step_timer, g_source_remove);
    if (step == KH_STOP_KILL) {
        kh_vm_kill(self->vm);
        kh_crash_point("stop:killed");
        return;
    }
    self->step_deadline = g_get_monotonic_time() + (gint64)timeout_ms * 1000;
    self->step_timer = g_timeout_add(timeout_ms, on_step_timeout, self);
    if (step == KH_STOP_QUIT) {
        kh_monitor_tell(self->monitor, "quit");
        kh_crash_point("stop:quit");
    } else {
        tell_guest_to_stop(self);
    }
}

void
kh_run_stop(KhRun *self, guint control_ms, guint quit_ms)
{
    gint64 deadline = g_get_monotonic_time() + (gint64)control_ms * 1000;

    if (self->ended || self->step > KH_STOP_CONTROL)
        return;
    if (self->step != KH_STOP_NONE && deadline >= self->step_deadline)
        return;
    self->quit_ms = quit_ms;
    enter_step(self, KH_STOP_CONTROL, control_ms);
}

void
kh_run_kill(KhRun *self)
{
    if (!self->ended)
        enter_step(self, KH_STOP_KILL, 0);
}

/* The guest boots anew: Katana is to be started and asked again. */
static void
begin_again(KhRun *self)
{
    g_cancellable_cancel(self->probing);
    g_clear_object(&self->probing);
    self->probing = g_cancellable_new();
    self->probed = FALSE;
    drop_control(self);
    kh_socket_link_renew(self->control_link, TRUE);
}

static void
on_reset(GObject *source, GAsyncResult *result, gpointer data)
{
    g_autoptr(GTask) task = data;
    KhRun *self = g_task_get_source_object(task);
    GError *error = NULL;

    if (!kh_monitor_do_finish(KH_MONITOR(source), result, &error)) {
        g_task_return_error(task, error);
        return;
    }
    if (!self->ended && self->step == KH_STOP_NONE)
        begin_again(self);
    g_task_return_boolean(task, TRUE);
}

void
kh_run_reset_async(KhRun *self, GAsyncReadyCallback callback, gpointer user_data)
{
    GTask *task = g_task_new(self, NULL, callback, user_data);

    g_task_set_source_tag(task, kh_run_reset_async);
    kh_monitor_do_async(self->monitor, KH_MONITOR_RESET, on_reset, task);
}

gboolean
kh_run_reset_finish(KhRun *self, GAsyncResult *result, GError **error)
{
    return g_task_propagate_boolean(G_TASK(result), error);
}
