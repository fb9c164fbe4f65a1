/* SPDX-License-Identifier: MIT */
/*
 * Bounds what waits in the service; see intake.h. kh_intake_judge() runs in the doorway's
 * thread for each message that comes, before GDBus has it; on_message() in GDBus's thread, for
 * each of those that GDBus gets and, after the reply's last change, for each that goes.
 */
#include "intake.h"

#include <malloc.h>

#include "clients.h"
#include "message-checks.h"

#define DATA "kh-intake"
/* After traffic of that many bytes, and so long after it, memory goes back to the system. */
#define SWOLLEN_BYTES (1024u * 1024)
#define TRIM_DELAY_SECONDS 2

struct _KhIntake {
    GMutex mutex; /* of all up to the next empty line */
    KhClients *clients;
    KhUsers *users;    /* of which the main thread has the rest */
    gboolean trimming; /* memory is given back soon */

    gboolean warned; /* of a message that is too long; GDBus's thread's */

    /* The main thread's. */
    KhTurns *turns;
    gboolean closed; /* the bus answers no more */
    KhIntakeTaken taken;
    gpointer taken_data;
};

static void
intake_free(gpointer data)
{
    KhIntake *self = data;

    kh_users_free(self->users);
    kh_clients_free(self->clients);
    g_object_unref(self->turns);
    g_mutex_clear(&self->mutex);
    g_free(self);
}

KhIntake *
kh_intake_of(GDBusConnection *connection)
{
    return g_object_get_data(G_OBJECT(connection), DATA);
}

/* --- to the main thread --------------------------------------------------------------- */

/* Something of GDBus's thread for the main one. */
typedef struct {
    GDBusConnection *connection;
    GDBusMessage *message; /* that was taken, or an answer to be sent; or NULL */
    char *name;            /* whose user is known now, or NULL */
} News;

static void
news_free(gpointer data)
{
    News *news = data;

    g_object_unref(news->connection);
    g_clear_object(&news->message);
    g_free(news->name);
    g_free(news);
}

/* Takes @message and @name. */
static void
post(GDBusConnection *connection, GSource *source, GSourceFunc function, GDBusMessage *message,
     char *name)
{
    News *news = g_new0(News, 1);

    news->connection = g_object_ref(connection);
    news->message = message;
    news->name = name;
    g_source_set_priority(source, G_PRIORITY_DEFAULT);
    g_source_set_callback(source, function, news, news_free);
    g_source_attach(source, NULL);
    g_source_unref(source);
}

static guint32
find_user(KhIntake *self, const char *sender, gboolean *known)
{
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&self->mutex);
    guint32 uid = KH_UID_UNKNOWN;

    *known = kh_clients_get_user(self->clients, sender, &uid);
    return uid;
}

static void
tell_waiters(KhIntake *self, const char *name)
{
    gboolean known;
    guint32 uid = find_user(self, name, &known);

    kh_users_tell(self->users, name, uid);
}

static gboolean
on_identified(gpointer data)
{
    const News *news = data;

    tell_waiters(kh_intake_of(news->connection), news->name);
    return G_SOURCE_REMOVE;
}

static gboolean
on_taken(gpointer data)
{
    const News *news = data;
    KhIntake *self = kh_intake_of(news->connection);

    if (self->taken != NULL)
        self->taken(news->connection, news->message, self->taken_data);
    return G_SOURCE_REMOVE;
}

/* What the allocator keeps after a flood it would keep for ever. */
static gboolean
on_trim(gpointer data)
{
    const News *news = data;
    KhIntake *self = kh_intake_of(news->connection);

    g_mutex_lock(&self->mutex);
    self->trimming = FALSE;
    g_mutex_unlock(&self->mutex);
    malloc_trim(0);
    return G_SOURCE_REMOVE;
}

static void
note_traffic(KhIntake *self, GDBusConnection *connection, gsize bytes)
{
    if (self->trimming || MAX(bytes, kh_clients_get_size(self->clients)) < SWOLLEN_BYTES)
        return;
    self->trimming = TRUE;
    post(connection, g_timeout_source_new_seconds(TRIM_DELAY_SECONDS), on_trim, NULL, NULL);
}

/* --- who is it ------------------------------------------------------------------------ */

/* Takes @message, the answer to a question, and returns it where the question is not ours. */
static GDBusMessage *
note_answer(KhIntake *self, GDBusConnection *connection, GDBusMessage *message)
{
    guint32 uid;
    char *name = kh_users_take_answer(self->users, message, &uid);

    if (name == NULL)
        return message;
    kh_clients_set_user(self->clients, name, uid);
    post(connection, g_idle_source_new(), on_identified, NULL, name);
    g_object_unref(message);
    return NULL;
}

static void
take_turns(KhIntake *self, const char *sender, guint32 serial)
{
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&self->mutex);

    kh_clients_take_turns(self->clients, sender, serial);
}

