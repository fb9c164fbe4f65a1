/* SPDX-License-Identifier: MIT */
/*
 * Bounds what waits in the service; see intake.h. kh_intake_judge() runs in the doorway's
 * thread for each message that comes, before GDBus has it; on_message() in GDBus's thread, for
 * each of those that GDBus gets and, after the reply's last change, for each that goes.
 */
#include "intake.h"

#include <malloc.h>

#include "clients.h"
#include "error.h"
#include "methods.h"
#include "names.h"
#include "values.h"

#define DATA "kh-intake"
#define TOO_MUCH                                                                                   \
    "The call has more than 4096 values, or more than 512 KiB of values or path; send less"
#define BUS "org.freedesktop.DBus"
/* The marshalled form of what we send is never four times as long as GLib's own. */
#define MARSHALLED_FACTOR 4
/* After traffic of that many bytes, and so long after it, memory goes back to the system. */
#define SWOLLEN_BYTES (1024u * 1024)
#define TRIM_DELAY_SECONDS 2
#define ASK_SECONDS 1

struct _KhIntake {
    GDBusConnection *connection; /* which it belongs to */

    GMutex mutex; /* of all up to the next empty line */
    KhClients *clients;
    GHashTable *asked; /* serial of a question to the bus -> the name that it is about */
    gboolean trimming; /* memory is given back soon */

    gboolean warned; /* of a message that is too long; GDBus's thread's */

    /* The main thread's. */
    KhTurns *turns;
    GHashTable *waiters; /* name -> GPtrArray of Waiter */
    guint ask_again;     /* while there are some */
    gboolean closed;     /* the bus answers no more */
    KhIntakeTaken taken;
    gpointer taken_data;
};

typedef struct {
    KhIntakeIdentified identified;
    gpointer data;
} Waiter;

static void
intake_free(gpointer data)
{
    KhIntake *self = data;

    g_clear_handle_id(&self->ask_again, g_source_remove);
    kh_clients_free(self->clients);
    g_hash_table_unref(self->asked);
    g_hash_table_unref(self->waiters);
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
    g_autoptr(GPtrArray) waiters = NULL;
    g_autofree char *key = NULL; /* GLib frees none that is not taken */
    gboolean known;
    guint32 uid = find_user(self, name, &known);

    if (!g_hash_table_steal_extended(self->waiters, name, (gpointer *)&key, (gpointer *)&waiters))
        return;
    for (guint i = 0; i < waiters->len; i++) {
        const Waiter *waiter = waiters->pdata[i];

        waiter->identified(uid, waiter->data);
    }
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

static gboolean
is_about(gpointer serial, gpointer name, gpointer sender)
{
    return g_str_equal(name, sender);
}

/* A question before it is forgotten: the bus loses answers to who has too much to read. */
static void
ask_user(KhIntake *self, const char *sender)
{
    g_autoptr(GDBusMessage) question =
        g_dbus_message_new_method_call(BUS, "/org/freedesktop/DBus", BUS, "GetConnectionUnixUser");
    guint32 serial;

    g_dbus_message_set_body(question, g_variant_new("(s)", sender));
    if (!g_dbus_connection_send_message(self->connection, question, G_DBUS_SEND_MESSAGE_FLAGS_NONE,
                                        (volatile guint32 *)&serial, NULL))
        return;
    g_hash_table_foreach_remove(self->asked, is_about, (gpointer)sender);
    g_hash_table_insert(self->asked, GUINT_TO_POINTER(serial), g_strdup(sender));
}

/* Takes @message, the answer to a question, and returns it where the question is not ours. */
static GDBusMessage *
note_answer(KhIntake *self, GDBusConnection *connection, GDBusMessage *message)
{
    gpointer serial = GUINT_TO_POINTER(g_dbus_message_get_reply_serial(message));
    GVariant *body = g_dbus_message_get_body(message);
    guint32 uid = KH_UID_UNKNOWN;
    char *name = NULL;

    if (g_strcmp0(g_dbus_message_get_sender(message), BUS) != 0 ||
        !g_hash_table_steal_extended(self->asked, serial, NULL, (gpointer *)&name))
        return message;
    if (body != NULL && g_variant_is_of_type(body, G_VARIANT_TYPE("(u)")))
        g_variant_get(body, "(u)", &uid);
    kh_clients_set_user(self->clients, name, uid);
    post(connection, g_idle_source_new(), on_identified, NULL, name);
    g_object_unref(message);
    return NULL;
}

static gboolean
on_ask_again(gpointer data)
{
    KhIntake *self = data;
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&self->mutex);
    GHashTableIter iter;
    gpointer name;

    g_hash_table_iter_init(&iter, self->waiters);
    while (g_hash_table_iter_next(&iter, &name, NULL))
        ask_user(self, name);
    if (g_hash_table_size(self->waiters) > 0)
        return G_SOURCE_CONTINUE;
    self->ask_again = 0;
    return G_SOURCE_REMOVE;
}

