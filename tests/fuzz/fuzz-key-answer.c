/* SPDX-License-Identifier: MIT */
/* Fuzz target: what AMD's key service gives, certificates, chains and revocation lists. */
#include "fuzz.h"
#include "key-trust.h"

static void
try_kind(KhKeyKind kind, GBytes *bytes, KhKeyTrust *trust)
{
    KhKeyItem item = {.kind = kind, .product = KH_PRODUCT_MILAN, .tcb = kh_tcb_none()};
    g_autoptr(GError) error = NULL;
    gint64 this_update, next_update;

    if (!kh_key_answer_check(kind, bytes, &error)) {
        g_assert(error != NULL);
        return;
    }
    if (kh_key_kind_is_crl(kind))
        kh_key_answer_get_updates(bytes, &this_update, &next_update);
    /* No private key of a trusted root is known here. */
    g_assert(!kh_key_trust_verify(&item, bytes, trust, &error));
    g_assert(error != NULL);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autoptr(GBytes) bytes = g_bytes_new(data, size);
    g_autoptr(KhAnchors) anchors = kh_anchors_new_empty(FALSE);
    g_autoptr(KhKeyTrust) trust = kh_key_trust_new(anchors);

    try_kind(KH_KEY_VCEK, bytes, trust);
    try_kind(KH_KEY_VCEK_CHAIN, bytes, trust);
    try_kind(KH_KEY_VLEK_CHAIN, bytes, trust);
    try_kind(KH_KEY_VCEK_CRL, bytes, trust);
    return 0;
}
