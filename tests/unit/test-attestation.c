/* SPDX-License-Identifier: MIT */
/*
 * Tests of attestation with a processor of the test's own: a true story comes out as VERIFIED,
 * and each lie, each thing that the verifier does not bring himself, as less.
 */
#include <openssl/sha.h>
#include <string.h>

#include "attest-story.h"
#include "attestation.h"
#include "bytes.h"

#define NOW (KH_TEST_BEGIN + KH_TEST_YEAR / 2)
/* The field's prime and 0xb07: the same commitment, another number. */
#define NOT_CANONICAL "0x800000000000011000000000000000000000000000000000000000000000b08"
#define MEASUREMENT 0x90

typedef struct {
    KhTestStory story;
    KhAttestationInput input;
    gboolean simulated, untrusted;
    gboolean no_root, no_intermediate, no_leaf, no_crl;
    gboolean no_measurement; /* the verifier expects none */
    gboolean no_claim;       /* neither does the host */
    const char *policy;
    guint8 measurement[48]; /* that is expected */
    char *text;             /* what came out besides the verdict */
} World;

typedef void (*Change)(World *w);

typedef struct {
    const char *name;
    Change change;
    const char *outcome; /* the verdict and what refused */
    const char *says;    /* NULL: whatever */
} Row;

typedef struct {
    const Row *row;
    const KhTestKeys *keys;
} Case;

static void
add(const KhTestCertificate *certificate, KhCertificates *to, KhAnchors *anchors)
{
    g_autoptr(GBytes) der = kh_test_certificate_make(certificate);
    gsize length;
    const guint8 *data = g_bytes_get_data(der, &length);
    guint8 sha256[KH_FINGERPRINT_SIZE];

    if (to != NULL)
        g_assert_true(kh_certificates_add(to, data, length, "a test's", NULL));
    SHA256(data, length, sha256);
    if (anchors != NULL)
        kh_anchors_add_root(anchors, sha256);
}

static void
collect(World *w, KhCertificates *certificates, KhAnchors *anchors)
{
    add(&w->story.root, w->no_root ? NULL : certificates, w->untrusted ? NULL : anchors);
    if (!w->no_intermediate)
        add(&w->story.intermediate, certificates, NULL);
    if (!w->no_leaf)
        add(&w->story.leaf, certificates, NULL);
}

/* What the verifier expects of a true story. */
static void
expect(World *w)
{
    KhKatanaExpectations *expected = &w->input.katana;

    memcpy(w->measurement, w->story.report + MEASUREMENT, sizeof w->measurement);
    expected->chain_id.set = TRUE;
    expected->chain_id.source = KH_SOURCE_OPTION;
    g_assert_true(kh_felt_from_chain_id(KH_TEST_CHAIN_ID, &expected->chain_id.felt, NULL));
    expected->block = (KhExpectedNumber){TRUE, KH_SOURCE_OPTION, KH_TEST_BLOCK};
}

static KhPolicy *
make_policy(const World *w)
{
    KhPolicy *policy = kh_policy_new();
    g_autofree char *hex = kh_bytes_to_hex(w->measurement, sizeof w->measurement);
    g_autoptr(GError) error = NULL;

    if (w->policy != NULL)
        kh_policy_parse(policy, w->policy, strlen(w->policy), &error);
    if (!w->no_measurement)
        kh_policy_set(policy, KH_POLICY_MEASUREMENT, hex, KH_SOURCE_OPTION, &error);
    g_assert_no_error(error);
    return policy;
}

static void
append_texts(GString *text, const GPtrArray *more)
{
    for (guint i = 0; i < more->len; i++)
        g_string_append_printf(text, "%s\n", (char *)more->pdata[i]);
}

static void
describe(World *w, const KhAttestation *result)
{
    const KhChecks *checks = result->verification->checks;
    GString *text = g_string_new(NULL);

    for (guint i = 0; i < kh_checks_get_length(checks); i++)
        g_string_append_printf(text, "%s %s %s\n", kh_checks_get(checks, i)->id,
                               kh_check_status_name(kh_checks_get(checks, i)->status),
                               kh_checks_get(checks, i)->reason);
    append_texts(text, result->claimed);
    append_texts(text, result->uncovered);
    if (result->explanation != NULL)
        g_string_append(text, result->explanation->text);
    w->text = g_string_free(text, FALSE);
}

