/* SPDX-License-Identifier: MIT */
/*
 * How many descriptors the service may have, and whether some are to be had. Without any it
 * could neither look at machines nor answer, and GLib ends a process that cannot make the
 * descriptor it wakes a thread by: a reserve is kept for both. Asked before what takes some
 * for long (a start, a machine that is followed, a stream of a log), and by doctor.
 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* What one machine takes: two processes, one of them twice (GLib waits for its child by a
 * descriptor, too), its folder and two connections in it. */
#define KH_DESCRIPTORS_MACHINE 6

/* The soft limit of the process (RLIMIT_NOFILE). */
guint kh_descriptors_limit(void);

/* How many machines that suffices for, beside what the service itself and its reserve take. */
guint kh_descriptors_machines(void);

/*
 * Whether @wanted descriptors more can be had without touching the reserve; this opens one at
 * a time to see, and keeps none. Else KH_ERROR_RESOURCE_UNAVAILABLE with the limit and what
 * to do.
 */
gboolean kh_descriptors_check(guint wanted, GError **error);

/*
 * The same for what gives some back, a machine that is to end: but for the last quarter, which
 * is for the service itself, the reserve is for that.
 */
gboolean kh_descriptors_check_reserve(guint wanted, GError **error);

G_END_DECLS
