/* SPDX-License-Identifier: MIT */
/* See peer.h. */
#include "peer.h"

GDBusConnection *
peer_connect(int fd)
{
    g_autoptr(GSocket) socket = g_socket_new_from_fd(fd, NULL);
    g_autoptr(GSocketConnection) stream = g_socket_connection_factory_create_connection(socket);

    return g_dbus_connection_new_sync(G_IO_STREAM(stream), NULL, G_DBUS_CONNECTION_FLAGS_NONE, NULL,
                                      NULL, NULL);
}
