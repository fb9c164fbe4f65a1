/* SPDX-License-Identifier: MIT */
/* The back-off of automatic restarts; see backoff.h. */
#include "backoff.h"

void
kh_backoff_reset(KhBackoff *backoff)
{
    backoff->n = 0;
}

guint
kh_backoff_next(KhBackoff *backoff, gint64 now)
{
    gint64 *slot = &backoff->ends[backoff->n % KH_BACKOFF_LIMIT];
    gint64 window = (gint64)KH_BACKOFF_WINDOW_S * G_USEC_PER_SEC;
    guint doublings = MIN(backoff->n, 6);
    gboolean too_many = backoff->n >= KH_BACKOFF_LIMIT && now - *slot < window;

    *slot = now;
    backoff->n++;
    return too_many ? 0 : MIN(1u << doublings, KH_BACKOFF_MAX_S);
}
