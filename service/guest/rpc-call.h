/* SPDX-License-Identifier: MIT */
/*
 * One JSON-RPC call of a guest's Katana. The answer is bounded in size and time, and is not
 * looked at. Used by evidence.c.
 */
#pragma once

#include <gio/gio.h>

G_BEGIN_DECLS

/*
 * Posts @body to http://@address:@port/, asked on the loopback (kh_port_loopback()). Errors:
 * KH_ERROR_TIMED_OUT, LIMIT_EXCEEDED (over KH_JSON_SIZE_MAX, or interim answers without end),
 * CANCELLED, FAILED.
 */
void kh_rpc_call_async(const char *address, guint16 port, const char *body,
                       GCancellable *cancellable, GAsyncReadyCallback callback, gpointer user_data);

/* The answer's bytes; transfer full. */
GBytes *kh_rpc_call_finish(GAsyncResult *result, GError **error);

G_END_DECLS
