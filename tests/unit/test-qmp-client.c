/* SPDX-License-Identifier: MIT */
/* Tests of QMP client and control channel against a peer on a socketpair. */
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "error.h"
#include "guest/guest-control.h"
#include "qemu/qmp-client.h"

typedef struct {
    int peer;
    KhLineChannel *channel;
    KhQmpClient *qmp;
    KhGuestControl *control;
    GAsyncResult *result;
    GString *seen; /* what signals said */
} Fixture;

static void
set_up(Fixture *f, gconstpointer data)
{
    int fds[2];

    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), ==, 0);
    f->peer = fds[0];
    f->channel = kh_line_channel_new_for_fd(fds[1], NULL);
    f->seen = g_string_new(NULL);
}

static void
tear_down(Fixture *f, gconstpointer data)
{
    g_clear_object(&f->qmp);
    g_clear_object(&f->control);
    g_clear_object(&f->channel);
    g_clear_object(&f->result);
    if (f->peer >= 0)
        close(f->peer);
    g_string_free(f->seen, TRUE);
}

static void
say(Fixture *f, const char *text)
{
    g_assert_cmpint(write(f->peer, text, strlen(text)), ==, (int)strlen(text));
}

/* Runs the main loop until the peer has got a whole line. */
static char *
hear(Fixture *f)
{
    GString *line = g_string_new(NULL);
    char c = 0;

    while (c != '\n') {
        g_main_context_iteration(NULL, FALSE);
        if (recv(f->peer, &c, 1, MSG_DONTWAIT) == 1 && c != '\n')
            g_string_append_c(line, c);
    }
    return g_string_free(line, FALSE);
}

static void
run_until_seen(Fixture *f, const char *text)
{
    while (strstr(f->seen->str, text) == NULL)
        g_main_context_iteration(NULL, TRUE);
}

static void
on_closed(GObject *source, const GError *error, Fixture *f)
{
    g_string_append(f->seen, "closed ");
}

static void
on_event(KhQmpClient *qmp, const char *name, JsonObject *data, Fixture *f)
{
    g_string_append_printf(f->seen, "%s ", name);
}

static void
keep_result(GObject *source, GAsyncResult *result, gpointer data)
{
    ((Fixture *)data)->result = g_object_ref(result);
}

static void
begin_qmp(Fixture *f)
{
    f->qmp = kh_qmp_client_new(f->channel);
    g_signal_connect(f->qmp, "closed", G_CALLBACK(on_closed), f);
    g_signal_connect(f->qmp, "event", G_CALLBACK(on_event), f);
}

static JsonNode *
finish(Fixture *f, GError **error)
{
    while (f->result == NULL)
        g_main_context_iteration(NULL, TRUE);
    return kh_qmp_client_execute_finish(f->qmp, f->result, error);
}

static void
executes_after_the_greeting(Fixture *f, gconstpointer data)
{
    g_autofree char *capabilities = NULL, *command = NULL;
    g_autoptr(JsonNode) reply = NULL;
    char c;

    begin_qmp(f);
    kh_qmp_client_execute_async(f->qmp, "query-status", NULL, keep_result, f);
    while (g_main_context_iteration(NULL, FALSE))
        ;
    g_assert_cmpint(recv(f->peer, &c, 1, MSG_DONTWAIT), ==, -1);
    say(f, "{\"QMP\": {\"version\": {}}}\r\n");
    capabilities = hear(f);
    command = hear(f);
    g_assert_nonnull(strstr(capabilities, "qmp_capabilities"));
    g_assert_nonnull(strstr(command, "query-status"));
    say(f, "{\"return\": {}, \"id\": 0}\r\n{\"event\": \"RESUME\"}\r\n"
           "{\"return\": {\"late\": true}, \"id\": 99}\r\n"
           "{\"return\": {\"status\": \"running\"}, \"id\": 1}\r\n");
    reply = finish(f, NULL);
    g_assert_cmpstr(json_object_get_string_member(json_node_get_object(reply), "status"), ==,
                    "running");
    g_assert_nonnull(strstr(f->seen->str, "RESUME"));
}

