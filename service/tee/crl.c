/* SPDX-License-Identifier: MIT */
/* Revocation; see crl.h. */
#include "crl.h"

#include <openssl/err.h>
#include <openssl/pem.h>

#include "error.h"
#include "signature.h"

#define DAY (24 * 60 * 60)

/* What ASN1_TIME_cmp_time_t() returns besides -1, 0 and 1. */
#define UNREADABLE (-2)

static gboolean
fail(GError **error, const char *text)
{
    ERR_clear_error();
    return kh_error_set(error, KH_ERROR_FAILED, "%s", text);
}

/* The only one there: a second would go unread, and may revoke what the first does not. */
static X509_CRL *
read_pem(const guint8 *data, gsize length)
{
    g_autoptr(BIO) bio = BIO_new_mem_buf(data, (int)length);
    g_autoptr(X509_CRL) crl = PEM_read_bio_X509_CRL(bio, NULL, kh_certificate_no_password, NULL);
    g_autoptr(X509_CRL) second = PEM_read_bio_X509_CRL(bio, NULL, kh_certificate_no_password, NULL);

    /* The end is reached where no further block begins. */
    if (second != NULL || ERR_GET_REASON(ERR_peek_last_error()) != PEM_R_NO_START_LINE)
        return NULL;
    return g_steal_pointer(&crl);
}

static X509_CRL *
parse(GBytes *bytes, GError **error)
{
    gsize length;
    const guint8 *data = g_bytes_get_data(bytes, &length);
    const guint8 *end = data;
    g_autoptr(X509_CRL) crl = NULL;

    if (length == 0 || length > KH_CRL_SIZE_MAX) {
        fail(error, length == 0 ? "the CRL is empty" : "the CRL has more than 1 MiB");
        return NULL;
    }
    if (g_strstr_len((const char *)data, (gssize)length, "-----BEGIN X509 CRL-----") != NULL) {
        crl = read_pem(data, length);
    } else {
        crl = d2i_X509_CRL(NULL, &end, (long)length);
        if (crl != NULL && end != data + length)
            g_clear_pointer(&crl, X509_CRL_free);
    }
    if (crl == NULL)
        fail(error, "the CRL cannot be read: it is neither DER nor PEM of one list alone");
    return g_steal_pointer(&crl);
}

/* A list for some certificates only, or of changes, would say so in a critical extension. */
static gboolean
check_extensions(const X509_CRL *crl, GError **error)
{
    for (int i = 0; i < X509_CRL_get_ext_count(crl); i++)
        if (X509_EXTENSION_get_critical(X509_CRL_get_ext(crl, i)))
            return fail(error, "the CRL has a critical extension, which none of AMD's has");
    return TRUE;
}

static gboolean
check_issuer(const X509_CRL *crl, const KhCertificate *root, GError **error)
{
    const X509_NAME *issuer = X509_CRL_get_issuer(crl);
    g_autofree char *name = NULL;

    if (X509_NAME_cmp(issuer, X509_get_subject_name(root->x509)) == 0)
        return TRUE;
    name = kh_certificate_format_name(issuer);
    return kh_error_set(error, KH_ERROR_FAILED, "the CRL is of another issuer, %s", name);
}

static gboolean
check_time(const X509_CRL *crl, const KhCrlUse *use, GError **error)
{
    const ASN1_TIME *last = X509_CRL_get0_lastUpdate(crl);
    const ASN1_TIME *next = X509_CRL_get0_nextUpdate(crl);
    time_t due = (time_t)(use->time - (gint64)use->grace_days * DAY);
    int since, until;

    if (next == NULL)
        return fail(error, "the CRL does not say until when it holds");
    since = ASN1_TIME_cmp_time_t(last, (time_t)use->time);
    until = ASN1_TIME_cmp_time_t(next, due);
    if (since == UNREADABLE || until == UNREADABLE)
        return fail(error, "the CRL has a time that cannot be read");
    if (use->age == KH_CRL_OF_ANY_TIME)
        return TRUE;
    if (since == 1)
        return use->age == KH_CRL_CURRENT_OR_LATER ||
               fail(error, "the CRL is of a later time than the verification; give one of then");
    return until != -1 || fail(error, "the CRL is out of date: its nextUpdate has passed");
}

static gboolean
check_entries(X509_CRL *crl, const KhCertificate *certificate, GError **error)
{
    const ASN1_INTEGER *serial = X509_get0_serialNumber(certificate->x509);
    STACK_OF(X509_REVOKED) *revoked = X509_CRL_get_REVOKED(crl);

    for (int i = 0; i < sk_X509_REVOKED_num(revoked); i++) {
        const X509_REVOKED *one = sk_X509_REVOKED_value(revoked, i);

        if (ASN1_INTEGER_cmp(X509_REVOKED_get0_serialNumber(one), serial) == 0)
            return kh_error_set(error, KH_ERROR_FAILED, "%s is revoked", certificate->subject);
    }
    return TRUE;
}

gboolean
kh_crl_lists(GBytes *bytes, const KhCertificate *certificate)
{
    g_autoptr(X509_CRL) crl = parse(bytes, NULL);

    return crl != NULL && !check_entries(crl, certificate, NULL);
}

gboolean
kh_crl_check(GBytes *bytes, const KhCrlUse *use, GError **error)
{
    g_autoptr(X509_CRL) crl = parse(bytes, error);
    g_autoptr(GError) failure = NULL;

    if (crl == NULL || !check_issuer(crl, use->root, error))
        return FALSE;
    if (!kh_signature_verify_crl(crl, use->root->x509, &failure))
        return kh_error_set(error, KH_ERROR_FAILED, "the CRL is not authentic: %s",
                            failure->message);
    return check_extensions(crl, error) && check_time(crl, use, error) &&
           check_entries(crl, use->intermediate, error) && check_entries(crl, use->root, error);
}
