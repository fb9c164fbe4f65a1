/* SPDX-License-Identifier: MIT */
/*
 * Whether what the key service gave is AMD's, and is what was asked for: what its client keeps
 * only then. Says nothing about a report, nor about time and revocation, which the verifier's
 * checks do anew each time.
 */
#pragma once

#include "certificates.h"
#include "key-answer.h"

G_BEGIN_DECLS

typedef struct _KhKeyTrust KhKeyTrust;

/* @anchors must outlive it. */
KhKeyTrust *kh_key_trust_new(const KhAnchors *anchors);
void kh_key_trust_free(KhKeyTrust *trust);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(KhKeyTrust, kh_key_trust_free)

/*
 * A KhKeyVerify; @trust is a KhKeyTrust. A chain must end in one of the anchors. A VCEK must be
 * signed by the intermediate and a CRL by the root of a chain that has been had before: get the
 * chain first. A VCEK's extensions are those of the item. KH_ERROR_FAILED.
 */
gboolean kh_key_trust_verify(const KhKeyItem *item, GBytes *bytes, gpointer trust, GError **error);

/* Whether the CRL in @bytes lists the intermediate of the chain @item that it has taken. */
gboolean kh_key_trust_is_revoked(const KhKeyTrust *trust, const KhKeyItem *item, GBytes *bytes);

/* Drops all that it has taken. */
void kh_key_trust_forget(KhKeyTrust *trust);

/* All certificates that it has taken, for the verifier. */
const KhCertificates *kh_key_trust_get_certificates(const KhKeyTrust *trust);

G_END_DECLS
