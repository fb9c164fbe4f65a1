/* SPDX-License-Identifier: MIT */
/*
 * Asks an RPC endpoint whether it serves: GET / until it answers {"health":true}. Used
 * by a machine's run between Katana's start and "running".
 */
#pragma once

#include <gio/gio.h>

G_BEGIN_DECLS

/*
 * Asks http://@address:@port/ again and again, @interval_ms after each refusal, until it
 * answers or @cancellable is cancelled. It is asked on the loopback (kh_port_loopback()).
 */
void kh_rpc_probe_async(const char *address, guint16 port, guint interval_ms,
                        GCancellable *cancellable, GAsyncReadyCallback callback,
                        gpointer user_data);

/* TRUE when it has answered; KH_ERROR_CANCELLED else. */
gboolean kh_rpc_probe_finish(GAsyncResult *result, GError **error);

G_END_DECLS
