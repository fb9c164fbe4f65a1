/* SPDX-License-Identifier: MIT */
/* One object, followed; see watch.h. */
#include "watch.h"

#include "client.h"
#include "names.h"

#define DBUS "org.freedesktop.DBus"

static void
on_changed(GDBusConnection *bus, const char *sender, const char *path, const char *interface,
           const char *signal, GVariant *parameters, gpointer data)
{
    KhWatch *self = data;
    g_autoptr(GVariant) properties = NULL;

    if (!g_variant_is_of_type(parameters, G_VARIANT_TYPE("(sa{sv}as)")))
        return;
    properties = g_variant_get_child_value(parameters, 1);
    self->overtaken = TRUE;
    if (self->failure == NULL &&
        kh_client_check_properties(properties, self->interface, &self->failure))
        self->take(properties, self->data);
}

static void
on_owner(GDBusConnection *bus, const char *sender, const char *path, const char *interface,
         const char *signal, GVariant *parameters, gpointer data)
{
    KhWatch *self = data;
    const char *owner;

    if (!g_variant_is_of_type(parameters, G_VARIANT_TYPE("(sss)")))
        return;
    g_variant_get(parameters, "(&s&s&s)", NULL, NULL, &owner);
    self->broken = TRUE;
    self->absent = owner[0] == '\0';
    self->look = !self->absent;
}

static void
on_closed(GDBusConnection *bus, gboolean by_peer, GError *error, gpointer data)
{
    g_main_context_wakeup(NULL);
}

/* Before the first look, so that nothing falls between the two. */
void
kh_watch_begin(KhWatch *self)
{
    GDBusConnection *bus = self->cli->bus;

    self->look = TRUE;
    self->closed = g_signal_connect(bus, "closed", G_CALLBACK(on_closed), self);
    self->owner = g_dbus_connection_signal_subscribe(
        bus, DBUS, DBUS, "NameOwnerChanged", "/org/freedesktop/DBus", KH_BUS_NAME,
        G_DBUS_SIGNAL_FLAGS_NONE, on_owner, self, NULL);
    self->changed = g_dbus_connection_signal_subscribe(
        bus, KH_BUS_NAME, DBUS ".Properties", "PropertiesChanged", self->path, self->interface,
        G_DBUS_SIGNAL_FLAGS_NONE, on_changed, self, NULL);
}

/* An answer that a signal has overtaken is older than that; a service that has just gone again
   is waited for. */
static gboolean
look(KhWatch *self, GError **error)
{
    g_autoptr(GError) failure = NULL;
    g_autoptr(GVariant) properties = NULL;

    self->look = self->overtaken = FALSE;
    properties = kh_client_get_all(self->cli, self->path, self->interface, &failure);
    if (properties != NULL && !self->overtaken) {
        self->take(properties, self->data);
    } else if (properties != NULL) {
        self->look = TRUE;
    } else if (kh_cli_exit_code(failure) == KH_EXIT_NOT_FOUND) {
        self->gone = TRUE;
    } else if (kh_cli_exit_code(failure) == KH_EXIT_UNAVAILABLE &&
               !g_dbus_connection_is_closed(self->cli->bus)) {
        self->absent = !self->look && !kh_cli_is_late(self->cli);
    } else {
        g_propagate_error(error, g_steal_pointer(&failure));
        return FALSE;
    }
    return TRUE;
}

gboolean
kh_watch_next(KhWatch *self, GError **error)
{
    if (g_dbus_connection_is_closed(self->cli->bus)) {
        g_set_error(error, G_DBUS_ERROR, G_DBUS_ERROR_DISCONNECTED, "The bus has gone; try again");
        return FALSE;
    }
    if (self->look)
        return look(self, error);
    g_main_context_iteration(NULL, TRUE);
    if (self->failure == NULL)
        return TRUE;
    g_propagate_error(error, g_steal_pointer(&self->failure));
    return FALSE;
}

void
kh_watch_end(KhWatch *self)
{
    g_clear_error(&self->failure);
    if (self->closed == 0)
        return;
    g_signal_handler_disconnect(self->cli->bus, self->closed);
    g_dbus_connection_signal_unsubscribe(self->cli->bus, self->owner);
    g_dbus_connection_signal_unsubscribe(self->cli->bus, self->changed);
    self->closed = 0;
}
