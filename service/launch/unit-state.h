/* SPDX-License-Identifier: MIT */
/*
 * A unit of systemd at one moment, as its properties say. Read by systemd-bus.c, over and over;
 * judged by the systemd launcher.
 */
#pragma once

#include <gio/gio.h>

G_BEGIN_DECLS

/* One that systemd does not know is "inactive", "success". */
typedef struct {
    guint32 job;        /* a start or a stop that is under way or queued; 0: none */
    char *active_state; /* "active", "activating", "inactive", "failed" … */
    char *result;       /* "success", "exit-code", "oom-kill" … */
    char *status_text;  /* the last STATUS= of sd_notify(3), or "" */
    guint32 main_pid;   /* 0: of none */
    gint32 exit_code;   /* CLD_EXITED and so on; 0 while it runs */
    gint32 exit_status;
} KhUnitState;

void kh_unit_state_free(KhUnitState *state);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(KhUnitState, kh_unit_state_free)

/* Whether that is its active state. */
gboolean kh_unit_state_is(const KhUnitState *state, const char *active_state);

/* Neither running nor on the way to or from it. */
gboolean kh_unit_state_is_dead(const KhUnitState *state);

/* The object path of a unit. Transfer full. */
char *kh_unit_path(const char *unit);

/* Takes @state: NULL where systemd has not said it all. */
typedef void (*KhUnitStateRead)(KhUnitState *state, gpointer data);

/* Asks systemd for @unit; @read is always called, and later. */
void kh_unit_state_read(GDBusConnection *connection, const char *unit, KhUnitStateRead read,
                        gpointer data);

/* Whether @error, or NULL, came over the bus by one of these @names. */
gboolean kh_systemd_error_is(const GError *error, const char *const *names);

G_END_DECLS
