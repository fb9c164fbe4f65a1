/* SPDX-License-Identifier: MIT */
/* -H USER@HOST: the same command on another host, by ssh. Called by main() before a verb. */
#pragma once

#include "cli.h"

G_BEGIN_DECLS

/*
 * Runs the command of @argv on the host that it names with -H or --host, and sets @code to
 * its exit code: ssh's own failure is 7. With @refusal it is that error instead. FALSE where no
 * host is named: nothing was done.
 */
gboolean kh_remote_run(KhCli *cli, char **argv, const char *refusal, int *code);

G_END_DECLS
