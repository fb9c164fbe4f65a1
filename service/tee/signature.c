/* SPDX-License-Identifier: MIT */
/* RSASSA-PSS and ECDSA by libcrypto; see signature.h. */
#include "signature.h"

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/obj_mac.h>

#include "error.h"

#define RSA_BITS_MIN 4096
#define SALT_LENGTH 48
#define R_OFFSET 0x2a0
#define S_OFFSET 0x2e8
#define NUMBER_SIZE 72

static gboolean
fail(GError **error, const char *text)
{
    ERR_clear_error();
    return kh_error_set(error, KH_ERROR_FAILED, "%s", text);
}

/* Of SHA-384, with its parameters absent or NULL (RFC 4055, 2.1). */
static gboolean
is_sha384(const X509_ALGOR *algorithm)
{
    const ASN1_OBJECT *object = NULL;
    int type = V_ASN1_UNDEF;

    if (algorithm == NULL)
        return FALSE;
    X509_ALGOR_get0(&object, &type, NULL, algorithm);
    return OBJ_obj2nid(object) == NID_sha384 && (type == V_ASN1_UNDEF || type == V_ASN1_NULL);
}

/* The value of a parameter that is a SEQUENCE, all of it. */
static gpointer
unpack(const X509_ALGOR *algorithm, int nid, const ASN1_ITEM *item)
{
    const ASN1_OBJECT *object = NULL;
    const void *value = NULL;
    int type = V_ASN1_UNDEF;

    if (algorithm == NULL)
        return NULL;
    X509_ALGOR_get0(&object, &type, &value, algorithm);
    if (OBJ_obj2nid(object) != nid || type != V_ASN1_SEQUENCE)
        return NULL;
    return ASN1_item_unpack(value, item);
}

static gboolean
is_mgf1_sha384(const X509_ALGOR *algorithm)
{
    g_autoptr(X509_ALGOR) hash = unpack(algorithm, NID_mgf1, ASN1_ITEM_rptr(X509_ALGOR));

    return is_sha384(hash);
}

gboolean
kh_signature_is_pss384(const X509_ALGOR *algorithm, GError **error)
{
    g_autoptr(RSA_PSS_PARAMS) params =
        unpack(algorithm, NID_rsassaPss, ASN1_ITEM_rptr(RSA_PSS_PARAMS));

    if (params == NULL)
        return fail(error, "the signature is not RSASSA-PSS");
    if (!is_sha384(params->hashAlgorithm))
        return fail(error, "the signature's hash is not SHA-384");
    if (!is_mgf1_sha384(params->maskGenAlgorithm))
        return fail(error, "the signature's mask is not MGF1 of SHA-384");
    if (params->saltLength == NULL || ASN1_INTEGER_get(params->saltLength) != SALT_LENGTH)
        return fail(error, "the signature's salt does not have 48 bytes");
    if (params->trailerField != NULL && ASN1_INTEGER_get(params->trailerField) != 1)
        return fail(error, "the signature's trailer field is not 1");
    return TRUE;
}

gboolean
kh_signature_key_is_rsa4096(EVP_PKEY *key, GError **error)
{
    if (key == NULL || !EVP_PKEY_is_a(key, "RSA") || EVP_PKEY_get_bits(key) < RSA_BITS_MIN)
        return fail(error, "its key is not RSA of 4096 bits");
    return TRUE;
}

gboolean
kh_signature_key_is_p384(EVP_PKEY *key, GError **error)
{
    char group[32] = "";
    int explicit_curve = 0;

    if (key == NULL || !EVP_PKEY_is_a(key, "EC") ||
        !EVP_PKEY_get_group_name(key, group, sizeof group, NULL) ||
        OBJ_txt2nid(group) != NID_secp384r1)
        return fail(error, "its key is not on the curve P-384");
    if (EVP_PKEY_get_int_param(key, OSSL_PKEY_PARAM_EC_DECODED_FROM_EXPLICIT_PARAMS,
                               &explicit_curve) &&
        explicit_curve != 0)
        return fail(error, "its key does not name its curve but spells it out");
    return TRUE;
}

gboolean
kh_signature_verify_certificate(X509 *certificate, X509 *issuer, GError **error)
{
    EVP_PKEY *key = X509_get0_pubkey(issuer);
    const X509_ALGOR *algorithm;

    X509_get0_signature(NULL, &algorithm, certificate);
    if (!kh_signature_is_pss384(algorithm, error) || !kh_signature_key_is_rsa4096(key, error))
        return FALSE;
    /* Compares the algorithm within the signed part with this one, too. */
    if (X509_verify(certificate, key) != 1)
        return fail(error, "the issuer's key has not signed it");
    return TRUE;
}

gboolean
kh_signature_verify_crl(X509_CRL *crl, X509 *issuer, GError **error)
{
    EVP_PKEY *key = X509_get0_pubkey(issuer);
    const X509_ALGOR *algorithm;

    X509_CRL_get0_signature(crl, NULL, &algorithm);
    if (!kh_signature_is_pss384(algorithm, error) || !kh_signature_key_is_rsa4096(key, error))
        return FALSE;
    if (X509_CRL_verify(crl, key) != 1)
        return fail(error, "the root's key has not signed it");
    return TRUE;
}

static gboolean
number_is_in_range(const guint8 *data)
{
    g_autoptr(EC_GROUP) group = EC_GROUP_new_by_curve_name(NID_secp384r1);
    g_autoptr(BIGNUM) number = BN_lebin2bn(data, NUMBER_SIZE, NULL);

    return !BN_is_zero(number) && BN_cmp(number, EC_GROUP_get0_order(group)) < 0;
}

gboolean
kh_signature_is_in_range(const KhReport *report, GError **error)
{
    if (!number_is_in_range(report->raw + R_OFFSET))
        return fail(error, "the signature's r is not between 1 and the curve's order");
    if (!number_is_in_range(report->raw + S_OFFSET))
        return fail(error, "the signature's s is not between 1 and the curve's order");
    return TRUE;
}

/* The report's two little-endian numbers as libcrypto wants them. Freed by OPENSSL_free(). */
static int
encode(const KhReport *report, guint8 **der)
{
    g_autoptr(ECDSA_SIG) signature = ECDSA_SIG_new();

    ECDSA_SIG_set0(signature, BN_lebin2bn(report->raw + R_OFFSET, NUMBER_SIZE, NULL),
                   BN_lebin2bn(report->raw + S_OFFSET, NUMBER_SIZE, NULL));
    return i2d_ECDSA_SIG(signature, der);
}

gboolean
kh_signature_verify_report(const KhReport *report, EVP_PKEY *key, GError **error)
{
    g_autoptr(EVP_MD_CTX) context = EVP_MD_CTX_new();
    guint8 *der = NULL;
    gboolean good;
    int length;

    if (!kh_signature_is_in_range(report, error) || !kh_signature_key_is_p384(key, error))
        return FALSE;
    length = encode(report, &der);
    good = length > 0 && EVP_DigestVerifyInit(context, NULL, EVP_sha384(), NULL, key) == 1 &&
           EVP_DigestVerify(context, der, (size_t)length, report->raw, KH_REPORT_SIGNED_SIZE) == 1;
    OPENSSL_free(der);
    return good || fail(error, "the certificate's key has not signed the report");
}
