/* SPDX-License-Identifier: MIT */
/* Crash points of the tests' service: KH_CRASH_AT names one; see crash-point.h. */
#include "crash-point.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>

void
kh_crash_point(const char *name)
{
    const char *chosen = getenv("KH_CRASH_AT");

    if (chosen != NULL && strcmp(chosen, name) == 0)
        raise(SIGKILL);
}
