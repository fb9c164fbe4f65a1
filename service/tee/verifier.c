/* SPDX-License-Identifier: MIT */
/* From a report to its checks; see verifier.h. */
#include "verifier.h"

#include <string.h>

/*
 * The one list of the checks of a report; those of Katana's binding, K1 to K6, are added by
 * katana-binding.c. TRUE: required whatever the policy says.
 */
static const KhCheckRow rows[] = {
    {"S1", "the report has 1184 bytes", TRUE},
    {"S2", "its version is known", TRUE},
    {"S3", "it is signed with ECDSA P-384", TRUE},
    {"S4", "the reserved bits of its policy are right", TRUE},
    {"S5", "the reserved bits of its key info are zero", TRUE},
    {"S6", "its reserved bytes are zero", TRUE},
    {"S7", "its signature is well-formed", TRUE},
    {"C1", "root and intermediate are as AMD makes them", TRUE},
    {"C2", "the root is trusted", TRUE},
    {"C3", "each certificate is signed by the one above", TRUE},
    {"C4", "the leaf is as AMD makes it", TRUE},
    {"C5", "AMD's extensions are all there, once", TRUE},
    {"C6", "report and chain are of one product", TRUE},
    {"C7", "the certificates are valid at that time", TRUE},
    {"C8", "the intermediate is not revoked", TRUE},
    {"C9", "the kind of key is the one that the report names", TRUE},
    {"B1", "the leaf's key has signed the report", TRUE},
    {"B2", "the leaf is for the reported TCB", TRUE},
    {"B3", "the leaf is for the report's chip", TRUE},
    {"B4", "the report is signed by a VCEK or VLEK", TRUE},
    {"V1", "guest SVN", FALSE},
    {"V2", "guest policy, without DEBUG and MIGRATE_MA", TRUE},
    {"V3", "report data", FALSE},
    {"V4", "host data", FALSE},
    {"V5", "family id", FALSE},
    {"V6", "image id", FALSE},
    {"V7", "report id", FALSE},
    {"V8", "report id of the migration agent", FALSE},
    {"V9", "measurement", FALSE},
    {"V10", "chip id", FALSE},
    {"V11", "committed TCB", FALSE},
    {"V12", "launch TCB", FALSE},
    {"V13", "reported TCB and certificate (B2)", TRUE},
    {"V14", "the certificate's TCB is at most the current one", TRUE},
    {"V15", "reported TCB", FALSE},
    {"V15a", "reported, committed and current TCB ascend", TRUE},
    {"V16", "firmware version", FALSE},
    {"V17", "platform", FALSE},
    {"V18", "identity key and author key", FALSE},
    {"V19", "mitigations", FALSE},
    {"V20", "privilege level", FALSE},
    {"CSP", "provider of a VLEK", FALSE},
};

/* What the summary tells of, asked or not. */
static const struct {
    const char *id, *name;
} main_questions[] = {
    {"V9", "measurement"},
    {"V3", "report data"},
    {"CSP", "provider"},
};

void
kh_verification_free(KhVerification *verification)
{
    kh_checks_free(verification->checks);
    g_free(verification->report);
    g_clear_pointer(&verification->chain, kh_chain_free);
    g_free(verification);
}

static KhProduct
product_of_chain(const KhChain *chain)
{
    if (chain == NULL)
        return KH_PRODUCT_UNKNOWN;
    if (chain->extensions != NULL && chain->extensions->product != KH_PRODUCT_UNKNOWN)
        return chain->extensions->product;
    return chain->root != NULL ? chain->root->product : KH_PRODUCT_UNKNOWN;
}

KhProduct
kh_verifier_product(const KhReport *report, const KhPolicy *policy, const KhChain *chain)
{
    KhProduct given = product_of_chain(chain);

    if (report->version >= 3)
        return kh_report_product(report);
    if (kh_policy_has(policy, KH_POLICY_PRODUCT))
        return (KhProduct)kh_policy_get(policy, KH_POLICY_PRODUCT)->number;
    if (given != KH_PRODUCT_UNKNOWN)
        return given;
    return kh_report_has_turin_chip_id(report) ? KH_PRODUCT_TURIN : KH_PRODUCT_MILAN;
}

