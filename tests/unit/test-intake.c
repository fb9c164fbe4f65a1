/* SPDX-License-Identifier: MIT */
/* Tests of the intake: what is let in and out, on a connection whose other end plays the bus. */
#include "auth/intake.h"

#include <sys/socket.h>

#include "auth/clients.h"
#include "auth/doorway.h"
#include "peer.h"

#define BUS "org.freedesktop.DBus"
#define CALLER ":1.5"
#define OBJECT "/org/katana/Hypervisor/nothing"

typedef struct {
    KhTurns *turns;
    GDBusConnection *connection;
    GDBusConnection *bus;
    GAsyncQueue *questions; /* about users, and */
    GAsyncQueue *answers;   /* to CALLER; of GDBusMessage */
} Fixture;

static void
answer(GDBusConnection *bus, GDBusMessage *question, GVariant *body)
{
    g_autoptr(GDBusMessage) reply = g_dbus_message_new_method_reply(question);

    g_dbus_message_set_sender(reply, BUS);
    g_dbus_message_set_body(reply, body);
    g_dbus_connection_send_message(bus, reply, G_DBUS_SEND_MESSAGE_FLAGS_NONE, NULL, NULL);
}

/* What the service sends, as the bus gets it. */
static GDBusMessage *
on_sent(GDBusConnection *bus, GDBusMessage *message, gboolean incoming, gpointer data)
{
    Fixture *f = data;
    const char *member = g_dbus_message_get_member(message);

    if (!incoming)
        return message;
    if (g_strcmp0(member, "GetConnectionUnixUser") == 0) {
        g_async_queue_push(f->questions, message);
        return NULL;
    }
    if (member == NULL) {
        g_async_queue_push(f->answers, message);
        return NULL;
    }
    answer(bus, message, g_variant_new("(s)", "id"));
    g_object_unref(message);
    return NULL;
}

static void
set_up(Fixture *f, gconstpointer data)
{
    g_autoptr(KhDoorway) doorway = NULL;
    int fds[2], end;

    f->turns = kh_turns_new();
    f->questions = g_async_queue_new_full(g_object_unref);
    f->answers = g_async_queue_new_full(g_object_unref);
    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), ==, 0);
    doorway = kh_doorway_open(fds[0], FALSE, kh_intake_judge, &end, NULL);
    g_assert_nonnull(doorway);
    f->connection = peer_connect(end);
    kh_doorway_set_connection(doorway, f->connection);
    f->bus = peer_connect(fds[1]);
    g_dbus_connection_set_exit_on_close(f->connection, FALSE);
    g_dbus_connection_set_exit_on_close(f->bus, FALSE);
    kh_intake_watch(f->connection, f->turns);
    g_dbus_connection_add_filter(f->bus, on_sent, f, NULL);
}

static void
tear_down(Fixture *f, gconstpointer data)
{
    g_dbus_connection_close_sync(f->bus, NULL, NULL);
    g_object_unref(f->connection);
    g_object_unref(f->bus);
    g_object_unref(f->turns);
    g_async_queue_unref(f->questions);
    g_async_queue_unref(f->answers);
}

static void
send_named(Fixture *f, const char *path, const char *method, GDBusMessageFlags flags)
{
    g_autoptr(GDBusMessage) call =
        g_dbus_message_new_method_call(NULL, path, "org.katana.Hypervisor.Manager", method);

    g_dbus_message_set_sender(call, CALLER);
    g_dbus_message_set_flags(call, flags);
    g_dbus_connection_send_message(f->bus, call, G_DBUS_SEND_MESSAGE_FLAGS_NONE, NULL, NULL);
}

static void
send_call(Fixture *f, const char *path, GDBusMessageFlags flags)
{
    send_named(f, path, "FindInstance", flags);
}

/* Transfer full. */
static GDBusMessage *
wait_for(GAsyncQueue *queue)
{
    GDBusMessage *message;

    while ((message = g_async_queue_try_pop(queue)) == NULL)
        g_main_context_iteration(NULL, FALSE);
    return message;
}

