/* SPDX-License-Identifier: MIT */
/*
 * Puts the service together, in this order: state folder locked, database loaded, machines
 * followed again, objects exported, bus name owned, READY=1. Run by main().
 */
#pragma once

#include "settings.h"

G_BEGIN_DECLS

/*
 * Serves until SIGTERM or SIGINT; the machines go on. FALSE and @error when it could not
 * start, or when another service owns the name.
 */
gboolean kh_daemon_run(const KhSettings *settings, GError **error);

G_END_DECLS
