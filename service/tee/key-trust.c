/* SPDX-License-Identifier: MIT */
/* What is AMD's; see key-trust.h. */
#include "key-trust.h"

#include <string.h>

#include "crl.h"
#include "error.h"
#include "extensions.h"
#include "signature.h"

#define ORIGIN "the key service"

struct _KhKeyTrust {
    const KhAnchors *anchors;
    KhCertificates *taken;
};

KhKeyTrust *
kh_key_trust_new(const KhAnchors *anchors)
{
    KhKeyTrust *trust = g_new0(KhKeyTrust, 1);

    trust->anchors = anchors;
    trust->taken = kh_certificates_new();
    return trust;
}

void
kh_key_trust_free(KhKeyTrust *trust)
{
    if (trust == NULL)
        return;
    kh_certificates_free(trust->taken);
    g_free(trust);
}

const KhCertificates *
kh_key_trust_get_certificates(const KhKeyTrust *trust)
{
    return trust->taken;
}

static gboolean G_GNUC_PRINTF(2, 3) fail(GError **error, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    if (error != NULL)
        *error = g_error_new_valist(KH_ERROR, KH_ERROR_FAILED, format, arguments);
    va_end(arguments);
    return FALSE;
}

static gboolean
add(KhCertificates *certificates, GBytes *bytes, GError **error)
{
    gsize size;
    const guint8 *data = g_bytes_get_data(bytes, &size);

    return kh_certificates_add(certificates, data, size, ORIGIN, error);
}

/* The one of that role and product among those taken; NULL for none. */
static const KhCertificate *
find(const KhKeyTrust *trust, KhRole role, KhProduct product)
{
    for (guint i = 0; i < kh_certificates_get_length(trust->taken); i++) {
        const KhCertificate *one = kh_certificates_get(trust->taken, i);

        if (one->role == role && one->product == product)
            return one;
    }
    return NULL;
}

static gboolean
is_signed(const KhCertificate *one, const KhCertificate *issuer, GError **error)
{
    g_autoptr(GError) failure = NULL;

    if (!kh_certificate_names_issuer(one, issuer))
        return fail(error, "%s does not name %s as its issuer", one->subject, issuer->subject);
    if (kh_signature_verify_certificate(one->x509, issuer->x509, &failure))
        return TRUE;
    return fail(error, "%s is not signed by %s: %s", one->subject, issuer->subject,
                failure->message);
}

static gboolean
verify_chain(KhKeyTrust *trust, const KhKeyItem *item, GBytes *bytes, GError **error)
{
    g_autoptr(KhCertificates) pair = kh_certificates_new();
    KhRole wanted = item->kind == KH_KEY_VLEK_CHAIN ? KH_ROLE_ASVK : KH_ROLE_ASK;
    const KhCertificate *low, *root;

    if (!add(pair, bytes, error))
        return FALSE;
    if (kh_certificates_get_length(pair) != 2)
        return fail(error, "the chain is not two certificates");
    low = kh_certificates_get(pair, 0);
    root = kh_certificates_get(pair, 1);
    if (low->role != wanted || root->role != KH_ROLE_ARK || low->product != item->product ||
        root->product != item->product)
        return fail(error, "the chain is of %s and %s, not of the %s and the root of %s",
                    low->subject, root->subject, kh_role_name(wanted),
                    kh_product_name(item->product));
    if (!kh_anchors_trust(trust->anchors, root->sha256))
        return fail(error, "%s is not a root that is trusted", root->subject);
    return is_signed(root, root, error) && is_signed(low, root, error) &&
           add(trust->taken, bytes, error);
}

static gboolean
check_extensions(const KhKeyItem *item, const KhCertificate *leaf, GError **error)
{
    g_autoptr(KhExtensions) found = kh_extensions_read(leaf, error);
    gsize size =
        kh_product_is_turin_like(item->product) ? KH_REPORT_TURIN_ID_SIZE : KH_REPORT_CHIP_ID_SIZE;
    g_autofree char *tcb = NULL;

    if (found == NULL)
        return FALSE;
    tcb = kh_tcb_format(&found->tcb);
    if (found->product != item->product)
        return fail(error, "the certificate is of %s", found->product_name);
    if (found->hardware_id_length != size || memcmp(found->hardware_id, item->chip_id, size) != 0)
        return fail(error, "the certificate is of another chip");
    if (!kh_tcb_equal(&found->tcb, &item->tcb))
        return fail(error, "the certificate is of another TCB, %s", tcb);
    return TRUE;
}

static gboolean
verify_vcek(KhKeyTrust *trust, const KhKeyItem *item, GBytes *bytes, GError **error)
{
    g_autoptr(KhCertificates) one = kh_certificates_new();
    const KhCertificate *issuer = find(trust, KH_ROLE_ASK, item->product);
    const KhCertificate *leaf;

    if (issuer == NULL)
        return fail(error, "its chain has not been fetched yet; fetch the chain first");
    if (!add(one, bytes, error))
        return FALSE;
    leaf = kh_certificates_get(one, 0);
    if (kh_certificates_get_length(one) != 1 || leaf->role != KH_ROLE_VCEK)
        return fail(error, "the certificate is of %s, not of a VCEK", leaf->subject);
    return check_extensions(item, leaf, error) && is_signed(leaf, issuer, error) &&
           add(trust->taken, bytes, error);
}

static gboolean
verify_crl(KhKeyTrust *trust, const KhKeyItem *item, GBytes *bytes, GError **error)
{
    const KhCertificate *root = find(trust, KH_ROLE_ARK, item->product);
    gsize size;
    const guint8 *data = g_bytes_get_data(bytes, &size);
    g_autoptr(X509_CRL) crl = d2i_X509_CRL(NULL, &data, (long)size);

    if (root == NULL)
        return fail(error, "its chain has not been fetched yet; fetch the chain first");
    if (crl == NULL)
        return fail(error, "the revocation list cannot be read");
    if (X509_NAME_cmp(X509_CRL_get_issuer(crl), X509_get_subject_name(root->x509)) != 0)
        return fail(error, "the revocation list is not of %s", root->subject);
    return kh_signature_verify_crl(crl, root->x509, error);
}

gboolean
kh_key_trust_is_revoked(const KhKeyTrust *trust, const KhKeyItem *item, GBytes *bytes)
{
    KhRole role = item->kind == KH_KEY_VLEK_CHAIN ? KH_ROLE_ASVK : KH_ROLE_ASK;
    const KhCertificate *low = find(trust, role, item->product);

    return low != NULL && kh_crl_lists(bytes, low);
}

void
kh_key_trust_forget(KhKeyTrust *trust)
{
    kh_certificates_free(trust->taken);
    trust->taken = kh_certificates_new();
}

gboolean
kh_key_trust_verify(const KhKeyItem *item, GBytes *bytes, gpointer trust, GError **error)
{
    switch (item->kind) {
    case KH_KEY_VCEK_CHAIN:
    case KH_KEY_VLEK_CHAIN:
        return verify_chain(trust, item, bytes, error);
    case KH_KEY_VCEK_CRL:
    case KH_KEY_VLEK_CRL:
        return verify_crl(trust, item, bytes, error);
    case KH_KEY_VCEK:
        return verify_vcek(trust, item, bytes, error);
    case KH_KEY_VLEK:
    default:
        return fail(error, "the key service does not give that");
    }
}
