/* SPDX-License-Identifier: MIT */
/*
 * Users are served in turn. What a call costs is done in turns of the main loop: root first,
 * then each user who waits one call after the other, however many calls he has, and in a user's
 * turn each of his connections that wait; what is long, as lists of all objects are, in pieces
 * between the others. Used by the gate for every call, and by bus/ for what is long.
 *
 * Answers keep others waiting on the wire, too: there is one connection to the bus, of which
 * dbus-daemon reads 2 KiB each time that it has read as much from each of those that flood it.
 * So no more calls are served than the bus has read answers, but for WINDOW of them; the next
 * long answer begins when the bus has read the last one; and who has asked for more of these
 * than anybody needs waits after each for PACE times as long as it has taken.
 */
#pragma once

#include <gio/gio.h>

G_BEGIN_DECLS

#define KH_TYPE_TURNS (kh_turns_get_type())
G_DECLARE_FINAL_TYPE(KhTurns, kh_turns, KH, TURNS, GObject)

/* How long a piece of long work may take, in microseconds. */
#define KH_TURN_USEC 5000
/* An answer with more bytes of values than this is long. */
#define KH_TURN_LONG_BYTES (32u * 1024)
/* Long works of one user that may wait; who tries more of them is slowed down for a while. Root
 * may have KH_ROOT_FACTOR times as many (clients.h). */
#define KH_TURN_LISTS_MAX 64u

KhTurns *kh_turns_new(void);

/* Whose call it is. */
typedef struct {
    GDBusConnection *connection; /* over which the answer goes */
    const char *name;            /* the unique name of his connection to the bus */
    guint32 uid;
} KhCaller;

/* One call, which is short; takes @data. */
typedef void (*KhTurn)(gpointer data);

/* @data is freed by @free where its turn never comes: the service ends. */
void kh_turns_add(KhTurns *self, const KhCaller *caller, KhTurn turn, gpointer data,
                  GDestroyNotify free);

/* A piece of long work; TRUE while there is more, FALSE when it has sent its answer. */
typedef gboolean (*KhLongTurn)(gpointer data);

/*
 * @data is freed by @free after the last piece. FALSE with KH_ERROR_LIMIT_EXCEEDED, and @data is
 * freed as well, where the user has too many already.
 */
gboolean kh_turns_add_long(KhTurns *self, const KhCaller *caller, KhLongTurn turn, gpointer data,
                           GDestroyNotify free, GError **error);

G_END_DECLS
