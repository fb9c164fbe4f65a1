/* SPDX-License-Identifier: MIT */
/* Words to systemd during the start; see start-progress.h. */
#include "start-progress.h"

#include <systemd/sd-daemon.h>

struct _KhStartProgress {
    gint64 said_at; /* monotonic; 0: nothing yet */
};

KhStartProgress *
kh_start_progress_new(void)
{
    return g_new0(KhStartProgress, 1);
}

void
kh_start_progress_free(KhStartProgress *self)
{
    g_free(self);
}

void
kh_start_progress_note(KhStartProgress *self, const char *what, guint done, guint all)
{
    gint64 now = g_get_monotonic_time();
    g_autofree char *count = NULL;

    if (self == NULL || (self->said_at != 0 && now - self->said_at < G_USEC_PER_SEC))
        return;
    self->said_at = now;
    count = all > 0 ? g_strdup_printf(", %u of %u", done, all) : g_strdup("");
    sd_notifyf(0, "STATUS=%s%s\nEXTEND_TIMEOUT_USEC=%" G_GINT64_FORMAT, what, count,
               (gint64)KH_START_PROGRESS_STEP_S * G_USEC_PER_SEC);
}
