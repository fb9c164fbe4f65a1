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
    gboolean later;   /* one that was made after @time counts, for what it lists */
} KhCrlUse;

/* Whether the CRL in @bytes lists @certificate; nothing else of it is looked at. */
gboolean kh_crl_lists(GBytes *bytes, const KhCertificate *certificate);

/*
 * Whether the CRL in @bytes, DER or PEM, is the root's, is current, and lists neither of the
 * two certificates. KH_ERROR_FAILED names what is wrong.
 */
gboolean kh_crl_check(GBytes *bytes, const KhCrlUse *use, GError **error);

G_END_DECLS
