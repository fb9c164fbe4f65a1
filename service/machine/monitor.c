/* SPDX-License-Identifier: MIT */
/* The monitor of a machine's QEMU; see monitor.h. */
#include "monitor.h"

#include "error.h"
#include "launch/shim-protocol.h"
#include "qemu/qmp-client.h"
#include "socket-link.h"

/* Each announcement is a write to the database, a line in the journal and a signal. */
#define PAUSED_INTERVAL_MS 500

struct _KhMonitor {
    GObject parent_instance;
    KhSocketLink *link;
    KhQmpClient *qmp; /* NULL: it is not connected */
    gboolean paused;
    gboolean paused_news; /* it has been heard of since the last announcement */
    guint paused_timer;   /* until the next announcement may be made */
};

G_DEFINE_FINAL_TYPE(KhMonitor, kh_monitor, G_TYPE_OBJECT)

enum { SIGNAL_PAUSED, SIGNAL_EVENT, N_SIGNALS };

static guint signals[N_SIGNALS];

static void
drop_client(KhMonitor *self)
{
    if (self->qmp == NULL)
        return;
    g_signal_handlers_disconnect_by_data(self->qmp, self);
    kh_qmp_client_close(self->qmp);
    g_clear_object(&self->qmp);
}

void
kh_monitor_close(KhMonitor *self)
{
    g_clear_handle_id(&self->paused_timer, g_source_remove);
    kh_socket_link_end(self->link);
    drop_client(self);
}

static void
kh_monitor_finalize(GObject *object)
{
    KhMonitor *self = KH_MONITOR(object);

    kh_monitor_close(self);
    kh_socket_link_free(self->link);
    G_OBJECT_CLASS(kh_monitor_parent_class)->finalize(object);
}

static void
kh_monitor_class_init(KhMonitorClass *class)
{
    G_OBJECT_CLASS(class)->finalize = kh_monitor_finalize;
    signals[SIGNAL_PAUSED] = g_signal_new("paused", KH_TYPE_MONITOR, G_SIGNAL_RUN_LAST, 0, NULL,
                                          NULL, NULL, G_TYPE_NONE, 1, G_TYPE_BOOLEAN);
    signals[SIGNAL_EVENT] =
        g_signal_new("event", KH_TYPE_MONITOR, G_SIGNAL_RUN_LAST | G_SIGNAL_DETAILED, 0, NULL, NULL,
                     NULL, G_TYPE_NONE, 2, G_TYPE_STRING, JSON_TYPE_OBJECT);
}

static void
kh_monitor_init(KhMonitor *self)
{
}

static gboolean on_paused_timer(gpointer data);

static void
announce_paused(KhMonitor *self)
{
    self->paused_news = FALSE;
    self->paused_timer = g_timeout_add(PAUSED_INTERVAL_MS, on_paused_timer, self);
    g_signal_emit(self, signals[SIGNAL_PAUSED], 0, self->paused);
}

static gboolean
on_paused_timer(gpointer data)
{
    KhMonitor *self = data;

    self->paused_timer = 0;
    if (self->paused_news)
        announce_paused(self);
    return G_SOURCE_REMOVE;
}

/* The first news at once, of what follows in a hurry the latest: QEMU is not to be trusted. */
static void
note_paused(KhMonitor *self, gboolean paused)
{
    self->paused = paused;
    self->paused_news = TRUE;
    if (self->paused_timer == 0)
        announce_paused(self);
}

static void
on_event(KhQmpClient *qmp, const char *name, JsonObject *data, KhMonitor *self)
{
    g_autoptr(KhMonitor) held = g_object_ref(self);

    if (g_str_equal(name, "STOP"))
        note_paused(self, TRUE);
    else if (g_str_equal(name, "RESUME"))
        note_paused(self, FALSE);
    g_signal_emit(self, signals[SIGNAL_EVENT], g_quark_try_string(name), name, data);
}

/* Of a machine that is followed again, nobody knows yet whether it runs. */
static void
on_status(GObject *source, GAsyncResult *result, gpointer data)
{
    g_autoptr(KhMonitor) self = data;
    g_autoptr(JsonNode) status = kh_qmp_client_execute_finish(KH_QMP_CLIENT(source), result, NULL);

    if (status != NULL && JSON_NODE_HOLDS_OBJECT(status) && self->qmp == KH_QMP_CLIENT(source))
        note_paused(self, !json_object_get_boolean_member_with_default(json_node_get_object(status),
                                                                       "running", TRUE));
}

static void
on_closed(KhQmpClient *qmp, const GError *error, KhMonitor *self)
{
    drop_client(self);
    kh_socket_link_renew(self->link, FALSE);
}

