/* SPDX-License-Identifier: MIT */
/* Tests of the order in which users are served. */
#include "auth/turns.h"

#include <sys/socket.h>

#include "error.h"
#include "peer.h"

typedef struct {
    KhTurns *turns;
    GDBusConnection *connection;
    GDBusConnection *bus;
    GString *served;
    int slow; /* atomic: the bus needs a while for what it reads */
} Fixture;

/* What the bus says to GetId. */
static GDBusMessage *
answer(GDBusConnection *connection, GDBusMessage *message, gboolean incoming, gpointer data)
{
    g_autoptr(GDBusMessage) reply = NULL;

    if (!incoming)
        return message;
    if (g_atomic_int_get(&((Fixture *)data)->slow))
        g_usleep(100 * 1000);
    reply = g_dbus_message_new_method_reply(message);
    g_dbus_connection_send_message(connection, reply, G_DBUS_SEND_MESSAGE_FLAGS_NONE, NULL, NULL);
    g_object_unref(message);
    return NULL;
}

static void
set_up(Fixture *f, gconstpointer data)
{
    int fds[2];

    f->turns = kh_turns_new();
    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), ==, 0);
    f->connection = peer_connect(fds[0]);
    f->bus = peer_connect(fds[1]);
    g_dbus_connection_add_filter(f->bus, answer, f, NULL);
    f->served = g_string_new(NULL);
}

static void
tear_down(Fixture *f, gconstpointer data)
{
    g_object_unref(f->turns);
    g_object_unref(f->connection);
    g_object_unref(f->bus);
    g_string_free(f->served, TRUE);
}

/* Until all of @wanted has been served, in that order. */
static void
run(Fixture *f, const char *wanted)
{
    while (f->served->len < strlen(wanted))
        g_main_context_iteration(NULL, TRUE);
    g_assert_cmpstr(f->served->str, ==, wanted);
}

typedef struct {
    GString *served;
    char letter;
    guint pieces;
} Job;

static void
call(gpointer data)
{
    g_autofree Job *job = data;

    g_string_append_c(job->served, job->letter);
}

static gboolean
piece(gpointer data)
{
    Job *job = data;

    g_string_append_c(job->served, job->letter);
    return --job->pieces > 0;
}

static Job *
job_new(Fixture *f, char letter, guint pieces)
{
    Job *job = g_new0(Job, 1);

    *job = (Job){f->served, letter, pieces};
    return job;
}

static void
add_of(Fixture *f, guint32 uid, const char *name, char letter)
{
    const KhCaller caller = {f->connection, name, uid};

    kh_turns_add(f->turns, &caller, call, job_new(f, letter, 0), g_free);
}

static void
add(Fixture *f, guint32 uid, char letter)
{
    add_of(f, uid, ":1.1", letter);
}

static gboolean
try_long(Fixture *f, guint32 uid, const char *name, Job *job, GError **error)
{
    const KhCaller caller = {f->connection, name, uid};

    return kh_turns_add_long(f->turns, &caller, piece, job, g_free, error);
}

static void
add_long(Fixture *f, guint32 uid, char letter, guint pieces)
{
    g_assert_true(try_long(f, uid, ":1.1", job_new(f, letter, pieces), NULL));
}

/* One call after the other, in the order of each; root's first. */
static void
in_turn(Fixture *f, gconstpointer data)
{
    for (const char *i = "abcde"; *i != '\0'; i++)
        add(f, 1000, *i);
    add(f, 1001, 'x');
    add(f, 0, 'R');
    add(f, 1001, 'y');
    add(f, 0, 'S');
    run(f, "RSaxbycde");
}

/* A user's connections are served in turn, each of them in its order. */
static void
of_connections(Fixture *f, gconstpointer data)
{
    for (const char *i = "abcd"; *i != '\0'; i++)
        add_of(f, 0, ":1.1", *i);
    add_of(f, 0, ":1.2", 'x');
    add_of(f, 0, ":1.3", 'r');
    add_of(f, 0, ":1.2", 'y');
    add_of(f, 1000, ":1.4", 'U');
    run(f, "axrbycdU");
}

static void
long_ones_of_connections(Fixture *f, gconstpointer data)
{
    for (guint i = 0; i < 20; i++)
        add_long(f, 0, 'A', 2);
    g_assert_true(try_long(f, 0, ":1.2", job_new(f, 'B', 2), NULL));
    run(f, "AABBAA");
}

