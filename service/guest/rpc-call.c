/* SPDX-License-Identifier: MIT */
/* One JSON-RPC call; see rpc-call.h. */
#include "rpc-call.h"

#include <libsoup/soup.h>
#include <string.h>

#include "error.h"
#include "json-guard.h"
#include "port/registry.h"
#include "http-guard.h"

#define TIMEOUT_S 30 /* between two bytes; the caller bounds the whole */
#define CHUNK (64 * 1024)

typedef struct {
    SoupSession *session;
    SoupMessage *message;
    KhHttpGuard *guard;
    GInputStream *body;
    GByteArray *answer;
} Call;

static void
call_free(gpointer data)
{
    Call *call = data;

    g_clear_object(&call->body);
    kh_http_guard_free(call->guard);
    g_object_unref(call->message);
    g_object_unref(call->session);
    g_byte_array_unref(call->answer);
    g_free(call);
}

/* Takes @task and @error. */
static void
fail(GTask *task, GError *error)
{
    Call *call = g_task_get_task_data(task);

    error = kh_http_guard_explain(call->guard, error);
    g_task_return_error(task, kh_error_import(error, KH_ERROR_FAILED, "The guest's RPC"));
    g_object_unref(task);
}

static void read_on(GTask *task);

static void
on_read(GObject *source, GAsyncResult *result, gpointer data)
{
    GTask *task = data;
    Call *call = g_task_get_task_data(task);
    GError *error = NULL;
    g_autoptr(GBytes) chunk =
        g_input_stream_read_bytes_finish(G_INPUT_STREAM(source), result, &error);

    if (chunk == NULL) {
        fail(task, error);
        return;
    }
    if (g_bytes_get_size(chunk) == 0) {
        g_task_return_pointer(task, g_bytes_new(call->answer->data, call->answer->len),
                              (GDestroyNotify)g_bytes_unref);
        g_object_unref(task);
        return;
    }
    if (call->answer->len + g_bytes_get_size(chunk) > KH_JSON_SIZE_MAX) {
        fail(task,
             g_error_new(KH_ERROR, KH_ERROR_LIMIT_EXCEEDED,
                         "The guest's RPC answers with more than %d bytes", KH_JSON_SIZE_MAX));
        return;
    }
    g_byte_array_append(call->answer, g_bytes_get_data(chunk, NULL),
                        (guint)g_bytes_get_size(chunk));
    read_on(task);
}

static void
read_on(GTask *task)
{
    Call *call = g_task_get_task_data(task);

    g_input_stream_read_bytes_async(call->body, CHUNK, G_PRIORITY_DEFAULT,
                                    kh_http_guard_get_cancellable(call->guard), on_read, task);
}

static void
on_answer(GObject *source, GAsyncResult *result, gpointer data)
{
    GTask *task = data;
    Call *call = g_task_get_task_data(task);
    GError *error = NULL;

    call->body = soup_session_send_finish(SOUP_SESSION(source), result, &error);
    if (call->body == NULL)
        fail(task, error);
    else
        read_on(task);
}

void
kh_rpc_call_async(const char *address, guint16 port, const char *body, GCancellable *cancellable,
                  GAsyncReadyCallback callback, gpointer user_data)
{
    GTask *task = g_task_new(NULL, cancellable, callback, user_data);
    g_autofree char *url = g_strdup_printf("http://%s:%u/", kh_port_loopback(address), port);
    g_autoptr(GBytes) bytes = g_bytes_new(body, strlen(body));
    Call *call = g_new0(Call, 1);

    /* Never through a proxy, and nothing is kept between two calls. */
    call->session = soup_session_new_with_options("timeout", TIMEOUT_S, "proxy-resolver", NULL,
                                                  "max-conns", 1, NULL);
    kh_http_guard_session(call->session);
    call->message = soup_message_new("POST", url);
    call->guard = kh_http_guard_new(call->message, cancellable);
    call->answer = g_byte_array_new();
    soup_message_add_flags(call->message, SOUP_MESSAGE_NO_REDIRECT);
    soup_message_set_request_body_from_bytes(call->message, "application/json", bytes);
    g_task_set_source_tag(task, kh_rpc_call_async);
    g_task_set_task_data(task, call, call_free);
    soup_session_send_async(call->session, call->message, G_PRIORITY_DEFAULT,
                            kh_http_guard_get_cancellable(call->guard), on_answer, task);
}

GBytes *
kh_rpc_call_finish(GAsyncResult *result, GError **error)
{
    return g_task_propagate_pointer(G_TASK(result), error);
}
