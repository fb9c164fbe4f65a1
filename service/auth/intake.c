/* SPDX-License-Identifier: MIT */
/*
 * Bounds what waits in the service; see intake.h. Its functions run in GDBus's thread, for
 * each message that comes and, after the reply's last change, for each that goes.
 */
#include "intake.h"

#include "error.h"
#include "names.h"

typedef struct {
    GMutex mutex;
    GHashTable *waiting; /* sender -> how many of its calls have no reply yet */
    GHashTable *silent;  /* "SENDER SERIAL" of those whose reply nobody wants */
} Intake;

static void
intake_free(gpointer data)
{
    Intake *self = data;

    g_hash_table_unref(self->waiting);
    g_hash_table_unref(self->silent);
    g_mutex_clear(&self->mutex);
    g_free(self);
}

static char *
key_of(const char *sender, guint32 serial)
{
    return g_strdup_printf("%s %u", sender, serial);
}

static guint
count_of(Intake *self, const char *sender)
{
    return GPOINTER_TO_UINT(g_hash_table_lookup(self->waiting, sender));
}

static void
set_count(Intake *self, const char *sender, guint count)
{
    if (count > 0)
        g_hash_table_replace(self->waiting, g_strdup(sender), GUINT_TO_POINTER(count));
    else
        g_hash_table_remove(self->waiting, sender);
}

/* Why the call is not let in, by itself or as one of too many; NULL if it is. */
static const char *
refusal_of(GDBusMessage *message, guint waiting)
{
    GVariant *body = g_dbus_message_get_body(message);

    if (waiting >= KH_INTAKE_CALLS_MAX)
        return "You have as many calls under way as one client may; wait for one to end";
    if (body != NULL && g_variant_get_size(body) > KH_INTAKE_BYTES_MAX)
        return "The call has more than 512 KiB of values; send less";
    return NULL;
}

static void
refuse(GDBusConnection *connection, GDBusMessage *message, const char *why)
{
    g_autofree char *name =
        g_strconcat(KH_ERROR_PREFIX_DBUS, kh_error_name(KH_ERROR_LIMIT_EXCEEDED), NULL);
    g_autoptr(GDBusMessage) reply = g_dbus_message_new_method_error_literal(message, name, why);

    g_dbus_connection_send_message(connection, reply, G_DBUS_SEND_MESSAGE_FLAGS_NONE, NULL, NULL);
}

/*
 * Takes @message; the same but that it wants an answer, which is the only sign of its end.
 * What nobody wants is held back on its way out.
 */
static GDBusMessage *
want_answer(Intake *self, GDBusMessage *message)
{
    g_autoptr(GDBusMessage) locked = message;
    GDBusMessageFlags flags = g_dbus_message_get_flags(message);
    GDBusMessage *copy = g_dbus_message_copy(message, NULL);

    if (copy == NULL)
        return NULL;
    g_hash_table_add(self->silent, key_of(g_dbus_message_get_sender(message),
                                          g_dbus_message_get_serial(message)));
    g_dbus_message_set_flags(copy, flags & ~(guint)G_DBUS_MESSAGE_FLAGS_NO_REPLY_EXPECTED);
    return copy;
}

/* Takes @message, and returns it where it is let in. */
static GDBusMessage *
let_in(Intake *self, GDBusConnection *connection, GDBusMessage *message)
{
    gboolean silent =
        (g_dbus_message_get_flags(message) & G_DBUS_MESSAGE_FLAGS_NO_REPLY_EXPECTED) != 0;
    guint waiting = count_of(self, g_dbus_message_get_sender(message));
    const char *why = refusal_of(message, waiting);

    if (why != NULL && silent)
        g_clear_object(&message);
    else if (silent)
        message = want_answer(self, message);
    if (message == NULL)
        return NULL;
    /* A refusal is an answer as well. */
    set_count(self, g_dbus_message_get_sender(message), waiting + 1);
    if (why == NULL)
        return message;
    refuse(connection, message, why);
    g_object_unref(message);
    return NULL;
}

/* Takes @message, the answer to a call, and returns it where it is wanted. */
static GDBusMessage *
let_out(Intake *self, GDBusMessage *message)
{
    const char *caller = g_dbus_message_get_destination(message);
    g_autofree char *key = key_of(caller, g_dbus_message_get_reply_serial(message));
    guint waiting = count_of(self, caller);

    if (waiting > 0)
        set_count(self, caller, waiting - 1);
    if (!g_hash_table_remove(self->silent, key))
        return message;
    g_object_unref(message);
    return NULL;
}

static GDBusMessage *
on_message(GDBusConnection *connection, GDBusMessage *message, gboolean incoming, gpointer data)
{
    GDBusMessageType type = g_dbus_message_get_message_type(message);
    gboolean answer =
        type == G_DBUS_MESSAGE_TYPE_METHOD_RETURN || type == G_DBUS_MESSAGE_TYPE_ERROR;
    Intake *self = data;
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&self->mutex);

    if (incoming && type == G_DBUS_MESSAGE_TYPE_METHOD_CALL &&
        g_dbus_message_get_sender(message) != NULL)
        return let_in(self, connection, message);
    if (!incoming && answer && g_dbus_message_get_destination(message) != NULL)
        return let_out(self, message);
    return message;
}

void
kh_intake_watch(GDBusConnection *connection)
{
    Intake *self = g_new0(Intake, 1);

    g_mutex_init(&self->mutex);
    self->waiting = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    self->silent = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    g_dbus_connection_add_filter(connection, on_message, self, intake_free);
}
