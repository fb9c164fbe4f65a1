/* SPDX-License-Identifier: MIT */
/*
 * The attestation of an instance: what its host has answered, held to what the verifier
 * expects. Everything of the host's is a claim; what only the host has said never makes more
 * than a consistent story. Run by the verb attest, in the verifier's own process.
 */
#pragma once

#include "katana-binding.h"
#include "mismatch-search.h"
#include "verifier.h"

G_BEGIN_DECLS

/* What the host says besides the quote; each NULL or unset where it says nothing. */
typedef struct {
    GBytes *measurement; /* 48 bytes: what it expects itself */
    gboolean has_block_time;
    guint64 block_time; /* seconds since 1970 */
} KhHostClaims;

typedef struct {
    const KhAnchors *anchors;
    const KhCertificates *certificates; /* of everybody; none is trusted for its origin */
    GBytes *crl;                        /* NULL: none; never the host's */
    GBytes *newer_crl;                  /* see KhVerifierInput */
    gint64 time;                        /* of verification, seconds since 1970 */
    KhPolicy *policy;                   /* the verifier's; what attest always asks is added */
    KhKatanaExpectations katana;        /* the verifier's; what it leaves open is claimed */
    gboolean insecure_mock;             /* a mock quote is looked at */
    gboolean sealed;                    /* the measurement that is expected seals the disk */
    const KhLaunch *launch;             /* what is expected to run, for a mismatch; NULL */
    const KhNeighbours *neighbours;     /* at hand for that; NULL */
    const KhQuote *quote;               /* NULL: the answer holds none */
    const char *quote_fault;            /* why not */
    KhHostClaims claims;
} KhAttestationInput;

typedef struct {
    KhVerification *verification; /* with all checks, K1 to K6 among them */
    KhVerdict verdict;
    GPtrArray *claimed;   /* of char *: what rests on the host's word, and what would settle it */
    GPtrArray *uncovered; /* of char *: what no verdict says anything about */
    KhExplanation *explanation; /* of a measurement that differs; NULL: none was looked for */
} KhAttestation;

/*
 * Runs all checks. Nothing is an error: what cannot be checked fails. Borrows certificates and
 * anchors as kh_verifier_run() does. Transfer full.
 */
KhAttestation *kh_attestation_run(KhAttestationInput *input);

void kh_attestation_free(KhAttestation *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(KhAttestation, kh_attestation_free)

/* Why it comes to this verdict, in one line; transfer full. */
char *kh_attestation_summary(const KhAttestation *self);

G_END_DECLS
