/* SPDX-License-Identifier: MIT */
/* Which certificates make up a report's chain; see chain.h. */
#include "chain.h"

#include "signature.h"

void
kh_chain_free(KhChain *chain)
{
    g_clear_pointer(&chain->extensions, kh_extensions_free);
    g_clear_error(&chain->extensions_error);
    g_free(chain);
}

static gboolean
is_current(const KhCertificate *certificate, gint64 time)
{
    return ASN1_TIME_cmp_time_t(X509_get0_notBefore(certificate->x509), (time_t)time) <= 0 &&
           ASN1_TIME_cmp_time_t(X509_get0_notAfter(certificate->x509), (time_t)time) >= 0;
}

static guint
rate_leaf(const KhCertificate *leaf, const KhReport *report, gint64 time)
{
    KhRole role = report->signing_key == KH_SIGNING_KEY_VLEK ? KH_ROLE_VLEK : KH_ROLE_VCEK;
    gboolean signer = kh_signature_verify_report(report, X509_get0_pubkey(leaf->x509), NULL);

    return (signer ? 8 : 0) + (leaf->role == role ? 4 : 0) + (is_current(leaf, time) ? 2 : 0) + 1;
}

/* Those that are VCEK or VLEK. Borrows. */
static GPtrArray *
list_leaves(const KhCertificates *certificates)
{
    GPtrArray *leaves = g_ptr_array_new();

    for (guint i = 0; i < kh_certificates_get_length(certificates); i++) {
        const KhCertificate *one = kh_certificates_get(certificates, i);

        if (one->role == KH_ROLE_VCEK || one->role == KH_ROLE_VLEK)
            g_ptr_array_add(leaves, (gpointer)one);
    }
    return leaves;
}

static const KhCertificate *
choose_leaf(const KhCertificates *certificates, const KhReport *report, gint64 time)
{
    g_autoptr(GPtrArray) leaves = list_leaves(certificates);
    const KhCertificate *best = leaves->len > 0 ? leaves->pdata[0] : NULL;
    guint best_rate = 0;

    for (guint i = 0; leaves->len > 1 && i < leaves->len; i++) {
        guint rate = rate_leaf(leaves->pdata[i], report, time);

        if (rate > best_rate) {
            best = leaves->pdata[i];
            best_rate = rate;
        }
    }
    return best;
}

/* Those that @below may have been issued by, going by the name. Borrows. */
static GPtrArray *
list_issuers(const KhCertificates *certificates, const KhCertificate *below)
{
    GPtrArray *issuers = g_ptr_array_new();

    for (guint i = 0; below != NULL && i < kh_certificates_get_length(certificates); i++) {
        const KhCertificate *one = kh_certificates_get(certificates, i);

        if (kh_certificate_names_issuer(below, one))
            g_ptr_array_add(issuers, (gpointer)one);
    }
    return issuers;
}

/* Whether one of the trusted roots among them has signed it. */
static gboolean
is_below_root(const KhCertificate *certificate, const KhCertificates *certificates,
              const KhAnchors *anchors)
{
    g_autoptr(GPtrArray) issuers = list_issuers(certificates, certificate);

    for (guint i = 0; i < issuers->len; i++) {
        const KhCertificate *root = issuers->pdata[i];

        if (kh_anchors_trust(anchors, root->sha256) &&
            kh_signature_verify_certificate(certificate->x509, root->x509, NULL))
            return TRUE;
    }
    return FALSE;
}

static guint
rate_issuer(const KhCertificate *issuer, const KhCertificate *below,
            const KhCertificates *certificates, const KhAnchors *anchors)
{
    gboolean known =
        kh_anchors_trust(anchors, issuer->sha256) || kh_anchors_know(anchors, issuer->sha256);
    gboolean signer = kh_signature_verify_certificate(below->x509, issuer->x509, NULL);

    return (signer ? 8 : 0) + (known ? 4 : 0) +
           (is_below_root(issuer, certificates, anchors) ? 2 : 0) + 1;
}

/* Of several the one that signed, and that is known or stands below a root. */
static const KhCertificate *
choose_issuer(const KhCertificates *certificates, const KhCertificate *below,
              const KhAnchors *anchors)
{
    g_autoptr(GPtrArray) issuers = list_issuers(certificates, below);
    const KhCertificate *best = issuers->len > 0 ? issuers->pdata[0] : NULL;
    guint best_rate = 0;

    for (guint i = 0; issuers->len > 1 && i < issuers->len; i++) {
        guint rate = rate_issuer(issuers->pdata[i], below, certificates, anchors);

        if (rate > best_rate) {
            best = issuers->pdata[i];
            best_rate = rate;
        }
    }
    return best;
}

KhChain *
kh_chain_choose(const KhCertificates *certificates, const KhReport *report,
                const KhAnchors *anchors, gint64 time)
{
    KhChain *chain = g_new0(KhChain, 1);

    chain->certificates = certificates;
    chain->leaf = choose_leaf(certificates, report, time);
    chain->intermediate = choose_issuer(certificates, chain->leaf, anchors);
    chain->root = choose_issuer(certificates, chain->intermediate, anchors);
    if (chain->leaf != NULL)
        chain->extensions = kh_extensions_read(chain->leaf, &chain->extensions_error);
    return chain;
}