static void
on_channel(KhLineChannel *connected, gpointer data)
{
    g_autoptr(KhLineChannel) channel = connected;
    KhMonitor *self = data;

    if (channel == NULL)
        return;
    self->qmp = kh_qmp_client_new(channel);
    g_signal_connect(self->qmp, "closed", G_CALLBACK(on_closed), self);
    g_signal_connect(self->qmp, "event", G_CALLBACK(on_event), self);
    kh_qmp_client_execute_async(self->qmp, "query-status", NULL, on_status, g_object_ref(self));
}

KhMonitor *
kh_monitor_new(const int *folder, uid_t uid)
{
    KhMonitor *self = g_object_new(KH_TYPE_MONITOR, NULL);

    self->link = kh_socket_link_new(folder, KH_SOCKET_QMP, uid, on_channel, self);
    return self;
}

gboolean
kh_monitor_is_connected(KhMonitor *self)
{
    return self->qmp != NULL;
}

static void
on_answered(GObject *source, GAsyncResult *result, gpointer data)
{
    g_autoptr(GTask) task = data;
    GError *error = NULL;
    JsonNode *answer = kh_qmp_client_execute_finish(KH_QMP_CLIENT(source), result, &error);

    if (answer == NULL)
        g_task_return_error(task, error);
    else
        g_task_return_pointer(task, answer, (GDestroyNotify)json_node_unref);
}

void
kh_monitor_query_async(KhMonitor *self, const char *command, JsonObject *arguments,
                       GAsyncReadyCallback callback, gpointer user_data)
{
    g_autoptr(GTask) task = g_task_new(self, NULL, callback, user_data);

    g_task_set_source_tag(task, kh_monitor_query_async);
    if (self->qmp == NULL)
        g_task_return_new_error(task, KH_ERROR, KH_ERROR_MONITOR_LOST,
                                "QEMU's monitor is not connected; try again, or stop it");
    else
        kh_qmp_client_execute_async(self->qmp, command, arguments, on_answered,
                                    g_steal_pointer(&task));
}

JsonNode *
kh_monitor_query_finish(KhMonitor *self, GAsyncResult *result, GError **error)
{
    return g_task_propagate_pointer(G_TASK(result), error);
}

void
kh_monitor_tell(KhMonitor *self, const char *command)
{
    kh_monitor_query_async(self, command, NULL, NULL, NULL);
}

/* One command for QEMU, or more. */
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
static const Words forbid_words = {"set-action", "reboot", "shutdown"};
static const Words *const words_of[] = {[KH_MONITOR_PAUSE] = pause_words,
                                        [KH_MONITOR_RESUME] = resume_words,
                                        [KH_MONITOR_RESET] = reset_words};

static void
say(KhMonitor *self, const Words *words, GAsyncReadyCallback callback, gpointer user_data)
{
    g_autoptr(JsonObject) arguments = NULL;

    if (words->argument != NULL) {
        arguments = json_object_new();
        json_object_set_string_member(arguments, words->argument, words->value);
    }
    kh_monitor_query_async(self, words->command, arguments, callback, user_data);
}

void
kh_monitor_forbid_reboot(KhMonitor *self)
{
    say(self, &forbid_words, NULL, NULL);
}

static void say_next(GTask *task);

static void
on_said(GObject *source, GAsyncResult *result, gpointer data)
{
    g_autoptr(GTask) task = data;
    GError *error = NULL;
    g_autoptr(JsonNode) answer = kh_monitor_query_finish(KH_MONITOR(source), result, &error);

    if (answer == NULL)
        g_task_return_error(task, error);
    else
        say_next(g_steal_pointer(&task));
}

/* Takes @task, whose data are the words that are left. */
static void
say_next(GTask *task)
{
    const Words *words = g_task_get_task_data(task);

    if (words->command == NULL) {
        g_task_return_boolean(task, TRUE);
        g_object_unref(task);
        return;
    }
    g_task_set_task_data(task, (gpointer)(words + 1), NULL);
    say(g_task_get_source_object(task), words, on_said, task);
}

void
kh_monitor_do_async(KhMonitor *self, KhMonitorAction action, GAsyncReadyCallback callback,
                    gpointer user_data)
{
    GTask *task = g_task_new(self, NULL, callback, user_data);

    g_task_set_source_tag(task, kh_monitor_do_async);
    g_task_set_task_data(task, (gpointer)words_of[action], NULL);
    say_next(task);
}

gboolean
kh_monitor_do_finish(KhMonitor *self, GAsyncResult *result, GError **error)
{
    return g_task_propagate_boolean(G_TASK(result), error);
}
