/* SPDX-License-Identifier: MIT */
/*
 * The checks of the report itself: S1 to S7 of its structure, B1 to B4 of what binds it to the
 * certificate, V1 to V20 and V15a of what the verifier expects. What each id means stands in
 * verifier.c, which uses them.
 */
#pragma once

#include "chain.h"

G_BEGIN_DECLS

/* Settles S2 to S7. FALSE: the version is unknown, and nothing more can be read of it. */
gboolean kh_report_check_structure(const KhReport *report, KhChecks *checks);

/* Settles B1 to B4. */
void kh_report_check_binding(const KhReport *report, const KhChain *chain, KhProduct product,
                             const KhPolicy *policy, KhChecks *checks);

/* Settles V1 to V20, V15a and CSP, as far as something is asked. */
void kh_report_check_expectations(const KhReport *report, const KhChain *chain, KhProduct product,
                                  const KhPolicy *policy, KhChecks *checks);

G_END_DECLS
