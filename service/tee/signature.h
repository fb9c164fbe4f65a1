/* SPDX-License-Identifier: MIT */
/*
 * The two kinds of signature there are: RSASSA-PSS with SHA-384 of certificates and CRLs, and
 * ECDSA on P-384 of reports. Used by the chain, the CRL and the binding checks.
 */
#pragma once

#include "openssl-autoptr.h"
#include "report.h"

G_BEGIN_DECLS

/*
 * Whether @algorithm is exactly RSASSA-PSS with SHA-384, MGF1 of SHA-384, a salt of 48 bytes and
 * the usual trailer, written out or not. KH_ERROR_FAILED says what it is instead.
 */
gboolean kh_signature_is_pss384(const X509_ALGOR *algorithm, GError **error);

/* Whether @key is RSA of at least 4096 bits, as AMD's are. KH_ERROR_FAILED. */
gboolean kh_signature_key_is_rsa4096(EVP_PKEY *key, GError **error);

/* Whether @key is on the named curve P-384. KH_ERROR_FAILED. */
gboolean kh_signature_key_is_p384(EVP_PKEY *key, GError **error);

/* Whether @issuer's key has signed @certificate so; its algorithm too. KH_ERROR_FAILED. */
gboolean kh_signature_verify_certificate(X509 *certificate, X509 *issuer, GError **error);

/* The same for a CRL. */
gboolean kh_signature_verify_crl(X509_CRL *crl, X509 *issuer, GError **error);

/* Whether r and s of the report are 1 to n - 1. KH_ERROR_FAILED. */
gboolean kh_signature_is_in_range(const KhReport *report, GError **error);

/* Whether the report's signed bytes verify under @key, of P-384. KH_ERROR_FAILED. */
gboolean kh_signature_verify_report(const KhReport *report, EVP_PKEY *key, GError **error);

G_END_DECLS
