/* SPDX-License-Identifier: MIT */
/* The session's own systemd; see user-manager.h. */
#include "user-manager.h"

#include "error.h"

#define SYSTEMD "org.freedesktop.systemd1"
#define ANSWER_MS 10000

/*
 * A manager that has begun a moment ago comes to its bus a little later than a service that it
 * starts. With "auto start" the bus waits for it; elsewhere it would try in vain to start one.
 */
static GDBusCallFlags
flags(void)
{
    return g_getenv("NOTIFY_SOCKET") != NULL ? G_DBUS_CALL_FLAGS_NONE
                                             : G_DBUS_CALL_FLAGS_NO_AUTO_START;
}

static GVariant *
ask(GDBusConnection *bus, GError **error)
{
    g_autoptr(GVariant) value = NULL;
    g_autoptr(GVariant) answer = g_dbus_connection_call_sync(
        bus, SYSTEMD, "/org/freedesktop/systemd1", "org.freedesktop.DBus.Properties", "Get",
        g_variant_new("(ss)", SYSTEMD ".Manager", "ControlGroup"), G_VARIANT_TYPE("(v)"), flags(),
        ANSWER_MS, NULL, error);

    if (answer == NULL)
        return NULL;
    g_variant_get(answer, "(v)", &value);
    if (g_variant_is_of_type(value, G_VARIANT_TYPE_STRING))
        return g_steal_pointer(&value);
    g_set_error(error, KH_ERROR, KH_ERROR_NOT_SUPPORTED, "it does not say its control group");
    return NULL;
}

char *
kh_user_manager_find(const char *address, GError **error)
{
    g_autoptr(GError) reason = NULL;
    g_autoptr(GVariant) group = NULL;
    g_autoptr(GDBusConnection) bus =
        g_dbus_connection_new_for_address_sync(address,
                                               G_DBUS_CONNECTION_FLAGS_AUTHENTICATION_CLIENT |
                                                   G_DBUS_CONNECTION_FLAGS_MESSAGE_BUS_CONNECTION,
                                               NULL, NULL, &reason);

    if (bus != NULL) {
        g_dbus_connection_set_exit_on_close(bus, FALSE);
        group = ask(bus, &reason);
        g_dbus_connection_close(bus, NULL, NULL, NULL);
    }
    if (group != NULL)
        return g_variant_dup_string(group, NULL);
    g_dbus_error_strip_remote_error(reason);
    g_set_error(error, KH_ERROR, KH_ERROR_NOT_SUPPORTED,
                "no systemd of this user answers on the session bus: %s", reason->message);
    return NULL;
}
