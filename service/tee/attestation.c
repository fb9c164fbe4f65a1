/* SPDX-License-Identifier: MIT */
/* From a host's answer to a verdict; see attestation.h. */
#include "attestation.h"

#include "bytes.h"

/* Katana asks for its reports from there (its crates/tee/src/snp.rs). */
#define KATANA_VMPL "1"

/* What passes on the host's word alone, and the options with which it would not. */
static const struct {
    const char *id, *text;
} host_words[] = {
    {"V9", "the measurement is claimed by the host; --measurement HEX, --build-info FILE or "
           "--ovmf FILE with kernel and initrd would settle it"},
    {"K3", "the chain id is claimed by the host; --chain-id ID would settle it"},
    {"K4", "the block is claimed by the host; --block N, --min-block N or --block-hash FELT "
           "would settle it"},
};

/* What no report says. */
static const char *const never_covered[] = {
    "Katana's arguments, its genesis and its chain folder: they are not measured",
    "ACPI tables: they are made by the host and not measured",
    "rollback: a host can start again from an older disk",
    "whether the machine still runs: the report says that it ran when it was made",
};

void
kh_attestation_free(KhAttestation *self)
{
    g_clear_pointer(&self->verification, kh_verification_free);
    g_clear_pointer(&self->claimed, g_ptr_array_unref);
    g_clear_pointer(&self->uncovered, g_ptr_array_unref);
    g_clear_pointer(&self->explanation, kh_explanation_free);
    g_free(self);
}

static void
say(GPtrArray *list, const char *text)
{
    g_ptr_array_add(list, g_strdup(text));
}

/* --- expectations -------------------------------------------------------------------- */

/* What attest asks whatever the verifier says, and what the host claims in his place. */
static void
complete_policy(KhAttestationInput *input)
{
    GBytes *claimed = input->claims.measurement;
    g_autofree char *hex = NULL;

    if (!kh_policy_has(input->policy, KH_POLICY_VMPL))
        kh_policy_set(input->policy, KH_POLICY_VMPL, KATANA_VMPL, KH_SOURCE_BUILT_IN, NULL);
    if (kh_policy_has(input->policy, KH_POLICY_MEASUREMENT) || claimed == NULL ||
        g_bytes_get_size(claimed) != KH_LAUNCH_DIGEST_SIZE)
        return;
    hex = kh_bytes_to_hex(g_bytes_get_data(claimed, NULL), KH_LAUNCH_DIGEST_SIZE);
    kh_policy_set(input->policy, KH_POLICY_MEASUREMENT, hex, KH_SOURCE_HOST, NULL);
}

/* The same of Katana; the fork is never the host's to say. */
static void
complete_katana(KhAttestationInput *input)
{
    KhKatanaExpectations *expected = &input->katana;
    guint64 block;

    if (expected->block.set || expected->min_block.set || expected->block_hash.set ||
        input->quote->schema == KH_QUOTE_BLOCK ||
        !kh_felt_to_u64(&input->quote->block_number, &block))
        return;
    expected->block = (KhExpectedNumber){TRUE, KH_SOURCE_HOST, block};
}

/* --- checks -------------------------------------------------------------------------- */

static KhVerification *
verify_quote(const KhAttestationInput *input, gboolean mock)
{
    const KhVerifierInput report = {
        .anchors = input->anchors,
        .certificates = input->certificates,
        .policy = input->policy,
        .crl = input->crl,
        .newer_crl = input->newer_crl,
        .time = input->time,
    };
    gsize length = 0;
    const guint8 *data = NULL;

    if (mock)
        return kh_verifier_exempt("a mock quote has no report");
    if (input->quote != NULL)
        data = g_bytes_get_data(input->quote->bytes, &length);
    return kh_verifier_run(data == NULL ? (const guint8 *)"" : data, length, &report);
}

static void
require(KhChecks *checks)
{
    static const char *const ids[] = {"V9", "V20"};

    for (guint i = 0; i < G_N_ELEMENTS(ids); i++)
        kh_checks_require(checks, ids[i]);
    kh_checks_skip(checks, "V9", "no measurement is expected");
    kh_checks_skip(checks, "V3", "not asked as such, see K2 and K3");
}

/* Without a chain id the hash in the report is all that there is: of a chain the host names. */
static void
accept_config(const KhAttestationInput *input, KhChecks *checks)
{
    g_autofree char *hash = kh_felt_to_string(&input->quote->config_hash);

    if (input->katana.chain_id.set || input->quote->schema != KH_QUOTE_CONFIG ||
        !kh_checks_passed(checks, "K2") || kh_checks_find(checks, "K3")->settled)
        return;
    kh_checks_set_source(checks, "K3", KH_SOURCE_HOST);
    kh_checks_pass(checks, "K3", NULL, hash);
}

