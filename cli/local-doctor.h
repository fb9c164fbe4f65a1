/* SPDX-License-Identifier: MIT */
/*
 * The doctor's checks made by the command line itself, where there is no service to make them:
 * what keeps it from starting may be among them. Used by the verb doctor.
 */
#pragma once

#include <gio/gio.h>

G_BEGIN_DECLS

/*
 * Checks this host for a service with its usual settings; @unreachable says why that is not
 * asked, and is the first finding. @bus: where it was looked for, NULL for none. @session: it is
 * one of a person's own. a(ssss) as of CheckHost; transfer full.
 */
GVariant *kh_local_doctor_check(const char *unreachable, GDBusConnection *bus, gboolean session);

G_END_DECLS
