/* SPDX-License-Identifier: MIT */
/* Tests of a machine's monitor: what a query returns, events by name, a connection made anew. */
#include "machine/monitor.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "error.h"
#include "launch/shim-protocol.h"
#include "state/instance-dir-removal.h"

#define GREETING "{\"QMP\": {}}\n"

typedef struct {
    char *base;
    int folder, listener, peer;
    KhMonitor *monitor;
    GString *seen;
    GAsyncResult *result;
} Fixture;

static void
on_paused(KhMonitor *monitor, gboolean paused, Fixture *f)
{
    g_string_append(f->seen, paused ? "paused " : "resumed ");
}

static void
on_job(KhMonitor *monitor, const char *name, JsonObject *data, Fixture *f)
{
    g_string_append_printf(f->seen, "%s:%s ", name, json_object_get_string_member(data, "id"));
}

/* The socket of a QEMU that this test is. */
static int
listen_in(const char *base)
{
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    g_snprintf(name.sun_path, sizeof name.sun_path, "%s/%s", base, KH_SOCKET_QMP);
    g_assert_cmpint(bind(listener, (struct sockaddr *)&name, sizeof name), ==, 0);
    g_assert_cmpint(listen(listener, 1), ==, 0);
    return listener;
}

static void
set_up(Fixture *f, gconstpointer data)
{
    f->base = g_dir_make_tmp("kh-monitor-XXXXXX", NULL);
    f->folder = open(f->base, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    f->listener = listen_in(f->base);
    f->seen = g_string_new("");
    f->monitor = kh_monitor_new(&f->folder, geteuid());
    g_signal_connect(f->monitor, "paused", G_CALLBACK(on_paused), f);
    g_signal_connect(f->monitor, "event::JOB_STATUS_CHANGE", G_CALLBACK(on_job), f);
    f->peer = -1;
}

static void
tear_down(Fixture *f, gconstpointer data)
{
    g_clear_object(&f->result);
    g_clear_object(&f->monitor);
    close(f->peer);
    close(f->listener);
    close(f->folder);
    kh_instance_dir_remove(-1, f->base, NULL, NULL);
    g_string_free(f->seen, TRUE);
    g_free(f->base);
}

static void
say(Fixture *f, const char *text)
{
    g_assert_cmpint(send(f->peer, text, strlen(text), MSG_NOSIGNAL), ==, (int)strlen(text));
}

static void
accept_it(Fixture *f)
{
    if (f->peer >= 0)
        close(f->peer);
    while ((f->peer = accept4(f->listener, NULL, NULL, SOCK_CLOEXEC)) < 0)
        g_main_context_iteration(NULL, TRUE);
    say(f, GREETING);
    while (!kh_monitor_is_connected(f->monitor))
        g_main_context_iteration(NULL, TRUE);
}

static void
wait_for(Fixture *f, const char *text)
{
    while (strstr(f->seen->str, text) == NULL)
        g_main_context_iteration(NULL, TRUE);
}

static void
keep_result(GObject *source, GAsyncResult *result, gpointer data)
{
    ((Fixture *)data)->result = g_object_ref(result);
}

static JsonNode *
ask(Fixture *f, const char *answer, GError **error)
{
    kh_monitor_query_async(f->monitor, "query-cpus-fast", NULL, keep_result, f);
    if (answer != NULL)
        say(f, answer);
    while (f->result == NULL)
        g_main_context_iteration(NULL, TRUE);
    return kh_monitor_query_finish(f->monitor, f->result, error);
}

/* What QEMU returns need be no object. */
static void
returns_a_list(Fixture *f, gconstpointer data)
{
    g_autoptr(JsonNode) answer = NULL;

    accept_it(f); /* the monitor's own question has the number 1 */
    answer = ask(f, "{\"id\": 2, \"return\": [{\"thread-id\": 7}, {\"thread-id\": 8}]}\n", NULL);
    g_assert_true(JSON_NODE_HOLDS_ARRAY(answer));
    g_assert_cmpuint(json_array_get_length(json_node_get_array(answer)), ==, 2);
}

/* Who waits for one event hears of that, whatever else comes. */
static void
events_by_name(Fixture *f, gconstpointer data)
{
    accept_it(f);
    say(f, "{\"event\": \"NONSENSE\", \"data\": {\"id\": \"n\"}}\n"
           "{\"event\": \"JOB_STATUS_CHANGE\", \"data\": {\"id\": \"j\"}}\n"
           "{\"event\": \"STOP\"}\n");
    wait_for(f, "paused");
    g_assert_cmpstr(f->seen->str, ==, "JOB_STATUS_CHANGE:j paused ");
    g_assert_cmpuint(g_quark_try_string("NONSENSE"), ==, 0);
}

/* What was asked of a connection that is lost fails; another one is made. */
static void
connects_again(Fixture *f, gconstpointer data)
{
    g_autoptr(GError) error = NULL, unconnected = NULL;
    g_autoptr(JsonNode) answer = NULL;

    g_assert_null(ask(f, NULL, &unconnected));
    g_assert_error(unconnected, KH_ERROR, KH_ERROR_MONITOR_LOST);
    g_clear_object(&f->result);
    accept_it(f);
    shutdown(f->peer, SHUT_RDWR);
    g_assert_null(ask(f, NULL, &error));
    g_assert_error(error, KH_ERROR, KH_ERROR_MONITOR_LOST);
    g_clear_object(&f->result);
    while (kh_monitor_is_connected(f->monitor))
        g_main_context_iteration(NULL, TRUE);
    accept_it(f);
    answer = ask(f, "{\"id\": 2, \"return\": {}}\n", NULL);
    g_assert_nonnull(answer);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add("/monitor/returns-a-list", Fixture, NULL, set_up, returns_a_list, tear_down);
    g_test_add("/monitor/events-by-name", Fixture, NULL, set_up, events_by_name, tear_down);
    g_test_add("/monitor/connects-again", Fixture, NULL, set_up, connects_again, tear_down);
    return g_test_run();
}
