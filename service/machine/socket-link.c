/* SPDX-License-Identifier: MIT */
/* A connection that is tried for; see socket-link.h. */
#include "socket-link.h"

#include <fcntl.h>
#include <unistd.h>

#define FAST_MS 20 /* until the first connection, so often */
#define FAST_TRIES 250
#define SLOW_MS 1000

struct _KhSocketLink {
    const int *folder;
    const char *socket;
    uid_t uid;
    KhSocketLinkFunction function;
    gpointer user_data;
    int place; /* the descriptor that is kept for it; -1: none is */
    guint timer, tries;
    gboolean connected, ended;
};

static gboolean on_timer(gpointer data);

static void
try_later(KhSocketLink *self, guint delay_ms)
{
    if (self->timer == 0 && !self->ended)
        self->timer = g_timeout_add(delay_ms, on_timer, self);
}

static void
keep_place(KhSocketLink *self)
{
    if (self->place < 0 && *self->folder >= 0)
        self->place = fcntl(*self->folder, F_DUPFD_CLOEXEC, 0);
}

static void
give_place(KhSocketLink *self)
{
    if (self->place >= 0)
        close(self->place);
    self->place = -1;
}

KhSocketLink *
kh_socket_link_new(const int *folder, const char *socket, uid_t uid, KhSocketLinkFunction function,
                   gpointer user_data)
{
    KhSocketLink *self = g_new0(KhSocketLink, 1);

    self->folder = folder;
    self->socket = socket;
    self->uid = uid;
    self->function = function;
    self->user_data = user_data;
    self->place = -1;
    keep_place(self);
    try_later(self, 0);
    return self;
}

void
kh_socket_link_end(KhSocketLink *self)
{
    self->ended = TRUE;
    g_clear_handle_id(&self->timer, g_source_remove);
}

void
kh_socket_link_free(KhSocketLink *self)
{
    kh_socket_link_end(self);
    give_place(self);
    g_free(self);
}

/* In the place of the descriptor that was kept for it, and kept again where it fails. */
static KhLineChannel *
try_to_connect(KhSocketLink *self)
{
    KhLineChannel *channel = NULL;

    give_place(self);
    if (*self->folder >= 0)
        channel = kh_line_channel_connect(*self->folder, self->socket, self->uid, NULL);
    if (channel == NULL)
        keep_place(self);
    return channel;
}

void
kh_socket_link_try(KhSocketLink *self)
{
    KhLineChannel *channel;

    if (self->connected || self->ended)
        return;
    channel = try_to_connect(self);
    self->connected = channel != NULL;
    if (!self->connected)
        try_later(self, ++self->tries < FAST_TRIES ? FAST_MS : SLOW_MS);
    self->function(channel, self->user_data);
}

static gboolean
on_timer(gpointer data)
{
    KhSocketLink *self = data;

    self->timer = 0;
    kh_socket_link_try(self);
    return G_SOURCE_REMOVE;
}

void
kh_socket_link_renew(KhSocketLink *self, gboolean soon)
{
    self->connected = FALSE;
    keep_place(self);
    try_later(self, soon ? 0 : SLOW_MS);
}
