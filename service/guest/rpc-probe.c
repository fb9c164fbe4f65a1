/* SPDX-License-Identifier: MIT */
/* Asks an RPC endpoint whether it serves; see rpc-probe.h. */
#include "rpc-probe.h"

#include <libsoup/soup.h>

#include "error.h"
#include "json-guard.h"
#include "port/registry.h"
#include "http-guard.h"

#define ANSWER_TIMEOUT_S 3
#define ANSWER_MAX 4096

typedef struct {
    SoupSession *session;
    char *url;
    guint interval_ms;
    guint timer;
    KhHttpGuard *guard; /* of the question under way; NULL: none is */
    char answer[ANSWER_MAX];
} Probe;

static void
probe_free(gpointer data)
{
    Probe *probe = data;

    g_clear_handle_id(&probe->timer, g_source_remove);
    g_clear_pointer(&probe->guard, kh_http_guard_free);
    g_object_unref(probe->session);
    g_free(probe->url);
    g_free(probe);
}

static void ask(GTask *task);

static gboolean
on_timer(gpointer data)
{
    GTask *task = data;

    ((Probe *)g_task_get_task_data(task))->timer = 0;
    ask(task);
    return G_SOURCE_REMOVE;
}

/* Takes @task. */
static void
ask_again(GTask *task)
{
    Probe *probe = g_task_get_task_data(task);

    g_clear_pointer(&probe->guard, kh_http_guard_free);
    if (g_task_return_error_if_cancelled(task)) {
        g_object_unref(task);
        return;
    }
    probe->timer = g_timeout_add_full(G_PRIORITY_DEFAULT, probe->interval_ms, on_timer, task, NULL);
}

static gboolean
says_healthy(const char *answer, gsize length)
{
    g_autoptr(JsonObject) object = kh_json_parse_object(answer, length, NULL);
    JsonNode *health = object == NULL ? NULL : json_object_get_member(object, "health");

    return health != NULL && JSON_NODE_HOLDS_VALUE(health) && json_node_get_boolean(health);
}

static void
on_read(GObject *source, GAsyncResult *result, gpointer data)
{
    GTask *task = data;
    Probe *probe = g_task_get_task_data(task);
    gsize length = 0;

    if (g_input_stream_read_all_finish(G_INPUT_STREAM(source), result, &length, NULL) &&
        says_healthy(probe->answer, length)) {
        g_task_return_boolean(task, TRUE);
        g_object_unref(task);
        return;
    }
    ask_again(task);
}

static void
on_answer(GObject *source, GAsyncResult *result, gpointer data)
{
    GTask *task = data;
    Probe *probe = g_task_get_task_data(task);
    g_autoptr(GInputStream) body = soup_session_send_finish(SOUP_SESSION(source), result, NULL);

    if (body == NULL) {
        ask_again(task);
        return;
    }
    g_input_stream_read_all_async(body, probe->answer, sizeof probe->answer, G_PRIORITY_DEFAULT,
                                  kh_http_guard_get_cancellable(probe->guard), on_read, task);
}

static void
ask(GTask *task)
{
    Probe *probe = g_task_get_task_data(task);
    g_autoptr(SoupMessage) message = soup_message_new("GET", probe->url);

    soup_message_add_flags(message, SOUP_MESSAGE_NO_REDIRECT);
    probe->guard = kh_http_guard_new(message, g_task_get_cancellable(task));
    soup_session_send_async(probe->session, message, G_PRIORITY_DEFAULT,
                            kh_http_guard_get_cancellable(probe->guard), on_answer, task);
}

void
kh_rpc_probe_async(const char *address, guint16 port, guint interval_ms, GCancellable *cancellable,
                   GAsyncReadyCallback callback, gpointer user_data)
{
    GTask *task = g_task_new(NULL, cancellable, callback, user_data);
    Probe *probe = g_new0(Probe, 1);

    /* Never through a proxy, and nothing is kept between two questions. */
    probe->session = soup_session_new_with_options("timeout", ANSWER_TIMEOUT_S, "proxy-resolver",
                                                   NULL, "max-conns", 1, NULL);
    kh_http_guard_session(probe->session);
    probe->url = g_strdup_printf("http://%s:%u/", kh_port_loopback(address), port);
    probe->interval_ms = interval_ms;
    g_task_set_source_tag(task, kh_rpc_probe_async);
    g_task_set_task_data(task, probe, probe_free);
    ask(task);
}

gboolean
kh_rpc_probe_finish(GAsyncResult *result, GError **error)
{
    g_autoptr(GError) failure = NULL;

    if (g_task_propagate_boolean(G_TASK(result), &failure))
        return TRUE;
    g_propagate_error(error, kh_error_import(g_steal_pointer(&failure), KH_ERROR_FAILED, "RPC"));
    return FALSE;
}
