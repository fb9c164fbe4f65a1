/* SPDX-License-Identifier: MIT */
/* The connection to systemd; see systemd-connection.h. */
#include "systemd-connection.h"

struct _KhSystemdConnection {
    GObject parent_instance;
    char *address;
    GDBusConnection *connection;
    gboolean connecting;
    guint jobs;     /* subscription to JobRemoved */
    GQueue waiting; /* Waiter *: for the connection */
};

G_DEFINE_FINAL_TYPE(KhSystemdConnection, kh_systemd_connection, G_TYPE_OBJECT)

typedef struct {
    KhSystemdReady ready;
    gpointer data;
} Waiter;

static void
on_job_removed(GDBusConnection *connection, const char *sender, const char *path,
               const char *interface, const char *signal, GVariant *parameters, gpointer data)
{
    const char *unit = NULL;

    if (!g_variant_is_of_type(parameters, G_VARIANT_TYPE("(uoss)")))
        return;
    g_variant_get(parameters, "(uo&ss)", NULL, NULL, &unit, NULL);
    g_signal_emit_by_name(data, "job-removed", unit);
}

static void
drop_connection(KhSystemdConnection *self)
{
    if (self->connection == NULL)
        return;
    g_dbus_connection_signal_unsubscribe(self->connection, self->jobs);
    g_clear_object(&self->connection);
}

static void
take_connection(KhSystemdConnection *self, GDBusConnection *connection)
{
    self->connection = connection;
    g_dbus_connection_set_exit_on_close(connection, FALSE);
    self->jobs = g_dbus_connection_signal_subscribe(
        connection, KH_SYSTEMD, KH_SYSTEMD_MANAGER, "JobRemoved", KH_SYSTEMD_PATH, NULL,
        G_DBUS_SIGNAL_FLAGS_NONE, on_job_removed, self, NULL);
    g_dbus_connection_call(connection, KH_SYSTEMD, KH_SYSTEMD_PATH, KH_SYSTEMD_MANAGER, "Subscribe",
                           NULL, NULL, G_DBUS_CALL_FLAGS_NONE, -1, NULL, NULL, NULL);
}

static void
serve_waiters(KhSystemdConnection *self, const GError *error)
{
    GQueue waiting = self->waiting;

    g_queue_init(&self->waiting);
    for (Waiter *waiter; (waiter = g_queue_pop_head(&waiting)) != NULL; g_free(waiter))
        waiter->ready(self->connection, waiter->data, error);
}

static void
on_connected(GObject *source, GAsyncResult *result, gpointer data)
{
    g_autoptr(KhSystemdConnection) self = data;
    g_autoptr(GError) error = NULL;
    GDBusConnection *connection = g_dbus_connection_new_for_address_finish(result, &error);

    self->connecting = FALSE;
    if (connection != NULL)
        take_connection(self, connection);
    serve_waiters(self, error);
}

static void
connect_async(KhSystemdConnection *self)
{
    g_autoptr(GError) error = NULL;
    /* A look at the environment and no more. */
    g_autofree char *address =
        self->address != NULL ? g_strdup(self->address)
                              : g_dbus_address_get_for_bus_sync(G_BUS_TYPE_SYSTEM, NULL, &error);

    if (address == NULL) {
        serve_waiters(self, error);
        return;
    }
    self->connecting = TRUE;
    g_dbus_connection_new_for_address(address,
                                      G_DBUS_CONNECTION_FLAGS_AUTHENTICATION_CLIENT |
                                          G_DBUS_CONNECTION_FLAGS_MESSAGE_BUS_CONNECTION,
                                      NULL, NULL, on_connected, g_object_ref(self));
}

void
kh_systemd_connection_get(KhSystemdConnection *self, KhSystemdReady ready, gpointer data)
{
    const Waiter waiter = {ready, data};

    if (self->connection != NULL && g_dbus_connection_is_closed(self->connection))
        drop_connection(self);
    if (self->connection != NULL) {
        ready(self->connection, data, NULL);
        return;
    }
    g_queue_push_tail(&self->waiting, g_memdup2(&waiter, sizeof waiter));
    if (!self->connecting)
        connect_async(self);
}

static void
kh_systemd_connection_finalize(GObject *object)
{
    KhSystemdConnection *self = KH_SYSTEMD_CONNECTION(object);

    drop_connection(self);
    g_free(self->address);
    G_OBJECT_CLASS(kh_systemd_connection_parent_class)->finalize(object);
}

static void
kh_systemd_connection_class_init(KhSystemdConnectionClass *class)
{
    G_OBJECT_CLASS(class)->finalize = kh_systemd_connection_finalize;
    g_signal_new("job-removed", KH_TYPE_SYSTEMD_CONNECTION, G_SIGNAL_RUN_LAST, 0, NULL, NULL, NULL,
                 G_TYPE_NONE, 1, G_TYPE_STRING);
}

static void
kh_systemd_connection_init(KhSystemdConnection *self)
{
    g_queue_init(&self->waiting);
}

KhSystemdConnection *
kh_systemd_connection_new(const char *address)
{
    KhSystemdConnection *self = g_object_new(KH_TYPE_SYSTEMD_CONNECTION, NULL);

    self->address = g_strdup(address);
    return self;
}
