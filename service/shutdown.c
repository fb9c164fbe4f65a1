/* SPDX-License-Identifier: MIT */
/* The end of the service; see shutdown.h. */
#include "shutdown.h"

struct _KhShutdown {
    GObject parent_instance;
    gboolean begun;
};

G_DEFINE_FINAL_TYPE(KhShutdown, kh_shutdown, G_TYPE_OBJECT)

enum { SIGNAL_BEGUN, N_SIGNALS };

static guint signals[N_SIGNALS];

static void
kh_shutdown_class_init(KhShutdownClass *class)
{
    signals[SIGNAL_BEGUN] = g_signal_new("begun", KH_TYPE_SHUTDOWN, G_SIGNAL_RUN_LAST, 0, NULL,
                                         NULL, NULL, G_TYPE_NONE, 0);
}

static void
kh_shutdown_init(KhShutdown *self)
{
}

KhShutdown *
kh_shutdown_new(void)
{
    return g_object_new(KH_TYPE_SHUTDOWN, NULL);
}

void
kh_shutdown_begin(KhShutdown *self)
{
    if (self->begun)
        return;
    self->begun = TRUE;
    g_signal_emit(self, signals[SIGNAL_BEGUN], 0);
}

gboolean
kh_shutdown_has_begun(KhShutdown *self)
{
    return self->begun;
}
