/* SPDX-License-Identifier: MIT */
/*
 * The service behind the bus's name, where it is not there yet: the bus starts it, and says
 * for 25 s nothing of a unit that has failed meanwhile. So systemd is asked what has become of
 * the unit, if it is on that bus. Used by client.c, once for each command.
 */
#pragma once

#include "cli.h"

G_BEGIN_DECLS

/*
 * Sees to it that somebody has the name on @cli's bus, unless the options forbid to start it.
 * Errors have the exit code 7, and say what to do.
 */
gboolean kh_activation_ensure(KhCli *cli, gboolean session, GError **error);

/* What is to be done about an error with the exit code 7, at its end; of others nothing. */
void kh_activation_advise(GError *error, gboolean session);

G_END_DECLS
