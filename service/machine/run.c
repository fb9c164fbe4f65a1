/* SPDX-License-Identifier: MIT */
/* One run of a machine; see run.h. */
#include "run.h"

#include <fcntl.h>
#include <unistd.h>

#include "crash-point.h"
#include "error.h"
#include "guest/rpc-probe.h"
#include "launch/shim-protocol.h"
#include "log/instance-log.h"
#include "guest/guest-control.h"
#include "qemu/qmp-client.h"
#include "state/instance-dir.h"

#define CONNECT_FAST_MS 20 /* until the first connection, so often */
#define CONNECT_FAST_TRIES 250
#define CONNECT_SLOW_MS 1000
#define STATUS_INTERVAL_MS 2000
#define PROBE_INTERVAL_MS 50
/* Each announcement is a write to the database, a line in the journal and a signal. */
#define PAUSED_INTERVAL_MS 500

struct _KhRun {
    GObject parent_instance;
    const KhHost *host;
    const KhRecord *record; /* the instance's, which outlives its run */
    KhVm *vm;
    KhQmpClient *qmp;
    KhGuestControl *control;
    GCancellable *probing;
    int folder;                   /* with the sockets */
    int qmp_place, control_place; /* descriptors kept for connections that are not there */
    guint connect_timer, connect_tries;
    guint end_source; /* the end of a machine that was dead when it came here */
    guint step_timer;
    KhStopStep step;
    gint64 step_deadline; /* monotonic */
    guint quit_ms;
    gboolean paused;
    gboolean paused_news; /* it has been heard of since the last announcement */
    guint paused_timer;   /* until the next announcement may be made */
    gboolean probed;
    int exit_code;    /* Katana's; -1: it has not told */
    gboolean by_shim; /* the shim was told to stop the guest */
    gboolean ended;
};

G_DEFINE_FINAL_TYPE(KhRun, kh_run, G_TYPE_OBJECT)

enum { SIGNAL_READY, SIGNAL_PAUSED, SIGNAL_RESUMED, SIGNAL_FAILING, SIGNAL_ENDED, N_SIGNALS };

static guint signals[N_SIGNALS];

/* So that who asks whether there are descriptors for one more machine hears of these, too. */
static void
keep_place(KhRun *self, int *place)
{
    if (*place < 0 && self->folder >= 0)
        *place = fcntl(self->folder, F_DUPFD_CLOEXEC, 0);
}

static void
give_place(int *place)
{
    if (*place >= 0)
        close(*place);
    *place = -1;
}

static void
drop_qmp(KhRun *self)
{
    if (self->qmp == NULL)
        return;
    g_signal_handlers_disconnect_by_data(self->qmp, self);
    kh_qmp_client_close(self->qmp);
    g_clear_object(&self->qmp);
    keep_place(self, &self->qmp_place);
}

static void
drop_control(KhRun *self)
{
    if (self->control == NULL)
        return;
    g_signal_handlers_disconnect_by_data(self->control, self);
    g_clear_object(&self->control);
    keep_place(self, &self->control_place);
}

/* Ends everything that could still call back. */
static void
fall_silent(KhRun *self)
{
    g_clear_handle_id(&self->connect_timer, g_source_remove);
    g_clear_handle_id(&self->end_source, g_source_remove);
    g_clear_handle_id(&self->step_timer, g_source_remove);
    g_clear_handle_id(&self->paused_timer, g_source_remove);
    g_cancellable_cancel(self->probing);
    drop_qmp(self);
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
    g_clear_object(&self->probing);
    G_OBJECT_CLASS(kh_run_parent_class)->dispose(object);
}

