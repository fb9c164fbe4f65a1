/* SPDX-License-Identifier: MIT */
/* Who is behind a connection to the bus; see users.h. */
#include "users.h"

#include "message-checks.h"

#define ASK_SECONDS 1

struct _KhUsers {
    GDBusConnection *connection; /* not owned */
    GMutex *mutex;               /* the owner's, of asked */
    GHashTable *asked;           /* serial of a question to the bus -> the name that it is about */
    GHashTable *waiters;         /* name -> GPtrArray of Waiter */
    guint ask_again;             /* while there are some */
};

typedef struct {
    KhUserIdentified identified;
    gpointer data;
} Waiter;

KhUsers *
kh_users_new(GDBusConnection *connection, GMutex *mutex)
{
    KhUsers *self = g_new0(KhUsers, 1);

    self->connection = connection;
    self->mutex = mutex;
    self->asked = g_hash_table_new_full(NULL, NULL, NULL, g_free);
    self->waiters =
        g_hash_table_new_full(g_str_hash, g_str_equal, g_free, (GDestroyNotify)g_ptr_array_unref);
    return self;
}

void
kh_users_free(KhUsers *self)
{
    g_clear_handle_id(&self->ask_again, g_source_remove);
    g_hash_table_unref(self->asked);
    g_hash_table_unref(self->waiters);
    g_free(self);
}

static gboolean
is_about(gpointer serial, gpointer name, gpointer sender)
{
    return g_str_equal(name, sender);
}

void
kh_users_ask(KhUsers *self, const char *sender)
{
    g_autoptr(GDBusMessage) question = g_dbus_message_new_method_call(
        KH_DBUS, "/org/freedesktop/DBus", KH_DBUS, "GetConnectionUnixUser");
    guint32 serial;

    g_dbus_message_set_body(question, g_variant_new("(s)", sender));
    if (!g_dbus_connection_send_message(self->connection, question, G_DBUS_SEND_MESSAGE_FLAGS_NONE,
                                        (volatile guint32 *)&serial, NULL))
        return;
    g_hash_table_foreach_remove(self->asked, is_about, (gpointer)sender);
    g_hash_table_insert(self->asked, GUINT_TO_POINTER(serial), g_strdup(sender));
}

char *
kh_users_take_answer(KhUsers *self, GDBusMessage *message, guint32 *uid)
{
    gpointer serial = GUINT_TO_POINTER(g_dbus_message_get_reply_serial(message));
    GVariant *body = g_dbus_message_get_body(message);
    char *name = NULL;

    if (g_strcmp0(g_dbus_message_get_sender(message), KH_DBUS) != 0 ||
        !g_hash_table_steal_extended(self->asked, serial, NULL, (gpointer *)&name))
        return NULL;
    *uid = KH_UID_UNKNOWN;
    if (body != NULL && g_variant_is_of_type(body, G_VARIANT_TYPE("(u)")))
        g_variant_get(body, "(u)", uid);
    return name;
}

static gboolean
on_ask_again(gpointer data)
{
    KhUsers *self = data;
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(self->mutex);
    GHashTableIter iter;
    gpointer name;

    g_hash_table_iter_init(&iter, self->waiters);
    while (g_hash_table_iter_next(&iter, &name, NULL))
        kh_users_ask(self, name);
    if (g_hash_table_size(self->waiters) > 0)
        return G_SOURCE_CONTINUE;
    self->ask_again = 0;
    return G_SOURCE_REMOVE;
}

void
kh_users_await(KhUsers *self, const char *sender, KhUserIdentified identified, gpointer data)
{
    const Waiter waiter = {identified, data};
    GPtrArray *waiters = g_hash_table_lookup(self->waiters, sender);

    if (waiters == NULL) {
        waiters = g_ptr_array_new_with_free_func(g_free);
        g_hash_table_insert(self->waiters, g_strdup(sender), waiters);
    }
    g_ptr_array_add(waiters, g_memdup2(&waiter, sizeof waiter));
    if (self->ask_again == 0)
        self->ask_again = g_timeout_add_seconds(ASK_SECONDS, on_ask_again, self);
}

gboolean
kh_users_is_awaited(KhUsers *self, const char *name)
{
    return g_hash_table_contains(self->waiters, name);
}

char *
kh_users_get_awaited(KhUsers *self)
{
    GHashTableIter iter;
    gpointer name = NULL;

    g_hash_table_iter_init(&iter, self->waiters);
    g_hash_table_iter_next(&iter, &name, NULL);
    return g_strdup(name);
}

void
kh_users_tell(KhUsers *self, const char *name, guint32 uid)
{
    g_autoptr(GPtrArray) waiters = NULL;
    g_autofree char *key = NULL; /* GLib frees none that is not taken */

    if (!g_hash_table_steal_extended(self->waiters, name, (gpointer *)&key, (gpointer *)&waiters))
        return;
    for (guint i = 0; i < waiters->len; i++) {
        const Waiter *waiter = waiters->pdata[i];

        waiter->identified(uid, waiter->data);
    }
}
