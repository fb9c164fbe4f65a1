/* SPDX-License-Identifier: MIT */
/*
 * Whether systemd starts the service with the host, without which no instance starts at boot:
 * the one place that asks. On the system bus that is the system's systemd, on a session bus
 * the user's own, which starts with the host only for a user who lingers (loginctl(1)). Used
 * by the service's doctor and by the command line.
 */
#pragma once

#include <gio/gio.h>

G_BEGIN_DECLS

#define KH_UNIT_NAME "katana-hypervisord.service"

/* Of the service's unit. */
typedef enum {
    KH_UNIT_FILE_UNKNOWN, /* there is no systemd, or it has not answered: nothing is said of it */
    KH_UNIT_FILE_ENABLED,
    KH_UNIT_FILE_DISABLED,
    KH_UNIT_FILE_MASKED,
    KH_UNIT_FILE_ABSENT,
} KhUnitFile;

/* What systemd's word for a state, such as "linked-runtime", means for the next boot. */
KhUnitFile kh_unit_file_parse(const char *state);

/* Asks the systemd on @bus, for two seconds at most; never fails. @bus may be NULL. */
void kh_unit_file_ask_async(GDBusConnection *bus, GAsyncReadyCallback callback, gpointer user_data);
KhUnitFile kh_unit_file_ask_finish(GAsyncResult *result);

/* Whether the systemd of the user of this process stays when the user has logged out. */
gboolean kh_unit_file_lingers(void);

/*
 * Whether instances start at boot by @state, in a @session for a user who @lingers or not; also
 * where nothing is known. Else *@found says why not and *@remedy gives the command that mends
 * it; transfer full, both.
 */
gboolean kh_unit_file_judge(KhUnitFile state, gboolean session, gboolean lingers, char **found,
                            char **remedy);

G_END_DECLS
