/* SPDX-License-Identifier: MIT */
/*
 * A connection of its own to the bus of systemd (org.freedesktop.systemd1), made when first
 * needed and again after it was lost. Used by systemd-bus.c.
 *
 * Signal "job-removed" (const char *unit): a start or a stop of the unit has come to an end.
 */
#pragma once

#include <gio/gio.h>

G_BEGIN_DECLS

#define KH_SYSTEMD "org.freedesktop.systemd1"
#define KH_SYSTEMD_PATH "/org/freedesktop/systemd1"
#define KH_SYSTEMD_MANAGER KH_SYSTEMD ".Manager"

#define KH_TYPE_SYSTEMD_CONNECTION (kh_systemd_connection_get_type())
G_DECLARE_FINAL_TYPE(KhSystemdConnection, kh_systemd_connection, KH, SYSTEMD_CONNECTION, GObject)

/* @address: of the bus; NULL for the system bus. */
KhSystemdConnection *kh_systemd_connection_new(const char *address);

/* Called with the connection, or with the reason why there is none. */
typedef void (*KhSystemdReady)(GDBusConnection *connection, gpointer data, const GError *error);

/* Calls @ready: at once where the connection is there, and always. */
void kh_systemd_connection_get(KhSystemdConnection *self, KhSystemdReady ready, gpointer data);

G_END_DECLS