void
kh_intake_identify(KhIntake *self, const char *sender, guint32 serial, KhUserIdentified identified,
                   gpointer data)
{
    gboolean known;
    guint32 uid = find_user(self, sender, &known);

    take_turns(self, sender, serial);
    /* Behind those that wait, who are told when this thread comes to it. */
    if ((known && !kh_users_is_awaited(self->users, sender)) || self->closed)
        identified(uid, data);
    else
        kh_users_await(self->users, sender, identified, data);
}

/* --- in ------------------------------------------------------------------------------- */

static void
send_answer(gpointer data)
{
    News *news = data;

    g_dbus_connection_send_message(news->connection, news->message, G_DBUS_SEND_MESSAGE_FLAGS_NONE,
                                   NULL, NULL);
    news_free(news);
}

static void
on_answer_identified(guint32 uid, gpointer data)
{
    News *news = data;
    const KhCaller caller = {news->connection, g_dbus_message_get_destination(news->message), uid};

    kh_turns_add(kh_intake_of(news->connection)->turns, &caller, send_answer, news, news_free);
}

/* One that no turn has brought forth, and that waits for its own. */
static gboolean
on_answer(gpointer data)
{
    const News *news = data;
    News *copy = g_new0(News, 1);

    copy->connection = g_object_ref(news->connection);
    copy->message = g_object_ref(news->message);
    kh_intake_identify(kh_intake_of(news->connection),
                       g_dbus_message_get_destination(news->message),
                       g_dbus_message_get_reply_serial(news->message), on_answer_identified, copy);
    return G_SOURCE_REMOVE;
}

/* Only the answer is kept, not the call. */
static void
refuse(GDBusConnection *connection, const char *sender, guint32 serial, const char *why)
{
    post(connection, g_idle_source_new(), on_answer, kh_message_refusal(sender, serial, why), NULL);
}

/*
 * Takes @message and returns what GDBus is to have: of a silent call the same but that it
 * wants an answer, which is the only sign of its end.
 */
static GDBusMessage *
pass(GDBusConnection *connection, GDBusMessage *message)
{
    g_autoptr(GDBusMessage) locked = NULL;

    if (kh_message_is_taken(message)) {
        post(connection, g_idle_source_new(), on_taken, message, NULL);
        return NULL;
    }
    if (!kh_message_is_silent(message))
        return message;
    locked = message;
    message = g_dbus_message_copy(locked, NULL);
    if (message != NULL)
        g_dbus_message_set_flags(message, g_dbus_message_get_flags(message) &
                                              ~(guint)G_DBUS_MESSAGE_FLAGS_NO_REPLY_EXPECTED);
    return message;
}

/* The call was let in, and is no further; it counts until the answer goes. */
static void
turn_away(KhIntake *self, GDBusConnection *connection, GDBusMessage *message)
{
    const char *sender = g_dbus_message_get_sender(message);
    guint32 serial = g_dbus_message_get_serial(message);

    if (kh_message_is_silent(message))
        kh_clients_leave(self->clients, sender, serial);
    else
        refuse(connection, sender, serial, KH_CALL_TOO_MUCH);
}

/* Takes @message, a call that the doorway has let in, and returns what GDBus is to have. */
static GDBusMessage *
let_in(KhIntake *self, GDBusConnection *connection, GDBusMessage *message)
{
    g_autoptr(GDBusMessage) owned = message;
    gsize bytes = kh_message_size(message);

    note_traffic(self, connection, bytes);
    if (!kh_clients_arrive(self->clients, g_dbus_message_get_sender(message),
                           g_dbus_message_get_serial(message)))
        return NULL;
    if (bytes == G_MAXSIZE) {
        turn_away(self, connection, message);
        return NULL;
    }
    kh_message_pack(message);
    return pass(connection, g_steal_pointer(&owned));
}

/* --- at the door ---------------------------------------------------------------------- */

static gboolean
judge_call(KhIntake *self, GDBusConnection *connection, const KhWire *call)
{
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&self->mutex);
    KhCallFlags flags = (kh_call_is_silent(call) ? KH_CALL_SILENT : 0) |
                        (kh_call_is_faulty(call) ? KH_CALL_FAULTY : 0);
    KhAdmission admission;
    gboolean is_new;

    if (call->sender == NULL || !g_dbus_is_unique_name(call->sender) || kh_call_is_in_vain(call))
        return FALSE;
    admission = kh_clients_enter(self->clients, call->sender, call->serial, kh_call_length(call),
                                 flags, &is_new);
    if (is_new)
        kh_users_ask(self->users, call->sender);
    if (admission != KH_ADMITTED && admission != KH_DROPPED)
        refuse(connection, call->sender, call->serial, kh_call_refusal(admission, call));
    return admission == KH_ADMITTED;
}