static void
kh_run_finalize(GObject *object)
{
    KhRun *self = KH_RUN(object);

    give_place(&self->qmp_place);
    give_place(&self->control_place);
    give_place(&self->folder);
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
    signals[SIGNAL_PAUSED] =
        g_signal_new("paused", type, G_SIGNAL_RUN_LAST, 0, NULL, NULL, NULL, G_TYPE_NONE, 0);
    signals[SIGNAL_RESUMED] =
        g_signal_new("resumed", type, G_SIGNAL_RUN_LAST, 0, NULL, NULL, NULL, G_TYPE_NONE, 0);
    signals[SIGNAL_FAILING] = g_signal_new("failing", type, G_SIGNAL_RUN_LAST, 0, NULL, NULL, NULL,
                                           G_TYPE_NONE, 1, G_TYPE_ERROR);
    signals[SIGNAL_ENDED] =
        g_signal_new("ended", type, G_SIGNAL_RUN_LAST, 0, NULL, NULL, NULL, G_TYPE_NONE, 0);
}

static void
kh_run_init(KhRun *self)
{
    self->folder = self->qmp_place = self->control_place = -1;
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

/* What comes of it is told by events, and by QEMU's end. */
static void
on_told(GObject *source, GAsyncResult *result, gpointer data)
{
    g_autoptr(JsonObject) answer =
        kh_qmp_client_execute_finish(KH_QMP_CLIENT(source), result, NULL);
}

/* From now on a guest that reboots ends its machine again. */
static void
forbid_reboot(KhRun *self)
{
    g_autoptr(JsonObject) arguments = json_object_new();

    json_object_set_string_member(arguments, "reboot", "shutdown");
    if (self->qmp != NULL)
        kh_qmp_client_execute_async(self->qmp, "set-action", arguments, on_told, NULL);
}

static void
on_probed(GObject *source, GAsyncResult *result, gpointer data)
{
    g_autoptr(KhRun) self = data;

    if (!kh_rpc_probe_finish(result, NULL) || self->ended || self->step != KH_STOP_NONE)
        return;
    forbid_reboot(self);
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

static gboolean on_connect_timer(gpointer data);

static void
connect_later(KhRun *self, guint delay_ms)
{
    if (self->connect_timer == 0 && !self->ended)
        self->connect_timer = g_timeout_add(delay_ms, on_connect_timer, self);
}

static void
on_control_closed(KhGuestControl *control, const GError *error, KhRun *self)
{
    drop_control(self);
    connect_later(self, CONNECT_SLOW_MS);
}

static void
on_qmp_closed(KhQmpClient *qmp, const GError *error, KhRun *self)
{
    drop_qmp(self);
    connect_later(self, CONNECT_SLOW_MS);
}

static gboolean on_paused_timer(gpointer data);

static void
announce_paused(KhRun *self)
{
    self->paused_news = FALSE;
    self->paused_timer = g_timeout_add(PAUSED_INTERVAL_MS, on_paused_timer, self);
    if (self->paused && self->step == KH_STOP_CONTROL && self->qmp != NULL)
        kh_qmp_client_execute_async(self->qmp, "cont", NULL, on_told, NULL);
    g_signal_emit(self, signals[self->paused ? SIGNAL_PAUSED : SIGNAL_RESUMED], 0);
}

static gboolean
on_paused_timer(gpointer data)
{
    KhRun *self = data;

    self->paused_timer = 0;
    if (self->paused_news)
        announce_paused(self);
    return G_SOURCE_REMOVE;
}

/* The first news at once, of what follows in a hurry the latest: QEMU is not to be trusted. */
static void
note_paused(KhRun *self, gboolean paused)
{
    self->paused = paused;
    self->paused_news = TRUE;
    if (!self->ended && self->paused_timer == 0)
        announce_paused(self);
}

static void
on_qmp_event(KhQmpClient *qmp, const char *name, JsonObject *data, KhRun *self)
{
    if (g_str_equal(name, "STOP"))
        note_paused(self, TRUE);
    else if (g_str_equal(name, "RESUME"))
        note_paused(self, FALSE);
}

/* Of a machine that is followed again, nobody knows yet whether it runs. */
static void
on_status(GObject *source, GAsyncResult *result, gpointer data)
{
    g_autoptr(KhRun) self = data;
    g_autoptr(JsonObject) status =
        kh_qmp_client_execute_finish(KH_QMP_CLIENT(source), result, NULL);

    if (status != NULL && self->qmp == KH_QMP_CLIENT(source))
        note_paused(self, !json_object_get_boolean_member_with_default(status, "running", TRUE));
}

static uid_t
machine_uid(KhRun *self)
{
    return self->record->vm_uid < 0 ? geteuid() : (uid_t)self->record->vm_uid;
}

/* In the place of the descriptor that was kept for it; NULL, and kept again, where it fails. */
static KhLineChannel *
connect_to(KhRun *self, const char *socket, int *place)
{
    KhLineChannel *channel;

    give_place(place);
    channel = kh_line_channel_connect(self->folder, socket, machine_uid(self), NULL);
    if (channel == NULL)
        keep_place(self, place);
    return channel;
}

static void
connect_qmp(KhRun *self)
{
    g_autoptr(KhLineChannel) channel = connect_to(self, KH_SOCKET_QMP, &self->qmp_place);

    if (channel == NULL)
        return;
    self->qmp = kh_qmp_client_new(channel);
    g_signal_connect(self->qmp, "closed", G_CALLBACK(on_qmp_closed), self);
    g_signal_connect(self->qmp, "event", G_CALLBACK(on_qmp_event), self);
    kh_qmp_client_execute_async(self->qmp, "query-status", NULL, on_status, g_object_ref(self));
}

static void
connect_control(KhRun *self)
{
    g_autoptr(KhLineChannel) channel = connect_to(self, KH_SOCKET_CONTROL, &self->control_place);

    if (channel == NULL)
        return;
    self->control = kh_guest_control_new(channel, STATUS_INTERVAL_MS);
    g_signal_connect(self->control, "started", G_CALLBACK(on_katana_started), self);
    g_signal_connect(self->control, "failed", G_CALLBACK(on_katana_refused), self);
    g_signal_connect(self->control, "exited", G_CALLBACK(on_katana_exited), self);
    g_signal_connect(self->control, "closed", G_CALLBACK(on_control_closed), self);
    if (self->step == KH_STOP_CONTROL)
        kh_guest_control_stop(self->control);
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
    self->folder = kh_instance_dir_open(kh_state_dir_runtime_fd(self->host->state_dir),
                                        self->record->id, error);
    return self->folder >= 0;
}

static gboolean
on_connect_timer(gpointer data)
{
    KhRun *self = data;

    self->connect_timer = 0;
    if (self->folder < 0)
        open_folder(self, NULL);
    if (self->qmp == NULL)
        connect_qmp(self);
    if (self->control == NULL)
        connect_control(self);
    if (self->step == KH_STOP_CONTROL)
        tell_shim_to_stop(self);
    if (self->qmp == NULL || self->control == NULL)
        connect_later(self, ++self->connect_tries < CONNECT_FAST_TRIES ? CONNECT_FAST_MS
                                                                       : CONNECT_SLOW_MS);
    return G_SOURCE_REMOVE;
}

KhRun *
kh_run_new(const KhHost *host, const KhRecord *record, KhVm *vm)
{
    KhRun *self = g_object_new(KH_TYPE_RUN, NULL);
    g_autoptr(GError) error = NULL;

    self->host = host;
    self->record = record;
    self->vm = g_object_ref(vm);
    g_signal_connect(vm, "ended", G_CALLBACK(on_vm_ended), self);
    if (kh_vm_has_ended(vm))
        self->end_source = g_idle_add(on_end_source, self);
    if (!open_folder(self, &error))
        kh_log_instance(record, G_LOG_LEVEL_WARNING, "Its sockets cannot be reached: %s",
                        error->message);
    connect_later(self, 0);
    keep_place(self, &self->qmp_place);
    keep_place(self, &self->control_place);
    return self;
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
    if (self->step == KH_STOP_CONTROL && (self->qmp != NULL || self->by_shim))
        enter_step(self, KH_STOP_QUIT, self->quit_ms);
    else
        enter_step(self, KH_STOP_KILL, 0);
    return G_SOURCE_REMOVE;
}

static void
tell_guest_to_stop(KhRun *self)
{
    if (self->paused && self->qmp != NULL)
        kh_qmp_client_execute_async(self->qmp, "cont", NULL, on_told, NULL);
    if (self->control != NULL)
        kh_guest_control_stop(self->control);
    else if (self->folder >= 0)
        connect_control(self);
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
        if (self->qmp != NULL)
            kh_qmp_client_execute_async(self->qmp, "quit", NULL, on_told, NULL);
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

/* One command for QEMU, in one or more words of QMP. */
typedef struct {
    KhRunCommand command;
    guint next; /* of its words */
} Command;

typedef struct {
    const char *command, *argument, *value;
} Words;

/*
 * -no-reboot makes a reset QEMU's end, hence the change of that action. It is changed back
 * when RPC has answered, since SeaBIOS answers a reset with one of its own.
 */
static const Words pause_words[] = {{"stop", NULL, NULL}, {NULL, NULL, NULL}};
static const Words resume_words[] = {{"cont", NULL, NULL}, {NULL, NULL, NULL}};
static const Words reset_words[] = {{"set-action", "reboot", "reset"},
                                    {"system_reset", NULL, NULL},
                                    {"cont", NULL, NULL},
                                    {NULL, NULL, NULL}};
static const Words *const words_of[] = {
    [KH_RUN_PAUSE] = pause_words, [KH_RUN_RESUME] = resume_words, [KH_RUN_RESET] = reset_words};

static void say_next(GTask *task);

/* The guest boots anew: Katana is to be started and asked again. */
static void
begin_again(KhRun *self)
{
    g_cancellable_cancel(self->probing);
    g_clear_object(&self->probing);
    self->probing = g_cancellable_new();
    self->probed = FALSE;
    drop_control(self);
    connect_later(self, 0);
}

static void
finish_command(GTask *task)
{
    KhRun *self = g_task_get_source_object(task);
    const Command *command = g_task_get_task_data(task);

    if (command->command == KH_RUN_RESET && !self->ended && self->step == KH_STOP_NONE)
        begin_again(self);
    g_task_return_boolean(task, TRUE);
}

static void
on_said(GObject *source, GAsyncResult *result, gpointer data)
{
    g_autoptr(GTask) task = data;
    GError *error = NULL;
    g_autoptr(JsonObject) answer =
        kh_qmp_client_execute_finish(KH_QMP_CLIENT(source), result, &error);

    if (answer == NULL)
        g_task_return_error(task, error);
    else
        say_next(g_steal_pointer(&task));
}

/* Takes @task. */
static void
say_next(GTask *task)
{
    KhRun *self = g_task_get_source_object(task);
    Command *command = g_task_get_task_data(task);
    const Words *words = &words_of[command->command][command->next++];
    g_autoptr(JsonObject) arguments = NULL;
    g_autoptr(GTask) owned = task;

    if (words->command == NULL) {
        finish_command(task);
        return;
    }
    if (self->qmp == NULL) {
        g_task_return_new_error(task, KH_ERROR, KH_ERROR_MONITOR_LOST,
                                "QEMU's monitor is not connected; try again, or stop it");
        return;
    }
    if (words->argument != NULL) {
        arguments = json_object_new();
        json_object_set_string_member(arguments, words->argument, words->value);
    }
    kh_qmp_client_execute_async(self->qmp, words->command, arguments, on_said,
                                g_steal_pointer(&owned));
}

void
kh_run_command_async(KhRun *self, KhRunCommand command, GAsyncReadyCallback callback,
                     gpointer user_data)
{
    GTask *task = g_task_new(self, NULL, callback, user_data);
    Command *state = g_new0(Command, 1);

    state->command = command;
    g_task_set_source_tag(task, kh_run_command_async);
    g_task_set_task_data(task, state, g_free);
    say_next(task);
}

gboolean
kh_run_command_finish(KhRun *self, GAsyncResult *result, GError **error)
{
    return g_task_propagate_boolean(G_TASK(result), error);
}
