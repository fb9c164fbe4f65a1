/* SPDX-License-Identifier: MIT */
/*
 * Tests that a server which sends interim answers without end stops nobody: neither the key
 * service's client, nor who asks a guest; and that nothing is decompressed. The server writes in
 * a thread of its own.
 */
#include "http-guard.h"

#include <string.h>

#include "error.h"
#include "guest/rpc-call.h"
#include "guest/rpc-probe.h"
#include "tee/http-get.h"

#define ENDLESS G_MAXUINT
#define FEW 8
#define NONE 0 /* and the answer is compressed */
#define INTERIM "HTTP/1.1 100 Continue\r\n\r\n"
#define HEAD "HTTP/1.1 200 OK\r\nContent-Length: "
#define ANSWER HEAD "15\r\n\r\n{\"health\":true}"
/* The same by gzip. */
#define COMPRESSED                                                                                 \
    HEAD                                                                                           \
        "35\r\nContent-Encoding: gzip\r\n\r\n"                                                     \
        "\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\x03\xab\x56\xca\x48\x4d\xcc\x29\xc9\x50\xb2\x2a\x29" \
        "\x2a\x4d\xad\x05\x00\x84\x4f\x13\x67\x0f\x00\x00\x00"
#define SOON_MS 300

typedef struct {
    GSocketService *service;
    guint16 port;
    guint interim; /* answers before the answer */
    GAsyncResult *result;
} World;

/*
 * In a thread, which may outlive its test; ends when the client has gone. @data: how many interim
 * answers come before the answer.
 */
static gboolean
on_connection(GThreadedSocketService *service, GSocketConnection *connection, GObject *source,
              gpointer data)
{
    guint interim = GPOINTER_TO_UINT(data);
    GInputStream *in = g_io_stream_get_input_stream(G_IO_STREAM(connection));
    GOutputStream *out = g_io_stream_get_output_stream(G_IO_STREAM(connection));
    char request[4096];
    gboolean good = g_input_stream_read(in, request, sizeof request, NULL, NULL) > 0;

    for (guint i = 0; good && i < interim; i++)
        good = g_output_stream_write_all(out, INTERIM, strlen(INTERIM), NULL, NULL, NULL);
    if (good && interim == NONE)
        g_output_stream_write_all(out, COMPRESSED, sizeof COMPRESSED - 1, NULL, NULL, NULL);
    else if (good)
        g_output_stream_write_all(out, ANSWER, strlen(ANSWER), NULL, NULL, NULL);
    while (good)
        good = g_input_stream_read(in, request, sizeof request, NULL, NULL) > 0;
    return TRUE;
}

static void
set_up(World *world, gconstpointer data)
{
    world->interim = GPOINTER_TO_UINT(data);
    world->service = g_threaded_socket_service_new(4);
    world->port =
        g_socket_listener_add_any_inet_port(G_SOCKET_LISTENER(world->service), NULL, NULL);
    g_assert_cmpuint(world->port, !=, 0);
    g_signal_connect(world->service, "run", G_CALLBACK(on_connection), (gpointer)data);
}

static void
tear_down(World *world, gconstpointer data)
{
    g_socket_service_stop(world->service);
    g_socket_listener_close(G_SOCKET_LISTENER(world->service));
    g_object_unref(world->service);
    g_clear_object(&world->result);
}

static void
on_done(GObject *source, GAsyncResult *result, gpointer data)
{
    ((World *)data)->result = g_object_ref(result);
}

static void
wait(World *world)
{
    while (world->result == NULL)
        g_main_context_iteration(NULL, TRUE);
}

static void
assert_outcome(const World *world, const GBytes *bytes, const GError *error)
{
    if (world->interim == ENDLESS) {
        g_assert_error(error, KH_ERROR, KH_ERROR_LIMIT_EXCEEDED);
        g_assert_nonnull(strstr(error->message, "interim"));
        return;
    }
    g_assert_no_error(error);
    g_assert_cmpuint(g_bytes_get_size((GBytes *)bytes), ==, world->interim == NONE ? 35 : 15);
}

static void
get(World *world, gconstpointer data)
{
    const KhHttpLimits limits = {4096, 10000, 1, 1, 1};
    g_autoptr(SoupSession) session = kh_http_session_new();
    g_autofree char *url = g_strdup_printf("http://127.0.0.1:%u/", world->port);
    g_autoptr(GBytes) bytes = NULL;
    g_autoptr(GError) error = NULL;

    kh_http_get_async(session, url, &limits, NULL, on_done, world);
    wait(world);
    bytes = kh_http_get_finish(world->result, &error);
    assert_outcome(world, bytes, error);
}

static void
call(World *world, gconstpointer data)
{
    g_autoptr(GBytes) bytes = NULL;
    g_autoptr(GError) error = NULL;

    kh_rpc_call_async("127.0.0.1", world->port, "{}", NULL, on_done, world);
    wait(world);
    bytes = kh_rpc_call_finish(world->result, &error);
    assert_outcome(world, bytes, error);
}

static gboolean
on_soon(gpointer cancellable)
{
    g_cancellable_cancel(cancellable);
    return G_SOURCE_REMOVE;
}

/* Which asks again and again until it is told to stop. */
static void
probe(World *world, gconstpointer data)
{
    g_autoptr(GCancellable) cancellable = g_cancellable_new();
    g_autoptr(GError) error = NULL;
    guint timer = g_timeout_add(SOON_MS, on_soon, cancellable);

    kh_rpc_probe_async("127.0.0.1", world->port, 10, cancellable, on_done, world);
    wait(world);
    g_assert_cmpint(kh_rpc_probe_finish(world->result, &error), ==, world->interim == FEW);
    if (!g_cancellable_is_cancelled(cancellable))
        g_source_remove(timer);
    else
        g_assert_error(error, KH_ERROR, KH_ERROR_CANCELLED);
}

#define ADD(name, interim, function)                                                               \
    g_test_add(name, World, GUINT_TO_POINTER(interim), set_up, function, tear_down)

int
main(int argc, char **argv)
{
    g_unsetenv("http_proxy");
    g_test_init(&argc, &argv, NULL);
    ADD("/http-guard/get/compressed", NONE, get);
    ADD("/http-guard/call/compressed", NONE, call);
    ADD("/http-guard/probe/compressed", NONE, probe);
    ADD("/http-guard/get/few", FEW, get);
    ADD("/http-guard/get/endless", ENDLESS, get);
    ADD("/http-guard/call/few", FEW, call);
    ADD("/http-guard/call/endless", ENDLESS, call);
    ADD("/http-guard/probe/few", FEW, probe);
    ADD("/http-guard/probe/endless", ENDLESS, probe);
    return g_test_run();
}
