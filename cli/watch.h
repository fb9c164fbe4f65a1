/* SPDX-License-Identifier: MIT */
/*
 * One object of the service, followed by its signals, never polled, and over restarts of the
 * service. Used by the verb wait, by operation.c and log-follow.c.
 */
#pragma once

#include "cli.h"

G_BEGIN_DECLS

typedef struct {
    KhCli *cli;
    const char *path, *interface;
    /* All properties (a{sv}), or those that have changed; of the types that they must have. */
    void (*take)(GVariant *properties, gpointer data);
    gpointer data;

    gboolean gone;   /* there is no such object */
    gboolean absent; /* the service is not there */
    gboolean broken; /* it has not been there all the time */

    gboolean look;      /* what it says now is not known */
    gboolean overtaken; /* it has said something newer meanwhile */
    GError *failure;
    guint owner, changed;
    gulong closed;
} KhWatch;

/* Begins to follow, on a bus that is connected; the fields before "gone" are the caller's. */
void kh_watch_begin(KhWatch *self);

/*
 * Waits for something to happen: here, on the main context, or until cli->deadline is cancelled.
 * FALSE and @error where the bus has gone, the service refuses, or says what it must not.
 */
gboolean kh_watch_next(KhWatch *self, GError **error);

void kh_watch_end(KhWatch *self);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(KhWatch, kh_watch_end)

G_END_DECLS
