/* SPDX-License-Identifier: MIT */
/*
 * Tells systemd that the service's start goes on, which takes its time with thousands of
 * instances: systemd would end it after TimeoutStartSec and begin anew. Made by the daemon;
 * called by the loops over all instances, and silent once the service is ready.
 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* What one step may take: the service may be silent for so long (sd_notify(3)). */
#define KH_START_PROGRESS_STEP_S 30

typedef struct _KhStartProgress KhStartProgress;

KhStartProgress *kh_start_progress_new(void);
void kh_start_progress_free(KhStartProgress *self);

/*
 * Says that @done of @all are done of @what ("Loading instances"), at most once a second; @all
 * is 0 where it is not known. @self is NULL after the start.
 */
void kh_start_progress_note(KhStartProgress *self, const char *what, guint done, guint all);

G_END_DECLS
