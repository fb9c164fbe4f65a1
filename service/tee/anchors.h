/* SPDX-License-Identifier: MIT */
/*
 * Whom a verification trusts: fingerprints of root certificates, and those of intermediates
 * that need no revocation list. A parameter of the verifier; the installed programs give it
 * AMD's.
 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

#define KH_FINGERPRINT_SIZE 32

typedef struct _KhAnchors KhAnchors;

/* AMD's three roots, and the six intermediates of theirs that are known. Transfer full. */
KhAnchors *kh_anchors_new_amd(void);

/*
 * No root, for kh_anchors_add_root(); the intermediates are known as above. @simulated: a chain
 * that ends in them proves nothing about a processor, and no verdict but SIMULATED comes of it.
 */
KhAnchors *kh_anchors_new_empty(gboolean simulated);

void kh_anchors_free(KhAnchors *anchors);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(KhAnchors, kh_anchors_free)

/* Trusts the root whose DER has this SHA-256. */
void kh_anchors_add_root(KhAnchors *anchors, const guint8 sha256[KH_FINGERPRINT_SIZE]);

gboolean kh_anchors_trust(const KhAnchors *anchors, const guint8 sha256[KH_FINGERPRINT_SIZE]);

/* Whether that intermediate was good when this was written, and needs no CRL. */
gboolean kh_anchors_know(const KhAnchors *anchors, const guint8 sha256[KH_FINGERPRINT_SIZE]);

gboolean kh_anchors_are_simulated(const KhAnchors *anchors);

G_END_DECLS