static void
check_size(KhVerification *self, const guint8 *data, gsize length)
{
    g_autoptr(GError) failure = NULL;
    g_autofree char *actual = g_strdup_printf("%" G_GSIZE_FORMAT, length);

    self->report = kh_report_new(data, length, &failure);
    if (self->report != NULL)
        kh_checks_pass(self->checks, "S1", "1184", actual);
    else
        kh_checks_fail(self->checks, "S1", "1184", actual, "%s", failure->message);
}

static void
check_report(KhVerification *self, const KhVerifierInput *input)
{
    KhChainUse use = {
        .anchors = input->anchors,
        .policy = input->policy,
        .report = self->report,
        .time = input->time,
        .crl = input->crl,
        .newer_crl = input->newer_crl,
    };

    self->chain = kh_chain_choose(input->certificates, self->report, input->anchors, input->time);
    self->product = kh_verifier_product(self->report, input->policy, self->chain);
    use.product = self->product;
    kh_chain_check(self->chain, &use, self->checks);
    kh_report_check_binding(self->report, self->chain, self->product, input->policy, self->checks);
    kh_report_check_expectations(self->report, self->chain, self->product, input->policy,
                                 self->checks);
}

KhVerification *
kh_verifier_run(const guint8 *data, gsize length, const KhVerifierInput *input)
{
    KhVerification *self = g_new0(KhVerification, 1);

    self->checks = kh_checks_new();
    self->simulated = kh_anchors_are_simulated(input->anchors);
    kh_checks_add(self->checks, rows, G_N_ELEMENTS(rows));
    check_size(self, data, length);
    if (self->report == NULL)
        kh_checks_skip_rest(self->checks, "the size of the report is wrong, see S1");
    else if (kh_report_check_structure(self->report, self->checks))
        check_report(self, input);
    else
        kh_checks_skip_rest(self->checks, "the report's version is unknown, see S2");
    return self;
}

KhVerification *
kh_verifier_exempt(const char *reason)
{
    KhVerification *self = g_new0(KhVerification, 1);

    self->checks = kh_checks_new();
    self->simulated = TRUE;
    kh_checks_add(self->checks, rows, G_N_ELEMENTS(rows));
    for (guint i = 0; i < G_N_ELEMENTS(rows); i++)
        kh_checks_exempt(self->checks, rows[i].id, "%s", reason);
    return self;
}

/* Whether the report itself is refused, and not only what it says. */
static gboolean
is_authentic(const KhChecks *checks)
{
    for (guint i = 0; i < kh_checks_get_length(checks); i++) {
        const KhCheck *check = kh_checks_get(checks, i);

        if (strchr("SCB", check->id[0]) == NULL || g_str_equal(check->id, "CSP"))
            continue;
        if (check->status == KH_CHECK_FAILED || check->status == KH_CHECK_SKIPPED)
            return FALSE;
    }
    return TRUE;
}

/* "measurement, report data and provider"; "" when all were asked. */
static char *
list_unasked(const KhChecks *checks)
{
    g_autoptr(GPtrArray) names = g_ptr_array_new();
    g_autoptr(GString) text = g_string_new(NULL);

    for (guint i = 0; i < G_N_ELEMENTS(main_questions); i++)
        if (kh_checks_find(checks, main_questions[i].id)->status == KH_CHECK_SKIPPED)
            g_ptr_array_add(names, (gpointer)main_questions[i].name);
    for (guint i = 0; i < names->len; i++)
        g_string_append_printf(text, "%s%s",
                               i == 0                ? ""
                               : i + 1 == names->len ? " and "
                                                     : ", ",
                               (const char *)names->pdata[i]);
    return g_strdup(text->str);
}

char *
kh_verifier_summary(const KhChecks *checks)
{
    g_autofree char *refusals = kh_verdict_refusals(checks);
    g_autofree char *unreached = kh_verdict_unreached(checks);
    g_autofree char *unasked = list_unasked(checks);
    const char *also = unreached[0] == '\0' ? "" : "; not reached: ";

    if (!is_authentic(checks))
        return g_strdup_printf("not shown to be authentic; refused by %s%s%s", refusals, also,
                               unreached);
    if (refusals[0] != '\0')
        return g_strdup_printf("authentic report, but refused by %s%s%s", refusals, also,
                               unreached);
    if (unasked[0] == '\0')
        return g_strdup("authentic report; measurement and report data as expected");
    return g_strdup_printf("authentic report; %s not asked", unasked);
}
