/* SPDX-License-Identifier: MIT */
/* The checks B1 to B4: the report belongs to the certificate; see report-checks.h. */
#include "report-checks.h"

#include <string.h>

#include "bytes.h"
#include "signature.h"

static void
check_signature(const KhReport *report, const KhChain *chain, KhChecks *checks)
{
    g_autoptr(GError) failure = NULL;

    if (kh_signature_verify_report(report, X509_get0_pubkey(chain->leaf->x509), &failure))
        kh_checks_pass(checks, "B1", NULL, NULL);
    else
        kh_checks_fail(checks, "B1", NULL, NULL, "%s: %s", chain->leaf->origin, failure->message);
}

static void
check_tcb(const KhReport *report, const KhChain *chain, KhProduct product, KhChecks *checks)
{
    KhTcb reported = kh_report_tcb(report, KH_REPORT_REPORTED_TCB, product);
    g_autofree char *expected = kh_tcb_format(&chain->extensions->tcb);
    g_autofree char *actual = kh_tcb_format(&reported);

    if (kh_tcb_equal(&reported, &chain->extensions->tcb))
        kh_checks_pass(checks, "B2", expected, actual);
    else
        kh_checks_fail(checks, "B2", expected, actual,
                       "the reported TCB is not the one of the certificate");
}

/* All 64 bytes, of which Turin uses the first 8. A masked id is nobody's, even where it fits. */
static void
check_chip(const KhReport *report, const KhChain *chain, const KhPolicy *policy, KhChecks *checks)
{
    const guint8 *id = kh_report_field(report, KH_REPORT_CHIP_ID, NULL);
    g_autofree char *expected =
        kh_bytes_to_hex(chain->extensions->hardware_id, chain->extensions->hardware_id_length);
    g_autofree char *actual = kh_bytes_to_hex(id, KH_REPORT_CHIP_ID_SIZE);

    if (!kh_bytes_are_zero(id, KH_REPORT_CHIP_ID_SIZE)) {
        if (memcmp(id, chain->extensions->hardware_id, KH_REPORT_CHIP_ID_SIZE) == 0)
            kh_checks_pass(checks, "B3", expected, actual);
        else
            kh_checks_fail(checks, "B3", expected, actual,
                           "the chip is not the one of the certificate");
        return;
    }
    kh_checks_set_source(checks, "B3", kh_policy_get(policy, KH_POLICY_ALLOW_MASKED_CHIP)->source);
    if (kh_policy_allows(policy, KH_POLICY_ALLOW_MASKED_CHIP))
        kh_checks_exempt(checks, "B3", "the chip id is masked, and the policy allows that");
    else
        kh_checks_fail(checks, "B3", expected, actual,
                       "the chip id is masked, and the policy does not say allow-masked-chip=true");
}

static void
check_signing_key(const KhReport *report, KhChecks *checks)
{
    g_autofree char *actual = g_strdup_printf("%u", report->signing_key);

    if (report->signing_key <= KH_SIGNING_KEY_VLEK)
        kh_checks_pass(checks, "B4", "0 (VCEK) or 1 (VLEK)", actual);
    else if (report->signing_key == KH_SIGNING_KEY_NONE)
        kh_checks_fail(checks, "B4", "0 (VCEK) or 1 (VLEK)", actual, "the report is not signed");
    else
        kh_checks_fail(checks, "B4", "0 (VCEK) or 1 (VLEK)", actual, "the kind of key is unknown");
}

void
kh_report_check_binding(const KhReport *report, const KhChain *chain, KhProduct product,
                        const KhPolicy *policy, KhChecks *checks)
{
    static const char *const ids[] = {"B1", "B2", "B3"};

    check_signing_key(report, checks);
    for (guint i = 0; chain->leaf == NULL && i < G_N_ELEMENTS(ids); i++)
        kh_checks_skip(checks, ids[i], "there is no VCEK or VLEK, see C4");
    if (chain->leaf == NULL)
        return;
    check_signature(report, chain, checks);
    for (guint i = 1; chain->extensions == NULL && i < G_N_ELEMENTS(ids); i++)
        kh_checks_skip(checks, ids[i], "the certificate's extensions cannot be read, see C5");
    if (chain->extensions == NULL)
        return;
    if (product == KH_PRODUCT_UNKNOWN)
        kh_checks_skip(checks, "B2", "the layout of an unknown product's TCB is unknown, see C6");
    else
        check_tcb(report, chain, product, checks);
    if (chain->leaf->role == KH_ROLE_VLEK)
        kh_checks_exempt(checks, "B3", "a VLEK belongs to a provider, not to a chip");
    else
        check_chip(report, chain, policy, checks);
}
