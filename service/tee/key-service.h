/* SPDX-License-Identifier: MIT */
/*
 * The client of AMD's key service (KDS), with a cache before it. Nothing that it fetches is
 * believed or kept before the caller has verified it. One object per program: it asks for one
 * thing at a time, and so do several processes that share the cache.
 */
#pragma once

#include "http-get.h"
#include "key-answer.h"

G_BEGIN_DECLS

/* Plain HTTP is as good elsewhere, since everything is verified. */
#define KH_KEY_SERVICE_URL "https://kdsintf.amd.com"

#define KH_TYPE_KEY_SERVICE (kh_key_service_get_type())
G_DECLARE_FINAL_TYPE(KhKeyService, kh_key_service, KH, KEY_SERVICE, GObject)

/* Zeroed: AMD's service, the user's cache, today, the usual limits. */
typedef struct {
    const char *url;     /* without a trailing slash */
    const char *folder;  /* of the cache */
    gboolean offline;    /* only the cache is asked */
    gint64 now;          /* for a CRL's nextUpdate, seconds since 1970; 0: the clock */
    KhHttpLimits limits; /* but for size_max, which is that of the thing; 0: the usual one */
} KhKeyServiceOptions;

/*
 * Whether @bytes are truly the @item: of its product, signed as they must be, a VCEK for its
 * chip and TCB. Called with what has the right shape. The error says what they are instead.
 */
typedef gboolean (*KhKeyVerify)(const KhKeyItem *item, GBytes *bytes, gpointer data,
                                GError **error);

typedef enum {
    KH_KEY_FROM_SERVICE,
    KH_KEY_FROM_CACHE,
} KhKeyOrigin;

/* KH_ERROR_INVALID_ARGUMENT for an address that is none. Transfer full. */
KhKeyService *kh_key_service_new(const KhKeyServiceOptions *options, GError **error);

/*
 * Gets @item: from the cache if it is there and @verify still takes it, else from the service.
 * A certificate is never asked for twice; a CRL is, past its nextUpdate, which offline is left
 * to who uses it. @verify and its data must live until the end. One that is cancelled while it
 * waits for its turn ends when that comes.
 */
void kh_key_service_get_async(KhKeyService *self, const KhKeyItem *item, KhKeyVerify verify,
                              gpointer verify_data, GCancellable *cancellable,
                              GAsyncReadyCallback callback, gpointer user_data);

gboolean kh_key_service_is_offline(KhKeyService *self);

/* What the cache has of @item, verified by nobody; NULL: nothing. Transfer full. */
GBytes *kh_key_service_peek(KhKeyService *self, const KhKeyItem *item);

/*
 * The bytes, verified. Besides the errors of kh_key_item_check(), kh_http_get_finish() and
 * @verify: KH_ERROR_NOT_FOUND offline for what is not in the cache. @origin may be NULL.
 * Transfer full.
 */
GBytes *kh_key_service_get_finish(KhKeyService *self, GAsyncResult *result, KhKeyOrigin *origin,
                                  GError **error);

G_END_DECLS
