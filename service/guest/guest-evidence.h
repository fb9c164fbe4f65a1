/* SPDX-License-Identifier: MIT */
/*
 * What a running confidential guest has to say for itself: a quote and facts about its block
 * from its Katana, and the certificates that lie on this host. The guest is not trusted:
 * answers are bounded in size and time, and passed on without a judgement. Used by the bus
 * object Tee.
 */
#pragma once

#include <gio/gio.h>

G_BEGIN_DECLS

/* What is asked; owned by the caller. */
typedef struct {
    const char *address; /* of the RPC endpoint */
    guint16 port;
    gboolean latest; /* instead of @block */
    guint64 block;
    gboolean before;  /* instead of @prev: the one before the block */
    gboolean genesis; /* the range begins with the first block */
    guint64 prev;
    const char *certificates; /* the folder */
} KhEvidenceRequest;

/*
 * Finishes with an a{sv} as org.katana.Hypervisor.Tee documents it, without "simulated".
 * Errors: KH_ERROR_INVALID_ARGUMENT, NOT_SUPPORTED, TIMED_OUT, LIMIT_EXCEEDED, FAILED.
 */
void kh_evidence_gather_async(const KhEvidenceRequest *request, GAsyncReadyCallback callback,
                              gpointer user_data);
GVariant *kh_evidence_gather_finish(GAsyncResult *result, GError **error);

G_END_DECLS
