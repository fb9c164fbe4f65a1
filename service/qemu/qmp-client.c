/* SPDX-License-Identifier: MIT */
/* The QEMU Machine Protocol; see qmp-client.h. */
#include "qmp-client.h"

#include "error.h"
#include "json-guard.h"
#include "names.h"

#define MESSAGE_MAX 512

struct _KhQmpClient {
    GObject parent_instance;
    KhLineChannel *channel;
    GHashTable *pending; /* id -> GTask */
    GPtrArray *waiting;  /* lines for after the greeting; NULL once it came */
    guint next_id;
    gboolean closed;
};

G_DEFINE_FINAL_TYPE(KhQmpClient, kh_qmp_client, G_TYPE_OBJECT)

enum { SIGNAL_EVENT, SIGNAL_CLOSED, N_SIGNALS };

static guint signals[N_SIGNALS];

static void
kh_qmp_client_dispose(GObject *object)
{
    KhQmpClient *self = KH_QMP_CLIENT(object);

    kh_qmp_client_close(self);
    if (self->channel != NULL)
        g_signal_handlers_disconnect_by_data(self->channel, self);
    g_clear_object(&self->channel);
    g_clear_pointer(&self->waiting, g_ptr_array_unref);
    G_OBJECT_CLASS(kh_qmp_client_parent_class)->dispose(object);
}

static void
kh_qmp_client_finalize(GObject *object)
{
    g_hash_table_unref(KH_QMP_CLIENT(object)->pending);
    G_OBJECT_CLASS(kh_qmp_client_parent_class)->finalize(object);
}

static void
kh_qmp_client_class_init(KhQmpClientClass *class)
{
    G_OBJECT_CLASS(class)->dispose = kh_qmp_client_dispose;
    G_OBJECT_CLASS(class)->finalize = kh_qmp_client_finalize;
    signals[SIGNAL_EVENT] =
        g_signal_new("event", KH_TYPE_QMP_CLIENT, G_SIGNAL_RUN_LAST | G_SIGNAL_DETAILED, 0, NULL,
                     NULL, NULL, G_TYPE_NONE, 2, G_TYPE_STRING, JSON_TYPE_OBJECT);
    signals[SIGNAL_CLOSED] = g_signal_new("closed", KH_TYPE_QMP_CLIENT, G_SIGNAL_RUN_LAST, 0, NULL,
                                          NULL, NULL, G_TYPE_NONE, 1, G_TYPE_ERROR);
}

static void
kh_qmp_client_init(KhQmpClient *self)
{
    self->pending = g_hash_table_new_full(NULL, NULL, NULL, g_object_unref);
    self->waiting = g_ptr_array_new_with_free_func(g_free);
    self->next_id = 1;
}

static const char *
string_member(JsonObject *object, const char *name)
{
    JsonNode *node = object == NULL ? NULL : json_object_get_member(object, name);

    return node != NULL && JSON_NODE_HOLDS_VALUE(node) ? json_node_get_string(node) : NULL;
}

static JsonObject *
object_member(JsonObject *object, const char *name)
{
    JsonNode *node = json_object_get_member(object, name);

    return node != NULL && JSON_NODE_HOLDS_OBJECT(node) ? json_node_get_object(node) : NULL;
}

/* The task of the answer @message, taken out of the table; NULL for a late or forged one. */
static GTask *
take_pending(KhQmpClient *self, JsonObject *message)
{
    JsonNode *id = json_object_get_member(message, "id");
    gpointer task = NULL;

    if (id == NULL || !JSON_NODE_HOLDS_VALUE(id))
        return NULL;
    g_hash_table_steal_extended(self->pending, GSIZE_TO_POINTER((gsize)json_node_get_int(id)), NULL,
                                &task);
    return task;
}

static void
answer(KhQmpClient *self, JsonObject *message)
{
    g_autoptr(GTask) task = take_pending(self, message);
    JsonObject *failure = object_member(message, "error");
    JsonNode *value = json_object_get_member(message, "return");

    if (task == NULL)
        return;
    if (failure != NULL) {
        const char *text = string_member(failure, "desc");
        g_autofree char *shown = kh_text_sanitize(text != NULL ? text : "no reason", MESSAGE_MAX);

        g_task_return_new_error(task, KH_ERROR, KH_ERROR_FAILED, "QEMU refused %s: %s",
                                (const char *)g_task_get_task_data(task), shown);
    } else {
        g_task_return_pointer(task,
                              value != NULL ? json_node_ref(value) : json_node_new(JSON_NODE_NULL),
                              (GDestroyNotify)json_node_unref);
    }
}

static void
greeted(KhQmpClient *self)
{
    g_autoptr(GPtrArray) waiting = g_steal_pointer(&self->waiting);

    if (waiting == NULL)
        return;
    kh_line_channel_send(self->channel, "{\"execute\":\"qmp_capabilities\",\"id\":0}");
    for (guint i = 0; i < waiting->len; i++)
        kh_line_channel_send(self->channel, waiting->pdata[i]);
}

static void
fail_pending(KhQmpClient *self, const GError *error)
{
    g_autoptr(GHashTable) pending = self->pending;
    GHashTableIter iter;
    gpointer task;

    self->pending = g_hash_table_new_full(NULL, NULL, NULL, g_object_unref);
    g_hash_table_iter_init(&iter, pending);
    while (g_hash_table_iter_next(&iter, NULL, &task))
        g_task_return_error(task, g_error_copy(error));
}