static void
await_user(KhIntake *self, const char *sender, KhIntakeIdentified identified, gpointer data)
{
    GPtrArray *waiters;
    Waiter *waiter;

    waiter = g_new0(Waiter, 1);
    waiter->identified = identified;
    waiter->data = data;
    waiters = g_hash_table_lookup(self->waiters, sender);
    if (waiters == NULL) {
        waiters = g_ptr_array_new_with_free_func(g_free);
        g_hash_table_insert(self->waiters, g_strdup(sender), waiters);
    }
    g_ptr_array_add(waiters, waiter);
    if (self->ask_again == 0)
        self->ask_again = g_timeout_add_seconds(ASK_SECONDS, on_ask_again, self);
}

static void
take_turns(KhIntake *self, const char *sender, guint32 serial)
{
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&self->mutex);

    kh_clients_take_turns(self->clients, sender, serial);
}

void
kh_intake_identify(KhIntake *self, const char *sender, guint32 serial,
                   KhIntakeIdentified identified, gpointer data)
{
    gboolean known;
    guint32 uid = find_user(self, sender, &known);

    take_turns(self, sender, serial);
    /* Behind those that wait, who are told when this thread comes to it. */
    if ((known && !g_hash_table_contains(self->waiters, sender)) || self->closed)
        identified(uid, data);
    else
        await_user(self, sender, identified, data);
}

/* --- in ------------------------------------------------------------------------------- */

/*
 * Of the values in its body and in its header; G_MAXSIZE where they are so many that to count
 * their bytes would take long.
 */
static gsize
size_of(GDBusMessage *message)
{
    g_autofree guchar *fields = g_dbus_message_get_header_fields(message);
    GVariant *body = g_dbus_message_get_body(message);
    gsize bytes;

    if (body != NULL && kh_values_count(body, KH_CALL_VALUES_MAX + 1) > KH_CALL_VALUES_MAX)
        return G_MAXSIZE;
    bytes = body == NULL ? 0 : g_variant_get_size(body);
    for (const guchar *field = fields; *field != G_DBUS_MESSAGE_HEADER_FIELD_INVALID; field++)
        bytes +=
            g_variant_get_size(g_dbus_message_get_header(message, (GDBusMessageHeaderField)*field));
    return bytes;
}

static const char *
text_of(KhAdmission refusal, const KhWire *call)
{
    if (refusal == KH_REFUSED_CLIENT)
        return "You already have as many calls in progress as one client may have; wait for one to "
               "end";
    if (refusal == KH_REFUSED_USER)
        return "Over all your connections you already have as many calls in progress as one user "
               "may have; wait for one to end";
    if (refusal == KH_REFUSED_BYTES)
        return "Your calls in progress already carry as many bytes as those of one user may; wait "
               "for one to end";
    if (call->descriptors > 0)
        return "The call carries file descriptors, but this method takes none; send it without "
               "them";
    return TOO_MUCH;
}

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

/* LimitExceeded, as the answer to the call @serial of @sender. Transfer full. */
static GDBusMessage *
refusal_of(const char *sender, guint32 serial, const char *why)
{
    GDBusMessage *answer = g_dbus_message_new();
    g_autofree char *name =
        g_strconcat(KH_ERROR_PREFIX_DBUS, kh_error_name(KH_ERROR_LIMIT_EXCEEDED), NULL);

    g_dbus_message_set_message_type(answer, G_DBUS_MESSAGE_TYPE_ERROR);
    g_dbus_message_set_flags(answer, G_DBUS_MESSAGE_FLAGS_NO_REPLY_EXPECTED);
    g_dbus_message_set_reply_serial(answer, serial);
    g_dbus_message_set_destination(answer, sender);
    g_dbus_message_set_error_name(answer, name);
    g_dbus_message_set_body(answer, g_variant_new("(s)", why));
    return answer;
}

/* Only the answer is kept, not the call. */
static void
refuse(GDBusConnection *connection, const char *sender, guint32 serial, const char *why)
{
    post(connection, g_idle_source_new(), on_answer, refusal_of(sender, serial, why), NULL);
}

static gboolean
is_silent(GDBusMessage *message)
{
    return (g_dbus_message_get_flags(message) & G_DBUS_MESSAGE_FLAGS_NO_REPLY_EXPECTED) != 0;
}

