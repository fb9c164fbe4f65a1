/* SPDX-License-Identifier: MIT */
/*
 * When an instance that ended by itself starts again: after 1, 2, 4 … 60 s, and not at all
 * after more than 5 ends in 60 s. Arithmetic only; the instance has the timer.
 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

#define KH_BACKOFF_LIMIT 5
#define KH_BACKOFF_WINDOW_S 60
#define KH_BACKOFF_MAX_S 60

typedef struct {
    gint64 ends[KH_BACKOFF_LIMIT]; /* monotonic, the latest ones; a ring */
    guint n;                       /* ends in a row */
} KhBackoff;

/* Forgets all ends: after an operator's start, or a run of a window's length. */
void kh_backoff_reset(KhBackoff *backoff);

/*
 * Notes an end at @now (monotonic, microseconds). The delay in seconds until the next start,
 * or 0 when there were more ends than the limit within the window.
 */
guint kh_backoff_next(KhBackoff *backoff, gint64 now);

G_END_DECLS
