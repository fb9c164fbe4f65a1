/* SPDX-License-Identifier: MIT */
/*
 * What a list of checks comes to. The one place where a verdict is decided; used for `report
 * verify` and for `attest`, which differ in the checks that they require.
 */
#pragma once

#include "checks.h"

G_BEGIN_DECLS

/* The first of these that fits. */
typedef enum {
    KH_VERDICT_FAILED,     /* a check failed, or a required one was skipped */
    KH_VERDICT_SIMULATED,  /* a mock quote, or a root that is not AMD's */
    KH_VERDICT_CONSISTENT, /* something was not expected by the verifier himself */
    KH_VERDICT_VERIFIED,
} KhVerdict;

/*
 * @simulated: the quote is a mock, or its root was trusted on the verifier's word. @doubts:
 * what keeps it from being verified and is no check (a legacy schema …), of char *; NULL for
 * none. A check whose expectation the host claims is a doubt as well.
 */
KhVerdict kh_verdict_decide(const KhChecks *checks, gboolean simulated, const GPtrArray *doubts);

/* "FAILED", "SIMULATED", "CONSISTENT", "VERIFIED"; static. */
const char *kh_verdict_name(KhVerdict verdict);

/* Of the program: 0 for VERIFIED, and for CONSISTENT when the host is trusted; else 1. */
int kh_verdict_exit_code(KhVerdict verdict, gboolean trust_host);

/*
 * The ids of the checks that failed, "B1, V9"; where none did, of the required ones that were
 * skipped; "" for none at all. Transfer full.
 */
char *kh_verdict_refusals(const KhChecks *checks);

/* Where a check failed, the ids of the required ones that were skipped, else "". Transfer full. */
char *kh_verdict_unreached(const KhChecks *checks);

G_END_DECLS
