/* SPDX-License-Identifier: MIT */
/*
 * What one sender may have waiting in the service. GDBus reads every message that comes and
 * queues its call for the main loop, without a bound; so calls are counted where they are
 * read, those included that GDBus answers by itself (properties, the list of objects), and
 * those that want no reply. What is too much is refused with KH_ERROR_LIMIT_EXCEEDED, without
 * the main loop.
 */
#pragma once

#include <gio/gio.h>

G_BEGIN_DECLS

/* Calls of one sender that have been read and not been answered. */
#define KH_INTAKE_CALLS_MAX 256
/* The values of one call: Katana's arguments are the most of it, 64 of 4 KiB. */
#define KH_INTAKE_BYTES_MAX (512u * 1024)

/* Watches over @connection, until it is gone; before a name is owned there. */
void kh_intake_watch(GDBusConnection *connection);

G_END_DECLS