static void
refusal_is_an_error(Fixture *f, gconstpointer data)
{
    g_autoptr(GError) error = NULL;

    begin_qmp(f);
    kh_qmp_client_execute_async(f->qmp, "nonsense", NULL, keep_result, f);
    say(f, "{\"QMP\": {}}\n{\"id\": 1, \"error\": {\"desc\": \"no \\u001b such\"}}\n");
    g_assert_null(finish(f, &error));
    g_assert_error(error, KH_ERROR, KH_ERROR_FAILED);
    g_assert_nonnull(strstr(error->message, "nonsense"));
    g_assert_null(strchr(error->message, '\033'));
}

static void
a_lost_monitor_fails_what_waits(Fixture *f, gconstpointer data)
{
    g_autoptr(GError) error = NULL;

    begin_qmp(f);
    kh_qmp_client_execute_async(f->qmp, "quit", NULL, keep_result, f);
    close(f->peer);
    f->peer = -1;
    g_assert_null(finish(f, &error));
    g_assert_error(error, KH_ERROR, KH_ERROR_MONITOR_LOST);
    run_until_seen(f, "closed");
    g_clear_object(&f->result);
    g_clear_error(&error);
    kh_qmp_client_execute_async(f->qmp, "quit", NULL, keep_result, f);
    g_assert_null(finish(f, &error));
    g_assert_error(error, KH_ERROR, KH_ERROR_MONITOR_LOST);
}

static void
nonsense_closes(Fixture *f, gconstpointer data)
{
    begin_qmp(f);
    say(f, "[[[[ this is not QMP\n");
    run_until_seen(f, "closed");
}

/* Writes without a line feed for as long as the client reads. */
static void
an_endless_line_closes(Fixture *f, gconstpointer data)
{
    char block[4096];
    gsize sent = 0;

    memset(block, 'x', sizeof block);
    begin_qmp(f);
    while (strstr(f->seen->str, "closed") == NULL) {
        ssize_t n = send(f->peer, block, sizeof block, MSG_DONTWAIT | MSG_NOSIGNAL);

        if (n > 0)
            sent += (gsize)n;
        g_main_context_iteration(NULL, FALSE);
        g_assert_cmpuint(sent, <, 8 * KH_LINE_MAX);
    }
    g_assert_cmpuint(sent, >, KH_LINE_MAX);
}

/* What a peer sends without end, and how much of it in one turn of the main loop. */
typedef struct {
    const char *unit;
    gsize in_turn;
    gboolean qmp;
} Flood;

static const Flood empty_lines = {"\n", 65536, FALSE}, tiny_lines = {"ok\n", 65536, FALSE},
                   lines_apart = {"running pid=9\n", 14, FALSE}, bytes_apart = {" ", 1, FALSE},
                   events = {"{\"event\":\"A\"}\n", 65536, TRUE},
                   answers = {"{\"return\":{},\"id\":99}\n", 65536, TRUE};

static void
count_line(KhLineChannel *channel, const char *line, guint *lines)
{
    ++*lines;
}

static void
send_some(Fixture *f, const Flood *flood)
{
    gsize length = strlen(flood->unit), sent = 0;
    gssize n = 1;

    while (n > 0 && sent < flood->in_turn) {
        n = send(f->peer, flood->unit, length, MSG_DONTWAIT | MSG_NOSIGNAL);
        sent += (gsize)MAX(n, 0);
    }
}

/*
 * However fast the peer is, lines and turns of the main loop are no more than a burst has, and
 * after each there was a rest; and they go on.
 */
static void
a_flood_is_slowed_down(Fixture *f, gconstpointer data)
{
    const Flood *flood = data;
    gint64 begin = g_get_monotonic_time(), intervals = 0;
    const guint burst = KH_LINE_BURST / KH_LINE_COST + 1;
    guint lines = 0, turns = 0;

    g_signal_connect(f->channel, "line", G_CALLBACK(count_line), &lines);
    if (flood->qmp)
        f->qmp = kh_qmp_client_new(f->channel);
    else
        kh_line_channel_begin(f->channel);
    while (MAX(lines, turns) < 2 * burst) {
        send_some(f, flood);
        turns += g_main_context_iteration(NULL, FALSE);
        intervals = (g_get_monotonic_time() - begin) / (KH_LINE_INTERVAL_MS * 1000);
        g_assert_cmpint(intervals, <, 600);
    }
    g_assert_cmpuint(lines, <=, burst * (intervals + 1));
    /* One is the end of a rest. */
    g_assert_cmpuint(turns, <=, (burst + 1) * (intervals + 1));
    g_signal_handlers_disconnect_by_data(f->channel, &lines);
}