/* All that the service has to do, and what it has sent the bus has read. */
static void
settle(Fixture *f)
{
    g_autoptr(GVariant) id = NULL;

    for (guint i = 0; i < 10; i++) {
        while (g_main_context_iteration(NULL, FALSE))
            ;
        g_clear_pointer(&id, g_variant_unref);
        id = g_dbus_connection_call_sync(f->connection, BUS, "/", BUS, "GetId", NULL, NULL,
                                         G_DBUS_CALL_FLAGS_NONE, -1, NULL, NULL);
        g_assert_nonnull(id);
    }
}

/* GDBus says at once that there is no such object; that waits for its turn, as the user's. */
static void
gdbus_answers_in_turn(Fixture *f, gconstpointer data)
{
    g_autoptr(GDBusMessage) question = NULL, said = NULL;

    send_call(f, OBJECT, G_DBUS_MESSAGE_FLAGS_NONE);
    question = wait_for(f->questions);
    settle(f);
    g_assert_cmpint(g_async_queue_length(f->answers), ==, 0);
    answer(f->bus, question, g_variant_new("(u)", 1000));
    said = wait_for(f->answers);
    g_assert_cmpstr(g_dbus_message_get_error_name(said), ==, BUS ".Error.UnknownMethod");
    g_assert_cmpstr(g_dbus_message_get_destination(said), ==, CALLER);
}

/* The next call of a user who is known is answered, and only what wants an answer. */
static void
gdbus_answers_no_silent_call(Fixture *f, gconstpointer data)
{
    g_autoptr(GDBusMessage) question = NULL, first = NULL, second = NULL;

    send_call(f, OBJECT, G_DBUS_MESSAGE_FLAGS_NONE);
    question = wait_for(f->questions);
    answer(f->bus, question, g_variant_new("(u)", 1000));
    first = wait_for(f->answers);
    send_named(f, OBJECT, "CreateInstance", G_DBUS_MESSAGE_FLAGS_NO_REPLY_EXPECTED);
    send_call(f, OBJECT, G_DBUS_MESSAGE_FLAGS_NONE);
    second = wait_for(f->answers);
    settle(f);
    g_assert_cmpint(g_async_queue_length(f->answers), ==, 0);
    g_assert_cmpint(g_async_queue_length(f->questions), ==, 0);
}

/* What only reads, and tells it nobody, is not even asked about; what does something is. */
static void
silent_readers(Fixture *f, gconstpointer data)
{
    g_autoptr(GDBusMessage) question = NULL;

    send_call(f, OBJECT, G_DBUS_MESSAGE_FLAGS_NO_REPLY_EXPECTED);
    settle(f);
    g_assert_cmpint(g_async_queue_length(f->questions), ==, 0);
    send_named(f, OBJECT, "CreateInstance", G_DBUS_MESSAGE_FLAGS_NO_REPLY_EXPECTED);
    question = wait_for(f->questions);
}

static void
note_signal(GDBusConnection *connection, const char *sender, const char *path,
            const char *interface, const char *name, GVariant *body, gpointer data)
{
    g_string_append(data, sender);
}

/* The one call of CALLER that is under way has LimitExceeded for its answer. */
static void
assert_refused(Fixture *f)
{
    g_autoptr(GDBusMessage) question = wait_for(f->questions);
    g_autoptr(GDBusMessage) said = NULL;

    answer(f->bus, question, g_variant_new("(u)", 1000));
    said = wait_for(f->answers);
    g_assert_cmpstr(g_dbus_message_get_error_name(said), ==,
                    "org.katana.Hypervisor.Error.LimitExceeded");
}

/* A path counts, which may be as long as a message, and is in what GDBus says of it. */
static void
long_paths(Fixture *f, gconstpointer data)
{
    g_autofree char *rest = g_strnfill(KH_CALL_BYTES_MAX, 'x');
    g_autofree char *path = g_strconcat("/", rest, NULL);

    send_call(f, path, G_DBUS_MESSAGE_FLAGS_NONE);
    assert_refused(f);
}

/*
 * Calls that GDBus does not get, as it would take long over each of them, and one that it gets,
 * of more values than a call may have. @data: how many.
 */
static void
many_short_texts(Fixture *f, gconstpointer data)
{
    guint count = GPOINTER_TO_UINT(data);
    g_autofree char **texts = g_new0(char *, count + 1);
    g_autoptr(GDBusMessage) call = NULL;

    for (guint i = 0; i < count; i++)
        texts[i] = (char *)"";
    call = g_dbus_message_new_method_call(NULL, OBJECT, "org.katana.Hypervisor.Manager", "X");
    g_dbus_message_set_sender(call, CALLER);
    g_dbus_message_set_body(call, g_variant_new("(^as^as)", texts, texts));
    g_dbus_connection_send_message(f->bus, call, G_DBUS_SEND_MESSAGE_FLAGS_NONE, NULL, NULL);
    assert_refused(f);
}

