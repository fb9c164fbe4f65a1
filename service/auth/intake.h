/* SPDX-License-Identifier: MIT */
/*
 * Where calls come in. GDBus reads every message that comes and queues its call for the main
 * loop, without a bound; so calls are counted before GDBus has them, in the doorway, by their
 * headers: those included that GDBus answers by itself and those that want no reply. What is
 * too much, of one user or by itself, is refused with KH_ERROR_LIMIT_EXCEEDED and goes no
 * further, and so is a message with descriptors that its method does not take. Its sender is told
 * when it is his turn: answers at once would keep those of others waiting. For the same reason what
 * GDBus answers by itself, as a call of an object that is not there, is held until its turn comes.
 * Who is behind a connection is asked of the bus, once.
 *
 * Two calls that GDBus would answer at once, however long that takes, are handed to the main
 * loop instead: ObjectManager.GetManagedObjects and Introspectable.Introspect.
 *
 * There is one intake for each connection to the bus: a new bus gives the old names to others.
 * Used by the daemon, the gate and the tree of objects.
 */
#pragma once

#include "turns.h"
#include "users.h"
#include "wire.h"

G_BEGIN_DECLS

typedef struct _KhIntake KhIntake;

/*
 * In the main thread, for each of the two calls; it is to be answered with a message. The
 * connection may be closed.
 */
typedef void (*KhIntakeTaken)(GDBusConnection *connection, GDBusMessage *message, gpointer data);

/*
 * Whether a message may come in to @connection, or NULL while it is not known; a KhDoorwayJudge.
 * No call comes in before the intake watches, no signal that is not the bus's own (nobody else's
 * is waited for there), and no answer that is longer than a call may be, but the bus's.
 */
gboolean kh_intake_judge(GDBusConnection *connection, const KhWire *message);

/*
 * Watches over @connection, which is behind a doorway with that judge, until it is gone; before
 * a name is owned there.
 */
void kh_intake_watch(GDBusConnection *connection, KhTurns *turns);

/* The intake of @connection, which it belongs to; NULL where none watches. */
KhIntake *kh_intake_of(GDBusConnection *connection);

/* Who gets the calls that are taken, until it is set to NULL. In the main thread. */
void kh_intake_set_taken(KhIntake *self, KhIntakeTaken taken, gpointer data);

/*
 * Says whose the call @serial of @sender is, which has no answer yet: at once where it is known,
 * else when the bus has answered. In the main thread; it always comes. The call and its answer
 * are to be served in turn from now on.
 */
void kh_intake_identify(KhIntake *self, const char *sender, guint32 serial,
                        KhUserIdentified identified, gpointer data);

G_END_DECLS
