/* SPDX-License-Identifier: MIT */
/*
 * What the connections of a bus, and the users behind them, have under way in the service.
 * A user has as many connections as the bus lets him, so what counts is the user; until the
 * bus has said who is behind a connection, that one is held to less. A plain table, used by
 * the intake alone, which locks it.
 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/*
 * One call in bytes, as the bus sends it: Katana's arguments are the most of it, 64 of 4 KiB. Its
 * header counts as well: an object's path may be as long as a message.
 */
#define KH_CALL_BYTES_MAX (512u * 1024)
/* How many they may be; what a configuration may hold has a tenth of them. */
#define KH_CALL_VALUES_MAX 4096u
/*
 * Calls of one connection that have not been answered; of one whose user is not known yet, while
 * all such have as much as the next.
 */
#define KH_CLIENT_CALLS_MAX 256u
#define KH_STRANGER_CALLS_MAX 32u
/* All connections' calls together whose user is not known yet, in bytes; and those of them that
 * GDBus reads, as of one user below. */
#define KH_STRANGERS_BYTES_MAX (16u * 1024 * 1024)
#define KH_STRANGERS_UNREAD_MAX (1024u * 1024)
/* Calls of one user, and their bytes; root, who must be heard, has more. */
#define KH_USER_CALLS_MAX 512u
#define KH_USER_BYTES_MAX (4u * 1024 * 1024)
/*
 * Those of one user that GDBus reads at once, in bytes: whoever calls next waits for it, which
 * takes some 30 ms of short texts, and takes sixty times as much memory.
 */
#define KH_USER_UNREAD_MAX KH_CALL_BYTES_MAX
#define KH_ROOT_FACTOR 8u
/* Refused calls that have not been told so, of one connection and of one user. */
#define KH_CLIENT_REFUSALS_MAX 128u
#define KH_USER_REFUSALS_MAX 1024u

typedef struct _KhClients KhClients;

KhClients *kh_clients_new(void);
void kh_clients_free(KhClients *self);

/**
 * KhCallFlags:
 * @KH_CALL_SILENT: nobody wants an answer
 * @KH_CALL_FAULTY: it is refused whatever there is room for
 */
typedef enum {
    KH_CALL_SILENT = 1 << 0,
    KH_CALL_FAULTY = 1 << 1,
} KhCallFlags;

/**
 * KhAdmission:
 * @KH_ADMITTED: the call is let in
 * @KH_REFUSED_CALL: the call is faulty
 * @KH_REFUSED_CLIENT: as many calls as one connection may have
 * @KH_REFUSED_USER: as many calls as one user may have
 * @KH_REFUSED_BYTES: as many bytes as one user's calls may have
 * @KH_DROPPED: it is not even told that it is refused: it wants no answer, or is one of too many
 *     refused ones, or has the serial number of another that waits, as no bus library's has
 */
typedef enum {
    KH_ADMITTED,
    KH_REFUSED_CALL,
    KH_REFUSED_CLIENT,
    KH_REFUSED_USER,
    KH_REFUSED_BYTES,
    KH_DROPPED,
} KhAdmission;

/*
 * Counts a call of @sender, a unique name, of @bytes, let in or refused, until
 * kh_clients_leave(); what is dropped is not counted. @is_new: it is the first that is counted
 * of this connection, whose user is to be found.
 */
KhAdmission kh_clients_enter(KhClients *self, const char *sender, guint32 serial, gsize bytes,
                             KhCallFlags flags, gboolean *is_new);

/* GDBus has read the call, which no longer keeps others waiting. FALSE: it was not let in. */
gboolean kh_clients_arrive(KhClients *self, const char *sender, guint32 serial);

/* The call is served in turn from now on, and so is its answer. */
void kh_clients_take_turns(KhClients *self, const char *sender, guint32 serial);

/* Whether the call is not served in turn, though somebody wants its answer. */
gboolean kh_clients_is_early(KhClients *self, const char *sender, guint32 serial);

/* The call has its answer. FALSE: it is one that nobody wants. */
gboolean kh_clients_leave(KhClients *self, const char *sender, guint32 serial);

/* The bus has said whose @sender is; his calls count as @uid's from now on. */
void kh_clients_set_user(KhClients *self, const char *sender, guint32 uid);

/* FALSE while it is not known. */
gboolean kh_clients_get_user(KhClients *self, const char *sender, guint32 *uid);

/* About what all calls that wait take, in bytes: their values, and some for each. */
gsize kh_clients_get_size(KhClients *self);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(KhClients, kh_clients_free)

G_END_DECLS
