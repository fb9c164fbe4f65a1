/* SPDX-License-Identifier: MIT */
/* AMD's list of revoked intermediates, one per product. Used by the chain's check C8. */
#pragma once

#include "certificates.h"

G_BEGIN_DECLS

#define KH_CRL_SIZE_MAX (1024 * 1024)

/* Of one product's root. */
typedef struct {
    const KhCertificate *root;
    const KhCertificate *intermediate;
    gint64 time;      /* of the verification, seconds since 1970 */
    guint grace_days; /* for how long after its nextUpdate it still counts */
} KhCrlUse;

/*
 * Whether the CRL in @bytes, DER or PEM, is the root's, is current, and lists neither of the
 * two certificates. KH_ERROR_FAILED names what is wrong.
 */
gboolean kh_crl_check(GBytes *bytes, const KhCrlUse *use, GError **error);

G_END_DECLS
