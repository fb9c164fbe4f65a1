/* SPDX-License-Identifier: MIT */
/*
 * The monitor of a machine's QEMU, for as long as that lives: commands, with what they return,
 * and events by name, over a connection that is made anew when it is lost. Owned by the run;
 * statistics and snapshots speak to QEMU by it.
 */
#pragma once

#include <json-glib/json-glib.h>
#include <sys/types.h>

G_BEGIN_DECLS

#define KH_TYPE_MONITOR (kh_monitor_get_type())
G_DECLARE_FINAL_TYPE(KhMonitor, kh_monitor, KH, MONITOR, GObject)

/*
 * @folder is the owner's descriptor of the folder with the socket, of @uid; it outlives this.
 * Signals: "paused" (gboolean: the virtual processors are halted, or go on; also told of a
 * machine that is found so, and of what follows in a hurry the latest); "event" (name,
 * JsonObject data or NULL; "event::NAME", such as JOB_STATUS_CHANGE, is one of that name).
 */
KhMonitor *kh_monitor_new(const int *folder, uid_t uid);

gboolean kh_monitor_is_connected(KhMonitor *self);

/*
 * Runs @command (QEMU QMP Reference Manual) with the members of @arguments, which may be NULL.
 * Finishes with what it returns, transfer full. KH_ERROR_MONITOR_LOST when the monitor is not
 * connected or does not answer, KH_ERROR_FAILED with QEMU's words.
 */
void kh_monitor_query_async(KhMonitor *self, const char *command, JsonObject *arguments,
                            GAsyncReadyCallback callback, gpointer user_data);
JsonNode *kh_monitor_query_finish(KhMonitor *self, GAsyncResult *result, GError **error);

/* The same without an answer, if it is connected: what comes of it is told by events. */
void kh_monitor_tell(KhMonitor *self, const char *command);

/* From now on a guest that reboots ends its machine, as -no-reboot has it. */
void kh_monitor_forbid_reboot(KhMonitor *self);

/**
 * KhMonitorAction:
 * @KH_MONITOR_PAUSE: halt the virtual processors
 * @KH_MONITOR_RESUME: let them go on
 * @KH_MONITOR_RESET: reset the machine, and let them go on; until kh_monitor_forbid_reboot() it
 *   may reboot, since SeaBIOS answers a reset with one of its own
 */
typedef enum {
    KH_MONITOR_PAUSE,
    KH_MONITOR_RESUME,
    KH_MONITOR_RESET,
} KhMonitorAction;

/* Does @action, in one or more commands. Errors: those of a query. */
void kh_monitor_do_async(KhMonitor *self, KhMonitorAction action, GAsyncReadyCallback callback,
                         gpointer user_data);
gboolean kh_monitor_do_finish(KhMonitor *self, GAsyncResult *result, GError **error);

/* Closes it for good, without a further signal. */
void kh_monitor_close(KhMonitor *self);

G_END_DECLS
