/* SPDX-License-Identifier: MIT */
/*
 * Who is behind a connection to the bus: the bus is asked, once for each, and every second again
 * while somebody waits for its answer, since it loses answers to who has too much to read. Used
 * by the intake, whose table of clients keeps what is known.
 */
#pragma once

#include <gio/gio.h>

G_BEGIN_DECLS

/* Of nobody; (uid_t)-1 is no user's. */
#define KH_UID_UNKNOWN G_MAXUINT32

typedef struct _KhUsers KhUsers;

/* Both outlive it. @mutex is held over the two functions that any thread may call. */
KhUsers *kh_users_new(GDBusConnection *connection, GMutex *mutex);
void kh_users_free(KhUsers *self);

/* Asks the bus who @sender is; a question before is forgotten. With the mutex held. */
void kh_users_ask(KhUsers *self, const char *sender);

/*
 * The name whose user @message tells, transfer full, and @uid; NULL where it is no answer to a
 * question. With the mutex held.
 */
char *kh_users_take_answer(KhUsers *self, GDBusMessage *message, guint32 *uid);

/* What follows is the main thread's. */

/* KH_UID_UNKNOWN: the bus does not know the connection any more. */
typedef void (*KhUserIdentified)(guint32 uid, gpointer data);

/* Calls @identified at kh_users_tell(). */
void kh_users_await(KhUsers *self, const char *sender, KhUserIdentified identified, gpointer data);

gboolean kh_users_is_awaited(KhUsers *self, const char *name);

/* One of those; NULL where there is none. Transfer full. */
char *kh_users_get_awaited(KhUsers *self);

/* @name's user is known, or will never be. */
void kh_users_tell(KhUsers *self, const char *name, guint32 uid);

G_END_DECLS
