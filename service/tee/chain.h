/* SPDX-License-Identifier: MIT */
/*
 * The chain of one report: the leaf whose key signed it, AMD's intermediate above that, AMD's
 * root. Chosen among what was handed over, then held to the checks C1 to C9.
 * Used by the verifier.
 */
#pragma once

#include "certificates.h"
#include "checks.h"
#include "extensions.h"
#include "policy.h"
#include "report.h"

G_BEGIN_DECLS

typedef struct {
    const KhCertificates *certificates; /* all that there are; owned by the caller */
    const KhCertificate *leaf;          /* NULL: none was found; so for the next two */
    const KhCertificate *intermediate;
    const KhCertificate *root;
    KhExtensions *extensions; /* of the leaf; NULL when they cannot be read */
    GError *extensions_error;
} KhChain;

/* What the checks hold it to. */
typedef struct {
    const KhAnchors *anchors;
    const KhPolicy *policy;
    const KhReport *report;
    KhProduct product; /* of the report, see kh_verifier_product() */
    gint64 time;       /* seconds since 1970 */
    GBytes *crl;       /* NULL: none was given */
    GBytes *newer_crl; /* another one, what that revokes is revoked too; NULL */
} KhChainUse;

/*
 * Chooses the likeliest of @certificates: a leaf under whose key the report verifies, an
 * intermediate that has signed it, a root that is trusted. A bad choice fails, it is never
 * believed. Transfer full.
 */
KhChain *kh_chain_choose(const KhCertificates *certificates, const KhReport *report,
                         const KhAnchors *anchors, gint64 time);

void kh_chain_free(KhChain *chain);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(KhChain, kh_chain_free)

/* Settles C1 to C9. */
void kh_chain_check(const KhChain *chain, const KhChainUse *use, KhChecks *checks);

G_END_DECLS
