/* SPDX-License-Identifier: MIT */
/*
 * Between the bus and GDBus. GDBus makes a value of every text of a message before anybody can
 * look at it, so that a short message of short texts takes it long, and much memory. So GDBus
 * talks to a thread of ours, which passes on what the bus sends, and drops messages by their
 * headers alone. Neither side can fill it: it reads no more than 2 MiB ahead of the other.
 * Descriptors go with the message that they belong to, and are closed with it.
 *
 * Used by the daemon; the thread ends when one of both ends goes, and needs nobody to wait.
 */
#pragma once

#include <gio/gio.h>

#include "wire.h"

G_BEGIN_DECLS

typedef struct _KhDoorway KhDoorway;

/*
 * Whether GDBus is to have a message that comes in; else it is as if it had never been sent. In
 * the doorway's thread. @connection is NULL until it is known.
 */
typedef gboolean (*KhDoorwayJudge)(GDBusConnection *connection, const KhWire *wire);

/*
 * Takes @bus, a socket, and sets *@end to the other end for GDBus, which the caller owns.
 * @greets: texts are exchanged first, until GDBus has sent "BEGIN" (D-Bus Specification,
 * "Authentication Protocol"). NULL with an error; @bus is closed then.
 */
KhDoorway *kh_doorway_open(int bus, gboolean greets, KhDoorwayJudge judge, int *end,
                           GError **error);

/* Whom it is asked about; it is not kept alive. */
void kh_doorway_set_connection(KhDoorway *self, GDBusConnection *connection);

/* The thread goes on. */
void kh_doorway_unref(KhDoorway *self);

/* Connects to a message bus through a doorway. */
void kh_doorway_connect_async(const char *address, KhDoorwayJudge judge,
                              GAsyncReadyCallback callback, gpointer data);

/* Transfer full; NULL with an error. */
GDBusConnection *kh_doorway_connect_finish(GAsyncResult *result, GError **error);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(KhDoorway, kh_doorway_unref)

G_END_DECLS