/* The quote's answer is read as the command line reads it. */
static char *
run(World *w)
{
    g_autoptr(KhCertificates) certificates = kh_certificates_new();
    g_autoptr(KhAnchors) anchors = kh_anchors_new_empty(w->simulated);
    g_autoptr(KhPolicy) policy = make_policy(w);
    g_autofree char *answer = kh_test_story_tell(&w->story);
    g_autoptr(GBytes) claim = g_bytes_new(w->story.report + MEASUREMENT, 48);
    g_autoptr(GBytes) crl = kh_test_crl_make(&w->story.crl);
    g_autoptr(KhQuote) quote = kh_quote_parse(answer, strlen(answer), NULL);
    g_autoptr(KhAttestation) result = NULL;
    g_autofree char *refusals = NULL;

    collect(w, certificates, anchors);
    w->input.anchors = anchors;
    w->input.certificates = certificates;
    w->input.policy = policy;
    w->input.crl = w->no_crl ? NULL : crl;
    w->input.time = NOW;
    w->input.quote = quote;
    w->input.claims.measurement = w->no_claim ? NULL : claim;
    result = kh_attestation_run(&w->input);
    describe(w, result);
    refusals = kh_verdict_refusals(result->verification->checks);
    return g_strdup_printf("%s%s%s", kh_verdict_name(result->verdict),
                           refusals[0] == '\0' ? "" : " ", refusals);
}

/* --- lies ---------------------------------------------------------------------------- */

static void
truth(World *w)
{
    g_assert_cmpint(w->story.block, ==, KH_TEST_BLOCK);
}

static void
other_measurement(World *w)
{
    w->story.report[MEASUREMENT] ^= 1;
}

static void
other_chain(World *w)
{
    w->story.chain_id = "SN_MAIN";
}

static void
older_block(World *w)
{
    w->story.block--;
}

static void
old_for_min_block(World *w)
{
    w->story.block--;
    w->input.katana.min_block = w->input.katana.block;
    w->input.katana.block.set = FALSE;
}

static void
other_hash(World *w)
{
    w->story.shown_hash = "0xb08";
}

static void
not_canonical(World *w)
{
    w->story.shown_hash = NOT_CANONICAL;
}

static void
other_chip(World *w)
{
    w->story.signer = w->story.keys->stranger;
}

/* Another root of the same name, with all that hangs on it. */
static void
other_root(World *w)
{
    w->untrusted = TRUE;
}

static void
no_root(World *w)
{
    w->no_root = TRUE;
}

static void
no_intermediate(World *w)
{
    w->no_intermediate = TRUE;
}

static void
no_leaf(World *w)
{
    w->no_leaf = TRUE;
}

static void
revoked(World *w)
{
    w->story.crl.revoked = 1;
    w->story.intermediate.serial = 1;
}

static void
no_crl(World *w)
{
    w->no_crl = TRUE;
}

static void
vmpl_0(World *w)
{
    w->story.report[0x30] = 0;
}

static void
debug(World *w)
{
    w->story.report[0x0a] |= 0x08;
}

static void
fork_unasked(World *w)
{
    w->story.fork = "0x2a";
}

static void
fork_asked(World *w)
{
    w->story.fork = "0x2a";
    w->input.katana.fork_block = (KhExpectedNumber){TRUE, KH_SOURCE_OPTION, 0x2a};
}

static void
mock_unasked(World *w)
{
    w->story.mock = TRUE;
}

static void
mock_asked(World *w)
{
    w->story.mock = TRUE;
    w->input.insecure_mock = TRUE;
}

static void
mock_of_other_block(World *w)
{
    mock_asked(w);
    older_block(w);
}

static void
simulated(World *w)
{
    w->simulated = TRUE;
}

static void
simulated_revoked(World *w)
{
    w->simulated = TRUE;
    revoked(w);
}

static void
measurement_claimed(World *w)
{
    w->no_measurement = TRUE;
}

static void
measurement_unknown(World *w)
{
    w->no_measurement = w->no_claim = TRUE;
}

static void
chain_claimed(World *w)
{
    w->input.katana.chain_id.set = FALSE;
}

static void
block_claimed(World *w)
{
    w->input.katana.block.set = FALSE;
}

static void
all_claimed(World *w)
{
    measurement_claimed(w);
    chain_claimed(w);
    block_claimed(w);
    other_measurement(w);
    other_chain(w);
    older_block(w);
}

/* Its schema binds neither chain nor number; the hash it does. */
static void
legacy(World *w)
{
    w->story.legacy = TRUE;
    chain_claimed(w);
    block_claimed(w);
    w->input.katana.block_hash.set = TRUE;
    w->input.katana.block_hash.source = KH_SOURCE_OPTION;
    g_assert_true(kh_felt_parse(KH_TEST_BLOCK_HASH, &w->input.katana.block_hash.felt, NULL));
}

static void
legacy_with_chain(World *w)
{
    legacy(w);
    w->input.katana.chain_id.set = TRUE;
}

static void
min_tcb(World *w)
{
    w->policy = "[report]\nmin-reported-tcb=snp=255\n";
}

static void
withheld_crl(World *w)
{
    w->no_crl = TRUE;
    w->policy = "[report]\nrequire-crl=true\n";
}

/* Their commitment cannot be computed; the report's own is bound all the same. */
static void
messages_from_l1(World *w)
{
    w->story.l1_to_l2 = "[{\"from_address\":\"0x1\",\"to_address\":\"0x2\","
                        "\"entry_point_selector\":\"0x3\",\"payload\":[],\"nonce\":\"0x5\"}]";
}

