/* SPDX-License-Identifier: MIT */
/* AMD's list of revoked intermediates, one per product. Used by the chain's check C8. */
#pragma once

#include "certificates.h"

G_BEGIN_DECLS

#define KH_CRL_SIZE_MAX (1024 * 1024)

/* Of what time a CRL must be for what it lists to count. */
typedef enum {
    KH_CRL_CURRENT,          /* of the verification's: its nextUpdate has not passed */
    KH_CRL_CURRENT_OR_LATER, /* or one that was made after it */
    KH_CRL_OF_ANY_TIME,      /* besides another one that is current */
} KhCrlAge;

/* Of one product's root. */
typedef struct {
    const KhCertificate *root;
    const KhCertificate *intermediate;
    gint64 time;      /* of the verification, seconds since 1970 */
    guint grace_days; /* for how long after its nextUpdate it still counts */
    KhCrlAge age;
} KhCrlUse;

/* Whether the CRL in @bytes lists @certificate; nothing else of it is looked at. */
gboolean kh_crl_lists(GBytes *bytes, const KhCertificate *certificate);

/*
 * Whether the CRL in @bytes, DER or PEM, is the root's, is of the right time, and lists neither
 * of the two certificates. KH_ERROR_FAILED names what is wrong.
 */
gboolean kh_crl_check(GBytes *bytes, const KhCrlUse *use, GError **error);

G_END_DECLS