static void
on_started(KhGuestControl *control, Fixture *f)
{
    g_string_append(f->seen, "started ");
}

static void
on_failed(KhGuestControl *control, const char *reason, Fixture *f)
{
    g_string_append_printf(f->seen, "failed:%s ", reason);
}

static void
on_exited(KhGuestControl *control, int code, Fixture *f)
{
    g_string_append_printf(f->seen, "exited:%d ", code);
}

static void
begin_control(Fixture *f)
{
    f->control = kh_guest_control_new(f->channel, 20);
    g_signal_connect(f->control, "started", G_CALLBACK(on_started), f);
    g_signal_connect(f->control, "failed", G_CALLBACK(on_failed), f);
    g_signal_connect(f->control, "exited", G_CALLBACK(on_exited), f);
    g_signal_connect(f->control, "closed", G_CALLBACK(on_closed), f);
}

/* What comes until @wanted; the questions before it are repetitions. */
static void
hear_until(Fixture *f, const char *wanted)
{
    g_autofree char *line = hear(f);

    while (!g_str_equal(line, wanted)) {
        g_assert_cmpstr(line, ==, "status");
        g_free(line);
        line = hear(f);
    }
}

static void
starts_katana(Fixture *f, gconstpointer data)
{
    begin_control(f);
    hear_until(f, "status");
    hear_until(f, "status"); /* nobody has answered: asked again */
    say(f, "stopped exit=never\n");
    hear_until(f, "start");
    say(f, "ok started pid=9\nrunning pid=9\n");
    run_until_seen(f, "started ");
    hear_until(f, "status");
    say(f, "stopped exit=7\n");
    run_until_seen(f, "exited:7 ");
    g_assert_cmpstr(f->seen->str, ==, "started exited:7 ");
}

static void
running_already(Fixture *f, gconstpointer data)
{
    begin_control(f);
    hear_until(f, "status");
    say(f, "running pid=9\n");
    run_until_seen(f, "started ");
}

static void
refuses_to_start(Fixture *f, gconstpointer data)
{
    begin_control(f);
    hear_until(f, "status");
    say(f, "stopped exit=never\n");
    hear_until(f, "start");
    say(f, "err no \033[31mdisk\n");
    run_until_seen(f, "failed:");
    g_assert_null(strchr(f->seen->str, '\033'));
}

static void
stop_is_the_last_word(Fixture *f, gconstpointer data)
{
    begin_control(f);
    hear_until(f, "status");
    kh_guest_control_stop(f->control);
    hear_until(f, "stop");
    say(f, "ok stopping\nstopped exit=0\n");
    close(f->peer);
    f->peer = -1;
    run_until_seen(f, "closed");
    g_assert_cmpstr(f->seen->str, ==, "closed ");
}

#define ADD(path, function) g_test_add(path, Fixture, NULL, set_up, function, tear_down)
#define ADD_FLOOD(path, flood)                                                                     \
    g_test_add(path, Fixture, flood, set_up, a_flood_is_slowed_down, tear_down)

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    ADD("/qmp/execute", executes_after_the_greeting);
    ADD("/qmp/refusal", refusal_is_an_error);
    ADD("/qmp/lost", a_lost_monitor_fails_what_waits);
    ADD("/qmp/nonsense", nonsense_closes);
    ADD("/qmp/endless-line", an_endless_line_closes);
    ADD_FLOOD("/line-channel/empty-lines", &empty_lines);
    ADD_FLOOD("/line-channel/tiny-lines", &tiny_lines);
    ADD_FLOOD("/line-channel/lines-apart", &lines_apart);
    ADD_FLOOD("/line-channel/bytes-apart", &bytes_apart);
    ADD_FLOOD("/qmp/events", &events);
    ADD_FLOOD("/qmp/answers", &answers);
    ADD("/control/start", starts_katana);
    ADD("/control/running", running_already);
    ADD("/control/refused", refuses_to_start);
    ADD("/control/stop", stop_is_the_last_word);
    return g_test_run();
}
