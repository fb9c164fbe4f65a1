/* SPDX-License-Identifier: MIT */
/* For every fuzz target: a warning of GLib is a finding. Called by libFuzzer and by the runner. */
#include <glib.h>
#include <stdio.h>
#include <stdlib.h>

#include "fuzz.h"

/* Aborts itself: what GLib does with a fatal one, a trap, leaves no input behind. */
static void
stop(const char *domain, GLogLevelFlags level, const char *message, gpointer data)
{
    fprintf(stderr, "ERROR: %s: %s\n", domain != NULL ? domain : "", message);
    if ((level & (G_LOG_LEVEL_ERROR | G_LOG_LEVEL_CRITICAL | G_LOG_LEVEL_WARNING)) != 0)
        abort();
}

int
LLVMFuzzerInitialize(int *argc, char ***argv)
{
    g_log_set_default_handler(stop, NULL);
    return 0;
}