/* More than are served before the bus has read their answers. */
static void
many(Fixture *f, gconstpointer data)
{
    g_autofree char *wanted = g_strnfill(1000, 'a');

    for (guint i = 0; i < 1000; i++)
        add(f, 1000, 'a');
    run(f, wanted);
}

/* Short calls come between the pieces, which nothing else comes between. */
static void
long_ones(Fixture *f, gconstpointer data)
{
    add_long(f, 1000, 'A', 3);
    add_long(f, 1000, 'B', 1);
    add_long(f, 1001, 'C', 2);
    add(f, 1000, 'x');
    g_main_context_iteration(NULL, FALSE);
    g_assert_cmpstr(f->served->str, ==, "xA");
    add(f, 1001, 'y');
    g_main_context_iteration(NULL, FALSE);
    g_assert_cmpstr(f->served->str, ==, "xAyA");
    run(f, "xAyAACCB");
}

/* What has no turn any more is freed. */
static void
ends(Fixture *f, gconstpointer data)
{
    add(f, 1000, 'a');
    add_long(f, 1000, 'A', 3);
    g_object_unref(f->turns);
    f->turns = kh_turns_new();
    add(f, 1000, 'b');
    run(f, "b");
}

/* Whoever wants too many long answers is told so, and waits; others do not. */
static void
too_many(Fixture *f, gconstpointer data)
{
    g_autoptr(GError) error = NULL;

    for (guint i = 0; i < KH_TURN_LISTS_MAX; i++)
        add_long(f, 1000, 'A', 1);
    g_assert_false(try_long(f, 1000, ":1.2", job_new(f, 'X', 1), &error));
    g_assert_error(error, KH_ERROR, KH_ERROR_LIMIT_EXCEEDED);
    for (guint i = 0; i < 8; i++)
        add_long(f, 1001, 'B', 1);
    run(f, "ABBBBBBBB");
}

static void
be_greedy(Fixture *f, guint32 uid, char letter)
{
    g_autoptr(GError) error = NULL;

    for (guint i = 0; i < KH_TURN_LISTS_MAX; i++)
        add_long(f, uid, letter, 1);
    g_assert_false(try_long(f, uid, ":1.2", job_new(f, 'X', 1), &error));
}

/* Whether 1001, whose pause is short, is served before 1000, whose pause is long. */
static gboolean
goes_before(Fixture *f)
{
    g_object_unref(f->turns);
    f->turns = kh_turns_new();
    g_string_truncate(f->served, 0);
    g_atomic_int_set(&f->slow, TRUE);
    be_greedy(f, 1000, 'A');
    run(f, "A");
    for (guint i = 0; i < 20; i++) {
        g_main_context_iteration(NULL, FALSE);
        g_usleep(20 * 1000);
    }
    g_atomic_int_set(&f->slow, FALSE);
    be_greedy(f, 1001, 'B');
    while (f->served->len < 3)
        g_main_context_iteration(NULL, TRUE);
    return g_str_equal(f->served->str, "ABB");
}

/*
 * Who has to wait for milliseconds does not wait for the end of another's long pause that began
 * before. On a machine that is busy enough a short pause may be long as well, but not each time.
 */
static void
pauses(Fixture *f, gconstpointer data)
{
    g_assert_true(goes_before(f) || goes_before(f) || goes_before(f));
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add("/turns/in-turn", Fixture, NULL, set_up, in_turn, tear_down);
    g_test_add("/turns/of-connections", Fixture, NULL, set_up, of_connections, tear_down);
    g_test_add("/turns/long-of-connections", Fixture, NULL, set_up, long_ones_of_connections,
               tear_down);
    g_test_add("/turns/many", Fixture, NULL, set_up, many, tear_down);
    g_test_add("/turns/long", Fixture, NULL, set_up, long_ones, tear_down);
    g_test_add("/turns/ends", Fixture, NULL, set_up, ends, tear_down);
    g_test_add("/turns/too-many", Fixture, NULL, set_up, too_many, tear_down);
    g_test_add("/turns/pauses", Fixture, NULL, set_up, pauses, tear_down);
    return g_test_run();
}