static const Row rows[] = {
    {"truth", truth, "VERIFIED", "Katana's arguments"},
    {"other-measurement", other_measurement, "FAILED V9", NULL},
    {"other-chain", other_chain, "FAILED K3", "another id or fee token"},
    {"older-block", older_block, "FAILED K4", NULL},
    {"old-for-min-block", old_for_min_block, "FAILED K4", "too old"},
    {"other-hash", other_hash, "FAILED K2", NULL},
    {"not-canonical", not_canonical, "FAILED K1", NULL},
    {"other-chip", other_chip, "FAILED B1", NULL},
    {"other-root", other_root, "FAILED C2", NULL},
    {"no-root", no_root, "FAILED C1", NULL},
    {"no-intermediate", no_intermediate, "FAILED C1", NULL},
    {"no-leaf", no_leaf, "FAILED C4", NULL},
    {"revoked", revoked, "FAILED C8", NULL},
    {"no-crl", no_crl, "FAILED C8", NULL},
    {"withheld-crl", withheld_crl, "FAILED C8", "required"},
    {"vmpl-0", vmpl_0, "FAILED V20", NULL},
    {"debug", debug, "FAILED V2", NULL},
    {"fork-unasked", fork_unasked, "FAILED K5", NULL},
    {"fork-asked", fork_asked, "VERIFIED", NULL},
    {"mock-unasked", mock_unasked, "FAILED S1", NULL},
    {"mock-asked", mock_asked, "SIMULATED", NULL},
    {"mock-of-other-block", mock_of_other_block, "FAILED K4", NULL},
    {"simulated", simulated, "SIMULATED", NULL},
    {"simulated-revoked", simulated_revoked, "FAILED C8", NULL},
    {"measurement-claimed", measurement_claimed, "CONSISTENT",
     "measurement is claimed by the host"},
    {"measurement-unknown", measurement_unknown, "FAILED V9", "no measurement is expected"},
    {"chain-claimed", chain_claimed, "CONSISTENT", "--chain-id"},
    {"block-claimed", block_claimed, "CONSISTENT", "--min-block"},
    {"all-claimed", all_claimed, "CONSISTENT", NULL},
    {"legacy", legacy, "CONSISTENT", "does not bind it"},
    {"legacy-with-chain", legacy_with_chain, "FAILED K3", "not bound"},
    {"min-tcb", min_tcb, "FAILED V15", NULL},
    {"messages-from-l1", messages_from_l1, "VERIFIED", "not checked, see K6"},
};

static void
test_row(gconstpointer data)
{
    const Case *one = data;
    World w = {.untrusted = FALSE};
    g_autofree char *found = NULL;

    kh_test_story_init(&w.story, one->keys);
    expect(&w);
    one->row->change(&w);
    found = run(&w);
    if (g_strcmp0(found, one->row->outcome) != 0)
        g_test_message("%s", w.text);
    g_assert_cmpstr(found, ==, one->row->outcome);
    if (one->row->says != NULL && strstr(w.text, one->row->says) == NULL)
        g_error("no \"%s\" in:\n%s", one->row->says, w.text);
    g_free(w.text);
    kh_test_story_clear(&w.story);
}

/* An answer without a quote names the reason, and nothing is passed. */
static void
test_no_quote(void)
{
    g_autoptr(KhCertificates) certificates = kh_certificates_new();
    g_autoptr(KhAnchors) anchors = kh_anchors_new_amd();
    g_autoptr(KhPolicy) policy = kh_policy_new();
    KhAttestationInput input = {
        .anchors = anchors,
        .certificates = certificates,
        .policy = policy,
        .time = NOW,
        .quote_fault = "a\033[31mred\nVERIFIED",
    };
    g_autoptr(KhAttestation) result = kh_attestation_run(&input);
    const KhCheck *check = kh_checks_find(result->verification->checks, "K1");

    g_assert_cmpint(result->verdict, ==, KH_VERDICT_FAILED);
    g_assert_null(strchr(check->reason, '\033'));
    g_assert_null(strchr(check->reason, '\n'));
    for (guint i = 0; i < kh_checks_get_length(result->verification->checks); i++)
        g_assert_cmpint(kh_checks_get(result->verification->checks, i)->status, !=,
                        KH_CHECK_PASSED);
}

int
main(int argc, char **argv)
{
    KhTestKeys keys;
    Case cases[G_N_ELEMENTS(rows)];
    int code;

    g_test_init(&argc, &argv, NULL);
    kh_test_keys_make(&keys);
    for (guint i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autofree char *path = g_strconcat("/attestation/", rows[i].name, NULL);

        cases[i] = (Case){&rows[i], &keys};
        g_test_add_data_func(path, &cases[i], test_row);
    }
    g_test_add_func("/attestation/no-quote", test_no_quote);
    code = g_test_run();
    kh_test_keys_clear(&keys);
    return code;
}