gboolean
kh_intake_judge(GDBusConnection *connection, const KhWire *message)
{
    KhIntake *self = connection == NULL ? NULL : kh_intake_of(connection);
    gboolean is_from_bus = g_strcmp0(message->sender, KH_DBUS) == 0;

    switch (message->type) {
    case G_DBUS_MESSAGE_TYPE_METHOD_CALL:
        return self != NULL && judge_call(self, connection, message);
    case G_DBUS_MESSAGE_TYPE_METHOD_RETURN:
    case G_DBUS_MESSAGE_TYPE_ERROR:
        return is_from_bus || kh_call_length(message) <= KH_CALL_BYTES_MAX;
    default:
        return message->type == G_DBUS_MESSAGE_TYPE_SIGNAL && is_from_bus;
    }
}

/* --- out ------------------------------------------------------------------------------ */

/* An error in the place of an answer that is too long. Transfer full. */
static GDBusMessage *
replace(GDBusMessage *message)
{
    GDBusMessage *reply = kh_message_refusal(
        g_dbus_message_get_destination(message), g_dbus_message_get_reply_serial(message),
        "The answer is too long for the bus; ask in pages, with the option limit of ListInstances");

    g_dbus_message_set_serial(reply, g_dbus_message_get_serial(message));
    return reply;
}

/*
 * Takes @message, and returns what the bus takes of it; NULL for nothing. It may take long, for
 * which nobody is to wait.
 */
static GDBusMessage *
shorten(KhIntake *self, GDBusMessage *message, gsize bytes)
{
    g_autoptr(GDBusMessage) owned = message;

    if (kh_message_fits(message, bytes))
        return g_steal_pointer(&owned);
    if (!self->warned)
        g_warning("Messages of more than %u bytes are not sent, because the bus would close the "
                  "connection",
                  KH_MESSAGE_BYTES_MAX);
    self->warned = TRUE;
    return kh_message_is_answer(message) ? replace(message) : NULL;
}

/* Takes @message, an answer, and returns what goes out now; NULL for nothing. */
static GDBusMessage *
let_answer(KhIntake *self, GDBusConnection *connection, GDBusMessage *message)
{
    g_autoptr(GDBusMessage) owned = message;
    const char *caller = g_dbus_message_get_destination(message);
    guint32 serial = g_dbus_message_get_reply_serial(message);

    if (caller == NULL)
        return g_steal_pointer(&owned);
    if (kh_clients_is_early(self->clients, caller, serial)) {
        GDBusMessage *later = g_dbus_message_copy(message, NULL);

        if (later != NULL)
            post(connection, g_idle_source_new(), on_answer, later, NULL);
        return NULL;
    }
    return kh_clients_leave(self->clients, caller, serial) ? g_steal_pointer(&owned) : NULL;
}

/* Takes @message, which goes out, and returns what goes in its place; NULL for nothing. */
static GDBusMessage *
let_out(KhIntake *self, GDBusConnection *connection, GDBusMessage *message)
{
    g_autoptr(GMutexLocker) locker = NULL;
    GVariant *body = g_dbus_message_get_body(message);
    gsize bytes = body == NULL ? 0 : g_variant_get_size(body);

    message = shorten(self, message, bytes);
    locker = g_mutex_locker_new(&self->mutex);
    note_traffic(self, connection, bytes);
    return message != NULL && kh_message_is_answer(message) ? let_answer(self, connection, message)
                                                            : message;
}

/* Takes @message, which comes in, and returns what GDBus is to have. */
static GDBusMessage *
sort(KhIntake *self, GDBusConnection *connection, GDBusMessage *message)
{
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&self->mutex);

    if (g_dbus_message_get_message_type(message) == G_DBUS_MESSAGE_TYPE_METHOD_CALL)
        return let_in(self, connection, message);
    note_traffic(self, connection, kh_message_size(message));
    return note_answer(self, connection, message);
}

static GDBusMessage *
on_message(GDBusConnection *connection, GDBusMessage *message, gboolean incoming, gpointer data)
{
    if (!incoming)
        return let_out(data, connection, message);
    return g_dbus_message_get_sender(message) == NULL ? message : sort(data, connection, message);
}

/* Nobody can be asked any more. */
static void
on_closed(GDBusConnection *connection, gboolean remote, GError *error, gpointer data)
{
    KhIntake *self = data;

    self->closed = TRUE;
    for (char *name; (name = kh_users_get_awaited(self->users)) != NULL; g_free(name))
        tell_waiters(self, name);
}

void
kh_intake_set_taken(KhIntake *self, KhIntakeTaken taken, gpointer data)
{
    self->taken = taken;
    self->taken_data = data;
}

void
kh_intake_watch(GDBusConnection *connection, KhTurns *turns)
{
    KhIntake *self = g_new0(KhIntake, 1);

    g_mutex_init(&self->mutex);
    self->turns = g_object_ref(turns);
    self->clients = kh_clients_new();
    self->users = kh_users_new(connection, &self->mutex);
    g_signal_connect(connection, "closed", G_CALLBACK(on_closed), self);
    g_dbus_connection_add_filter(connection, on_message, self, intake_free);
    /* From now on the doorway lets calls in. */
    g_object_set_data(G_OBJECT(connection), DATA, self);
}
