/* SPDX-License-Identifier: MIT */
/*
 * Puts the service together, in this order: folders locked, database loaded, objects
 * exported, bus name owned, what an earlier service has left taken over, READY=1. Run by main().
 */
#pragma once

#include "settings.h"

G_BEGIN_DECLS

/*
 * Serves until SIGTERM, SIGINT or SIGHUP; the machines go on. FALSE and @error when it could not
 * start, or when another service owns the name.
 */
gboolean kh_daemon_run(const KhSettings *settings, GError **error);

/*
 * An administrator's word that a database which knows nothing of folders and machines beside
 * it is to be lived with: noted in the database, told on stdout, nothing is served. FALSE and
 * @error where a service runs, or the database cannot be opened.
 */
gboolean kh_daemon_adopt_empty_state(const KhSettings *settings, GError **error);

G_END_DECLS