static void
bind(KhAttestationInput *input, KhVerification *verification, gboolean mock)
{
    KhChecks *checks = verification->checks;
    g_autoptr(GError) failure = NULL;
    const guint8 *data;

    kh_katana_binding_add_checks(checks);
    if (input->quote == NULL) {
        kh_checks_fail(checks, "K1", NULL, NULL, "Katana's answer has no quote: %s",
                       input->quote_fault == NULL ? "there is none" : input->quote_fault);
        kh_checks_skip_rest(checks, "there is no quote, see K1");
        return;
    }
    if (!mock && verification->report == NULL) {
        kh_checks_skip_rest(checks, "there is no report, see S1");
        return;
    }
    complete_katana(input);
    data = kh_quote_report_data(input->quote, &failure);
    if (data == NULL)
        kh_checks_fail(checks, "K2", NULL, NULL, "%s", failure->message);
    else
        kh_katana_binding_run(checks, input->quote, data, &input->katana);
    accept_config(input, checks);
}

/* --- what is said besides ------------------------------------------------------------ */

static void
list_claimed(KhAttestation *self)
{
    const KhChecks *checks = self->verification->checks;

    for (guint i = 0; i < G_N_ELEMENTS(host_words); i++) {
        const KhCheck *check = kh_checks_find(checks, host_words[i].id);

        if (check->source == KH_SOURCE_HOST && check->status == KH_CHECK_PASSED)
            say(self->claimed, host_words[i].text);
    }
}

/* What keeps it from being verified and is no check. */
static void
add_doubts(const KhAttestationInput *input, KhAttestation *self)
{
    const KhReport *report = self->verification->report;

    if (input->quote != NULL && input->quote->schema != KH_QUOTE_UNKNOWN &&
        kh_quote_is_legacy(input->quote))
        g_ptr_array_add(self->claimed,
                        g_strdup_printf("the chain's configuration is claimed by the host: this "
                                        "Katana's schema (%s) does not bind it; a newer Katana "
                                        "would settle it",
                                        kh_quote_schema_name(input->quote)));
    if (input->quote != NULL && input->quote->schema == KH_QUOTE_BLOCK &&
        !input->katana.block_hash.set)
        say(self->claimed, "the block is claimed by the host; --block-hash FELT would settle it");
    if (report != NULL && report->signing_key == KH_SIGNING_KEY_VLEK &&
        !kh_policy_has(input->policy, KH_POLICY_CSP_ID))
        say(self->claimed, "the provider of the VLEK is claimed by the host; csp-id in the file "
                           "of --policy would settle it");
}

static void
list_uncovered(const KhAttestationInput *input, KhAttestation *self)
{
    for (guint i = 0; i < G_N_ELEMENTS(never_covered); i++)
        say(self->uncovered, never_covered[i]);
    if (kh_checks_find(self->verification->checks, "K6")->status == KH_CHECK_SKIPPED)
        say(self->uncovered, "the messages that the answer lists: they are not checked, see K6");
    if (!input->sealed)
        say(self->uncovered, "the disk: it is not known to be sealed (--sealed UUID)");
    if (!kh_policy_has(input->policy, KH_POLICY_MIN_REPORTED_TCB))
        say(self->uncovered, "the age of the processor's firmware: no least TCB was asked "
                             "(--min-tcb)");
}

/* Of a measurement that is not the verifier's own. It changes no verdict. */
static void
explain(const KhAttestationInput *input, KhAttestation *self)
{
    const KhCheck *check = kh_checks_find(self->verification->checks, "V9");
    g_autoptr(GError) failure = NULL;
    gsize length;

    if (check->status != KH_CHECK_FAILED || input->launch == NULL)
        return;
    self->explanation = kh_mismatch_search(
        input->launch, kh_report_field(self->verification->report, KH_REPORT_MEASUREMENT, &length),
        input->neighbours, &failure);
    if (self->explanation != NULL)
        return;
    self->explanation = g_new0(KhExplanation, 1);
    self->explanation->text = g_strdup_printf("No explanation was found: %s", failure->message);
}

KhAttestation *
kh_attestation_run(KhAttestationInput *input)
{
    KhAttestation *self = g_new0(KhAttestation, 1);
    gboolean mock = input->insecure_mock && input->quote != NULL && kh_quote_is_mock(input->quote);
    g_autoptr(GPtrArray) doubts = NULL;

    self->claimed = g_ptr_array_new_with_free_func(g_free);
    self->uncovered = g_ptr_array_new_with_free_func(g_free);
    complete_policy(input);
    self->verification = verify_quote(input, mock);
    require(self->verification->checks);
    bind(input, self->verification, mock);
    add_doubts(input, self);
    doubts = g_ptr_array_ref(self->claimed);
    self->verdict = kh_verdict_decide(self->verification->checks,
                                      mock || self->verification->simulated, doubts);
    list_claimed(self);
    list_uncovered(input, self);
    explain(input, self);
    return self;
}

char *
kh_attestation_summary(const KhAttestation *self)
{
    g_autofree char *refusals = kh_verdict_refusals(self->verification->checks);
    g_autofree char *unreached = kh_verdict_unreached(self->verification->checks);

    switch (self->verdict) {
    case KH_VERDICT_FAILED:
        return g_strdup_printf("refused by %s%s%s", refusals,
                               unreached[0] == '\0' ? "" : "; not reached: ", unreached);
    case KH_VERDICT_SIMULATED:
        return g_strdup("a simulation, which proves nothing about a processor");
    case KH_VERDICT_CONSISTENT:
        return g_strdup("a consistent story, which rests on the host's word in what is listed");
    case KH_VERDICT_VERIFIED:
    default:
        return g_strdup("all that was required holds, on the verifier's own expectations");
    }
}
