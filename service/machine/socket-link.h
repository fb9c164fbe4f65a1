/* SPDX-License-Identifier: MIT */
/*
 * A connection to one of the sockets that a machine's shim serves, tried for until it is there,
 * and again when it is lost. While it is not, a descriptor is kept for it, so that who asks
 * whether there are descriptors for one more machine hears of it, too. Used by the monitor and
 * by the run.
 */
#pragma once

#include "qemu/line-channel.h"

G_BEGIN_DECLS

typedef struct _KhSocketLink KhSocketLink;

/* @channel (taken) is there; NULL: not yet, after a try. */
typedef void (*KhSocketLinkFunction)(KhLineChannel *channel, gpointer user_data);

/*
 * Connects to @socket of @uid in a folder, from the next turn of the main loop on. @folder is
 * the owner's descriptor of that, -1 while it could not be opened; it and @socket outlive this.
 */
KhSocketLink *kh_socket_link_new(const int *folder, const char *socket, uid_t uid,
                                 KhSocketLinkFunction function, gpointer user_data);
void kh_socket_link_free(KhSocketLink *self);

/* The connection has gone: another one is tried for, @soon or after a second. */
void kh_socket_link_renew(KhSocketLink *self, gboolean soon);

/* Tries at once, if there is none. */
void kh_socket_link_try(KhSocketLink *self);

/* Tries no more. */
void kh_socket_link_end(KhSocketLink *self);

G_END_DECLS