static void
lose(KhQmpClient *self, const GError *error)
{
    g_autoptr(KhQmpClient) held = g_object_ref(self);

    if (self->closed)
        return;
    self->closed = TRUE;
    kh_line_channel_close(self->channel);
    fail_pending(self, error);
    g_signal_emit(self, signals[SIGNAL_CLOSED], 0, error);
}

/* Names are QEMU's: one that nobody waits for does not become a quark, which is for ever. */
static void
tell_of_event(KhQmpClient *self, const char *name, JsonObject *data)
{
    g_signal_emit(self, signals[SIGNAL_EVENT], g_quark_try_string(name), name, data);
}

static void
on_line(KhLineChannel *channel, const char *line, KhQmpClient *self)
{
    g_autoptr(KhQmpClient) held = g_object_ref(self);
    g_autoptr(GError) error = NULL;
    g_autoptr(JsonObject) message = kh_json_parse_object(line, strlen(line), &error);

    if (message == NULL) {
        g_autoptr(GError) lost =
            g_error_new(KH_ERROR, KH_ERROR_MONITOR_LOST, "QEMU's monitor: %s", error->message);

        lose(self, lost);
    } else if (json_object_has_member(message, "QMP")) {
        greeted(self);
    } else if (string_member(message, "event") != NULL) {
        tell_of_event(self, string_member(message, "event"), object_member(message, "data"));
    } else {
        answer(self, message);
    }
}

static void
on_closed(KhLineChannel *channel, const GError *error, KhQmpClient *self)
{
    lose(self, error);
}

KhQmpClient *
kh_qmp_client_new(KhLineChannel *channel)
{
    KhQmpClient *self = g_object_new(KH_TYPE_QMP_CLIENT, NULL);

    self->channel = g_object_ref(channel);
    g_signal_connect(channel, "line", G_CALLBACK(on_line), self);
    g_signal_connect(channel, "closed", G_CALLBACK(on_closed), self);
    kh_line_channel_begin(channel);
    return self;
}

static char *
build_line(const char *command, JsonObject *arguments, guint id)
{
    g_autoptr(JsonNode) root = json_node_new(JSON_NODE_OBJECT);
    g_autoptr(JsonObject) message = json_object_new();

    json_object_set_string_member(message, "execute", command);
    if (arguments != NULL)
        json_object_set_object_member(message, "arguments", json_object_ref(arguments));
    json_object_set_int_member(message, "id", id);
    json_node_set_object(root, message);
    return json_to_string(root, FALSE);
}

/* What a time-out needs: the client may be gone by then. */
typedef struct {
    GWeakRef client;
    guint id;
} Deadline;

static void
deadline_free(gpointer data)
{
    Deadline *deadline = data;

    g_weak_ref_clear(&deadline->client);
    g_free(deadline);
}

static gboolean
on_deadline(gpointer data)
{
    Deadline *deadline = data;
    g_autoptr(KhQmpClient) self = g_weak_ref_get(&deadline->client);
    gpointer task = NULL;

    if (self != NULL &&
        g_hash_table_steal_extended(self->pending, GUINT_TO_POINTER(deadline->id), NULL, &task)) {
        g_task_return_new_error(task, KH_ERROR, KH_ERROR_MONITOR_LOST,
                                "QEMU did not answer %s within %d ms",
                                (const char *)g_task_get_task_data(task), KH_QMP_TIMEOUT_MS);
        g_object_unref(task);
    }
    return G_SOURCE_REMOVE;
}

static void
set_deadline(KhQmpClient *self, guint id)
{
    Deadline *deadline = g_new0(Deadline, 1);

    g_weak_ref_init(&deadline->client, self);
    deadline->id = id;
    g_timeout_add_full(G_PRIORITY_DEFAULT, KH_QMP_TIMEOUT_MS, on_deadline, deadline, deadline_free);
}

void
kh_qmp_client_execute_async(KhQmpClient *self, const char *command, JsonObject *arguments,
                            GAsyncReadyCallback callback, gpointer user_data)
{
    GTask *task = g_task_new(self, NULL, callback, user_data);
    guint id = self->next_id++;
    g_autofree char *line = build_line(command, arguments, id);

    g_task_set_source_tag(task, kh_qmp_client_execute_async);
    g_task_set_task_data(task, g_strdup(command), g_free);
    if (self->closed) {
        g_task_return_new_error(task, KH_ERROR, KH_ERROR_MONITOR_LOST,
                                "QEMU's monitor is not connected");
        g_object_unref(task);
        return;
    }
    g_hash_table_insert(self->pending, GUINT_TO_POINTER(id), task);
    set_deadline(self, id);
    if (self->waiting != NULL)
        g_ptr_array_add(self->waiting, g_steal_pointer(&line));
    else
        kh_line_channel_send(self->channel, line);
}

JsonNode *
kh_qmp_client_execute_finish(KhQmpClient *self, GAsyncResult *result, GError **error)
{
    return g_task_propagate_pointer(G_TASK(result), error);
}

void
kh_qmp_client_close(KhQmpClient *self)
{
    g_autoptr(GError) error =
        g_error_new(KH_ERROR, KH_ERROR_MONITOR_LOST, "QEMU's monitor was closed");

    if (self->closed)
        return;
    self->closed = TRUE;
    kh_line_channel_close(self->channel);
    fail_pending(self, error);
}
