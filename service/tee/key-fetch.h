/* SPDX-License-Identifier: MIT */
/*
 * What the key service has for one report: the chain, then the chip's certificate and the list
 * of revoked intermediates, which are verified by the chain. Used by the verb attest.
 */
#pragma once

#include "key-service.h"
#include "key-trust.h"

G_BEGIN_DECLS

typedef struct {
    GBytes *crl;         /* NULL: it could not be had */
    GPtrArray *troubles; /* of char *, one sentence for each thing that could not be had */
} KhKeyFetch;

void kh_key_fetch_free(KhKeyFetch *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(KhKeyFetch, kh_key_fetch_free)

/*
 * Gets what belongs to @report of @product into @trust, which must live until the end. A VLEK
 * the service gives to nobody; it is left to who has it. A product that is unknown, a key that
 * signs nothing: nothing is asked.
 */
void kh_key_fetch_async(KhKeyService *service, KhKeyTrust *trust, const KhReport *report,
                        KhProduct product, GCancellable *cancellable, GAsyncReadyCallback callback,
                        gpointer user_data);

/* What could not be had is no error. KH_ERROR_CANCELLED. Transfer full. */
KhKeyFetch *kh_key_fetch_finish(GAsyncResult *result, GError **error);

G_END_DECLS