/* Of another's signal nothing is wanted, and the bus's own come. */
static void
signals(Fixture *f, gconstpointer data)
{
    static const char *const senders[] = {CALLER, BUS};
    g_autoptr(GString) heard = g_string_new(NULL);

    g_dbus_connection_signal_subscribe(f->connection, NULL, "a.b", "C", NULL, NULL,
                                       G_DBUS_SIGNAL_FLAGS_NO_MATCH_RULE, note_signal, heard, NULL);
    for (guint i = 0; i < G_N_ELEMENTS(senders); i++) {
        g_autoptr(GDBusMessage) signal = g_dbus_message_new_signal("/", "a.b", "C");

        g_dbus_message_set_sender(signal, senders[i]);
        g_dbus_connection_send_message(f->bus, signal, G_DBUS_SEND_MESSAGE_FLAGS_NONE, NULL, NULL);
    }
    settle(f);
    g_assert_cmpstr(heard->str, ==, BUS);
}

static void
note_first(guint32 uid, gpointer data)
{
    g_string_append(data, "first ");
}

static void
note_second(guint32 uid, gpointer data)
{
    g_string_append(data, "second");
}

/* A call that comes when the bus has answered does not overtake one that waits for that. */
static void
calls_keep_their_order(Fixture *f, gconstpointer data)
{
    KhIntake *intake = kh_intake_of(f->connection);
    g_autoptr(GDBusMessage) question = NULL;
    g_autoptr(GString) order = g_string_new(NULL);

    send_call(f, OBJECT, G_DBUS_MESSAGE_FLAGS_NONE);
    question = wait_for(f->questions);
    kh_intake_identify(intake, CALLER, 1, note_first, order);
    while (g_main_context_iteration(NULL, FALSE))
        ;
    answer(f->bus, question, g_variant_new("(u)", 1000));
    while (!g_main_context_pending(NULL))
        g_usleep(1000);
    kh_intake_identify(intake, CALLER, 2, note_second, order);
    settle(f);
    g_assert_cmpstr(order->str, ==, "first second");
}

static void
note_uid(guint32 uid, gpointer data)
{
    *(guint32 *)data = uid;
}

/* Who comes before the bus is gone, and who comes after, is not kept waiting. */
static void
nobody_waits_for_a_lost_bus(Fixture *f, gconstpointer data)
{
    guint32 first = 7, second = 7;

    kh_intake_identify(kh_intake_of(f->connection), CALLER, 1, note_uid, &first);
    g_assert_true(g_dbus_connection_close_sync(f->connection, NULL, NULL));
    while (first == 7)
        g_main_context_iteration(NULL, TRUE);
    kh_intake_identify(kh_intake_of(f->connection), CALLER, 2, note_uid, &second);
    g_assert_cmpuint(first, ==, KH_UID_UNKNOWN);
    g_assert_cmpuint(second, ==, KH_UID_UNKNOWN);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add("/intake/gdbus-answers", Fixture, NULL, set_up, gdbus_answers_in_turn, tear_down);
    g_test_add("/intake/silent", Fixture, NULL, set_up, gdbus_answers_no_silent_call, tear_down);
    g_test_add("/intake/silent-readers", Fixture, NULL, set_up, silent_readers, tear_down);
    g_test_add("/intake/order", Fixture, NULL, set_up, calls_keep_their_order, tear_down);
    g_test_add("/intake/long-paths", Fixture, NULL, set_up, long_paths, tear_down);
    g_test_add("/intake/texts", Fixture, GUINT_TO_POINTER(100000), set_up, many_short_texts,
               tear_down);
    g_test_add("/intake/values", Fixture, GUINT_TO_POINTER(3000), set_up, many_short_texts,
               tear_down);
    g_test_add("/intake/signals", Fixture, NULL, set_up, signals, tear_down);
    g_test_add("/intake/lost-bus", Fixture, NULL, set_up, nobody_waits_for_a_lost_bus, tear_down);
    return g_test_run();
}