/* Whether GDBus would answer @message in its own thread, at a cost that grows with objects. */
static gboolean
is_taken(GDBusMessage *message)
{
    const char *interface = g_dbus_message_get_interface(message);
    const char *member = g_dbus_message_get_member(message);

    if (g_dbus_message_get_body(message) != NULL)
        return FALSE;
    if (g_strcmp0(interface, BUS ".Introspectable") == 0)
        return g_str_equal(member, "Introspect");
    return g_strcmp0(interface, BUS ".ObjectManager") == 0 &&
           g_str_equal(member, "GetManagedObjects") &&
           g_str_equal(g_dbus_message_get_path(message), KH_PATH_ROOT);
}

/*
 * Takes @message and returns what GDBus is to have: of a silent call the same but that it
 * wants an answer, which is the only sign of its end.
 */
static GDBusMessage *
pass(GDBusConnection *connection, GDBusMessage *message)
{
    g_autoptr(GDBusMessage) locked = NULL;

    if (is_taken(message)) {
        post(connection, g_idle_source_new(), on_taken, message, NULL);
        return NULL;
    }
    if (!is_silent(message))
        return message;
    locked = message;
    message = g_dbus_message_copy(locked, NULL);
    if (message != NULL)
        g_dbus_message_set_flags(message, g_dbus_message_get_flags(message) &
                                              ~(guint)G_DBUS_MESSAGE_FLAGS_NO_REPLY_EXPECTED);
    return message;
}

/*
 * Keeps its values as bytes: as GLib's, which GDBus has made of them, those of a list of short
 * texts need thirty times what counts. The first it keeps by itself, too.
 */
static void
pack(GDBusMessage *message)
{
    GVariant *body = g_dbus_message_get_body(message);

    for (gsize i = 0; body != NULL && i < g_variant_n_children(body); i++) {
        g_autoptr(GVariant) value = g_variant_get_child_value(body, i);

        g_variant_get_data(value);
    }
    if (body != NULL)
        g_variant_get_data(body);
}

/* The call was let in, and is no further; it counts until the answer goes. */
static void
turn_away(KhIntake *self, GDBusConnection *connection, GDBusMessage *message)
{
    const char *sender = g_dbus_message_get_sender(message);
    guint32 serial = g_dbus_message_get_serial(message);

    if (is_silent(message))
        kh_clients_leave(self->clients, sender, serial);
    else
        refuse(connection, sender, serial, TOO_MUCH);
}

/* Takes @message, a call that the doorway has let in, and returns what GDBus is to have. */
static GDBusMessage *
let_in(KhIntake *self, GDBusConnection *connection, GDBusMessage *message)
{
    g_autoptr(GDBusMessage) owned = message;
    gsize bytes = size_of(message);

    note_traffic(self, connection, bytes);
    if (!kh_clients_arrive(self->clients, g_dbus_message_get_sender(message),
                           g_dbus_message_get_serial(message)))
        return NULL;
    if (bytes == G_MAXSIZE) {
        turn_away(self, connection, message);
        return NULL;
    }
    pack(message);
    return pass(connection, g_steal_pointer(&owned));
}

/* --- at the door ---------------------------------------------------------------------- */

static gsize
length_of(const KhWire *message)
{
    return (gsize)message->fields + message->body;
}

/* Whether the call is refused for itself. */
static gboolean
is_faulty(const KhWire *call)
{
    const KhMethod *method;

    if (length_of(call) > KH_CALL_BYTES_MAX)
        return TRUE;
    if (call->descriptors == 0)
        return FALSE;
    method = kh_method_find(call->interface, call->member);
    return method == NULL || !method->takes_descriptors;
}

static gboolean
is_silent_call(const KhWire *call)
{
    return (call->flags & G_DBUS_MESSAGE_FLAGS_NO_REPLY_EXPECTED) != 0;
}

/* Whether nobody hears what the call would say, and it does nothing else. */
static gboolean
is_in_vain(const KhWire *call)
{
    const KhMethod *method;

    if (!is_silent_call(call))
        return FALSE;
    method = kh_method_find(call->interface, call->member);
    return method == NULL || g_str_equal(method->action, KH_ACTION_FREE);
}

static gboolean
judge_call(KhIntake *self, GDBusConnection *connection, const KhWire *call)
{
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&self->mutex);
    KhCallFlags flags =
        (is_silent_call(call) ? KH_CALL_SILENT : 0) | (is_faulty(call) ? KH_CALL_FAULTY : 0);
    KhAdmission admission;
    gboolean is_new;

    if (call->sender == NULL || !g_dbus_is_unique_name(call->sender) || is_in_vain(call))
        return FALSE;
    admission = kh_clients_enter(self->clients, call->sender, call->serial, length_of(call), flags,
                                 &is_new);
    if (is_new)
        ask_user(self, call->sender);
    if (admission != KH_ADMITTED && admission != KH_DROPPED)
        refuse(connection, call->sender, call->serial, text_of(admission, call));
    return admission == KH_ADMITTED;
}

