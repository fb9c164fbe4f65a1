/* SPDX-License-Identifier: MIT */
/*
 * Verifies an attestation report: raw bytes, certificates, trust anchors, a clock and a policy
 * go in; the list of checks comes out. Called by the command line and by the attestation of an
 * instance, which adds checks of its own before the verdict.
 */
#pragma once

#include "chain.h"
#include "report-checks.h"
#include "verdict.h"

G_BEGIN_DECLS

typedef struct {
    const KhAnchors *anchors;
    const KhCertificates *certificates;
    const KhPolicy *policy;
    GBytes *crl;       /* NULL: none */
    gint64 time;       /* of verification, seconds since 1970 */
    GBytes *newer_crl; /* besides @crl, whatever their ages: what either revokes is; NULL */
} KhVerifierInput;

typedef struct {
    KhChecks *checks;
    KhReport *report; /* NULL: its size is wrong */
    KhChain *chain;   /* NULL: its version is unknown, or the above */
    KhProduct product;
    gboolean simulated;
} KhVerification;

/*
 * @data is the report as it came; reading may stop one byte after KH_REPORT_SIZE. Every check
 * has a result; nothing is an error. Borrows @input's certificates for as long as the result
 * lives. Transfer full.
 */
KhVerification *kh_verifier_run(const guint8 *data, gsize length, const KhVerifierInput *input);

/* The same list where there is no report at all, each check not applicable. Transfer full. */
KhVerification *kh_verifier_exempt(const char *reason);

void kh_verification_free(KhVerification *verification);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(KhVerification, kh_verification_free)

/*
 * The product of @report: what it names, or, for version 2, which names none, in this order:
 * what the policy says, the chain's, Turin where the chip id looks like one of those, Milan.
 */
KhProduct kh_verifier_product(const KhReport *report, const KhPolicy *policy, const KhChain *chain);

/*
 * What was asked of an authentic report and what not, or why it is refused; one line. Transfer
 * full.
 */
char *kh_verifier_summary(const KhChecks *checks);

G_END_DECLS
