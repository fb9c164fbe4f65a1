/* SPDX-License-Identifier: MIT */
/*
 * The QEMU Machine Protocol (QEMU docs/interop/qmp-spec), one connection for as long as
 * the service and QEMU both live. Used by the instance: opened at start, "quit" at stop.
 */
#pragma once

#include <json-glib/json-glib.h>

#include "line-channel.h"

G_BEGIN_DECLS

/* No command of ours takes QEMU longer; in milliseconds. */
#define KH_QMP_TIMEOUT_MS 5000

#define KH_TYPE_QMP_CLIENT (kh_qmp_client_get_type())
G_DECLARE_FINAL_TYPE(KhQmpClient, kh_qmp_client, KH, QMP_CLIENT, GObject)

/*
 * Speaks over @channel, which it begins. Commands may be given at once; they are sent
 * after the greeting and qmp_capabilities.
 * Signals: "event" (name, JsonObject data or NULL; "event::NAME" is one of that name),
 * "closed" (GError).
 */
KhQmpClient *kh_qmp_client_new(KhLineChannel *channel);

/*
 * Runs @command without arguments, or with the members of @arguments. Finishes with what
 * it returns, whatever that is, transfer full. Errors:
 * KH_ERROR_FAILED with QEMU's words, KH_ERROR_MONITOR_LOST when the connection is lost or
 * nothing comes within KH_QMP_TIMEOUT_MS.
 */
void kh_qmp_client_execute_async(KhQmpClient *self, const char *command, JsonObject *arguments,
                                 GAsyncReadyCallback callback, gpointer user_data);
JsonNode *kh_qmp_client_execute_finish(KhQmpClient *self, GAsyncResult *result, GError **error);

/* Fails what is pending with KH_ERROR_MONITOR_LOST and closes the connection. */
void kh_qmp_client_close(KhQmpClient *self);

G_END_DECLS