gboolean
kh_intake_judge(GDBusConnection *connection, const KhWire *message)
{
    KhIntake *self = connection == NULL ? NULL : kh_intake_of(connection);
    gboolean is_from_bus = g_strcmp0(message->sender, BUS) == 0;

    switch (message->type) {
    case G_DBUS_MESSAGE_TYPE_METHOD_CALL:
        return self != NULL && judge_call(self, connection, message);
    case G_DBUS_MESSAGE_TYPE_METHOD_RETURN:
    case G_DBUS_MESSAGE_TYPE_ERROR:
        return is_from_bus || length_of(message) <= KH_CALL_BYTES_MAX;
    default:
        return message->type == G_DBUS_MESSAGE_TYPE_SIGNAL && is_from_bus;
    }
}

/* --- out ------------------------------------------------------------------------------ */

/* What is longer makes the bus close the connection. */
static gboolean
fits(GDBusMessage *message, gsize bytes)
{
    g_autofree guchar *blob = NULL;
    gsize length = 0;

    if (bytes < KH_MESSAGE_BYTES_MAX / MARSHALLED_FACTOR)
        return TRUE;
    blob = g_dbus_message_to_blob(message, &length, G_DBUS_CAPABILITY_FLAGS_UNIX_FD_PASSING, NULL);
    return blob != NULL && length <= KH_MESSAGE_BYTES_MAX;
}

/* An error in the place of an answer that is too long. Transfer full. */
static GDBusMessage *
replace(GDBusMessage *message)
{
    GDBusMessage *reply = refusal_of(
        g_dbus_message_get_destination(message), g_dbus_message_get_reply_serial(message),
        "The answer is too long for the bus; ask in pages, with the option limit of ListInstances");

    g_dbus_message_set_serial(reply, g_dbus_message_get_serial(message));
    return reply;
}

static gboolean
is_answer(GDBusMessage *message)
{
    GDBusMessageType type = g_dbus_message_get_message_type(message);

    return type == G_DBUS_MESSAGE_TYPE_METHOD_RETURN || type == G_DBUS_MESSAGE_TYPE_ERROR;
}

/*
 * Takes @message, and returns what the bus takes of it; NULL for nothing. It may take long, for
 * which nobody is to wait.
 */
static GDBusMessage *
shorten(KhIntake *self, GDBusMessage *message, gsize bytes)
{
    g_autoptr(GDBusMessage) owned = message;

    if (fits(message, bytes))
        return g_steal_pointer(&owned);
    if (!self->warned)
        g_warning("Messages of more than %u bytes are not sent, because the bus would close the "
                  "connection",
                  KH_MESSAGE_BYTES_MAX);
    self->warned = TRUE;
    return is_answer(message) ? replace(message) : NULL;
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
    return message != NULL && is_answer(message) ? let_answer(self, connection, message) : message;
}

/* Takes @message, which comes in, and returns what GDBus is to have. */
static GDBusMessage *
sort(KhIntake *self, GDBusConnection *connection, GDBusMessage *message)
{
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&self->mutex);

    if (g_dbus_message_get_message_type(message) == G_DBUS_MESSAGE_TYPE_METHOD_CALL)
        return let_in(self, connection, message);
    note_traffic(self, connection, size_of(message));
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
    g_autoptr(GList) names = g_hash_table_get_keys(self->waiters);

    self->closed = TRUE;
    for (GList *i = names; i != NULL; i = i->next) {
        g_autofree char *name = g_strdup(i->data);

        tell_waiters(self, name);
    }
    g_clear_handle_id(&self->ask_again, g_source_remove);
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
    self->connection = connection;
    self->turns = g_object_ref(turns);
    self->clients = kh_clients_new();
    self->asked = g_hash_table_new_full(NULL, NULL, NULL, g_free);
    self->waiters =
        g_hash_table_new_full(g_str_hash, g_str_equal, g_free, (GDestroyNotify)g_ptr_array_unref);
    g_signal_connect(connection, "closed", G_CALLBACK(on_closed), self);
    g_dbus_connection_add_filter(connection, on_message, self, intake_free);
    /* From now on the doorway lets calls in. */
    g_object_set_data(G_OBJECT(connection), DATA, self);
}
