/* SPDX-License-Identifier: MIT */
/* K1 to K6; see katana-binding.h. */
#include "katana-binding.h"

#include <string.h>

#include "bytes.h"
#include "report-data.h"

/* More of them are not hashed: a permutation takes 0.06 ms, and the host chooses how many. */
#define MESSAGE_FELTS_MAX 20000

typedef struct {
    KhChecks *checks;
    const KhQuote *quote;
    const guint8 *report_data;
    const KhKatanaExpectations *expected;
    KhPoseidon *poseidon;
} Binding;

static const KhCheckRow rows[] = {
    {"K1", "Katana's schema is a known one", TRUE},
    {"K2", "the report commits to the block", TRUE},
    {"K3", "the report commits to the chain's configuration", TRUE},
    {"K4", "the block is the expected one", TRUE},
    {"K5", "the range of blocks is the expected one", TRUE},
    {"K6", "the messages are those of the commitment", FALSE},
};

void
kh_katana_binding_add_checks(KhChecks *checks)
{
    kh_checks_add(checks, rows, G_N_ELEMENTS(rows));
}

/* Whether the verifier himself has named it. */
#define IS_OWN(expectation) ((expectation).set && (expectation).source != KH_SOURCE_HOST)

/* A block's number for people: "none" before the first. */
static char *
format_number(const KhFelt *number)
{
    guint64 value;
    KhFelt none;

    kh_felt_max(&none);
    if (kh_felt_equal(number, &none))
        return g_strdup("none");
    return kh_felt_to_u64(number, &value) ? g_strdup_printf("%" G_GUINT64_FORMAT, value)
                                          : kh_felt_to_string(number);
}

/* --- K1, K2 -------------------------------------------------------------------------- */

static gboolean
check_schema(Binding *binding)
{
    const KhQuote *quote = binding->quote;
    const char *name = kh_quote_schema_name(quote);

    if (quote->schema == KH_QUOTE_UNKNOWN)
        kh_checks_fail(binding->checks, "K1", NULL, name, "Katana's answer has an unknown form%s%s",
                       quote->fault == NULL ? "" : ": ", quote->fault == NULL ? "" : quote->fault);
    else
        kh_checks_pass(binding->checks, "K1", NULL, name);
    return quote->schema != KH_QUOTE_UNKNOWN;
}

static gboolean
check_commitment(Binding *binding)
{
    guint8 data[KH_QUOTE_REPORT_DATA_SIZE];
    g_autofree char *expected = NULL;
    g_autofree char *actual = kh_bytes_to_hex(binding->report_data, KH_FELT_SIZE);

    kh_report_data_compute(binding->poseidon, binding->quote, data);
    expected = kh_bytes_to_hex(data, KH_FELT_SIZE);
    if (memcmp(data, binding->report_data, KH_FELT_SIZE) == 0) {
        kh_checks_pass(binding->checks, "K2", expected, actual);
        return TRUE;
    }
    kh_checks_fail(binding->checks, "K2", expected, actual,
                   "the report's data is not that of the block in Katana's answer");
    return FALSE;
}

/* --- K3 ------------------------------------------------------------------------------ */

/* Where there is no configuration's hash, zeros stand in its place. */
static void
check_no_config(Binding *binding, const char *actual)
{
    const KhKatanaExpectations *expected = binding->expected;

    if (!kh_bytes_are_zero(binding->report_data + KH_FELT_SIZE, KH_FELT_SIZE))
        kh_checks_fail(binding->checks, "K3", NULL, actual,
                       "the report has a configuration's hash and Katana's answer has none");
    else if (IS_OWN(expected->chain_id) || IS_OWN(expected->fee_token))
        kh_checks_fail(binding->checks, "K3", NULL, NULL,
                       "chain id and fee token are not bound by this schema (%s)",
                       kh_quote_schema_name(binding->quote));
    else
        kh_checks_exempt(binding->checks, "K3", "chain id and fee token are not bound");
}

static void
compare_config(Binding *binding)
{
    const KhKatanaExpectations *expected = binding->expected;
    g_autoptr(KhPedersen) pedersen = kh_pedersen_new();
    g_autofree char *expected_text = NULL;
    g_autofree char *actual = kh_felt_to_string(&binding->quote->config_hash);
    KhFelt token = expected->fee_token.felt, hash;

    if (!expected->fee_token.set)
        kh_report_data_default_fee_token(&token);
    kh_report_data_config_hash(pedersen, &expected->chain_id.felt, &token, &hash);
    expected_text = kh_felt_to_string(&hash);
    if (kh_felt_equal(&hash, &binding->quote->config_hash))
        kh_checks_pass(binding->checks, "K3", expected_text, actual);
    else
        kh_checks_fail(binding->checks, "K3", expected_text, actual,
                       "the report is of a chain with another id or fee token");
}

/* The host's if one of the two is. */
static KhCheckSource
config_source(const KhKatanaExpectations *expected)
{
    if (expected->fee_token.set && expected->fee_token.source == KH_SOURCE_HOST)
        return KH_SOURCE_HOST;
    return expected->chain_id.source;
}

static void
check_config(Binding *binding)
{
    const guint8 *half = binding->report_data + KH_FELT_SIZE;
    g_autofree char *actual = kh_bytes_to_hex(half, KH_FELT_SIZE);
    g_autofree char *answered = kh_bytes_to_hex(binding->quote->config_hash.bytes, KH_FELT_SIZE);

    if (binding->quote->schema != KH_QUOTE_CONFIG) {
        check_no_config(binding, actual);
        return;
    }
    if (memcmp(half, binding->quote->config_hash.bytes, KH_FELT_SIZE) != 0) {
        kh_checks_fail(binding->checks, "K3", answered, actual,
                       "the report's data is not the configuration's hash of Katana's answer");
        return;
    }
    if (!binding->expected->chain_id.set) {
        kh_checks_skip(binding->checks, "K3", "no chain id is expected");
        return;
    }
    kh_checks_set_source(binding->checks, "K3", config_source(binding->expected));
    compare_config(binding);
}

/* --- K4 ------------------------------------------------------------------------------ */

/* FALSE after failing the check. */
static gboolean
compare_felt(Binding *binding, const char *id, const char *what, const KhExpectedFelt *expected,
             const KhFelt *actual)
{
    g_autofree char *expected_text = kh_felt_to_string(&expected->felt);
    g_autofree char *actual_text = kh_felt_to_string(actual);

    if (!expected->set || kh_felt_equal(&expected->felt, actual))
        return TRUE;
    kh_checks_fail(binding->checks, id, expected_text, actual_text, "it is another %s", what);
    return FALSE;
}

static gboolean
compare_number(Binding *binding, const KhExpectedNumber *exact, const KhExpectedNumber *least,
               guint64 actual)
{
    g_autofree char *actual_text = g_strdup_printf("%" G_GUINT64_FORMAT, actual);
    g_autofree char *exact_text = g_strdup_printf("%" G_GUINT64_FORMAT, exact->number);
    g_autofree char *least_text = g_strdup_printf("at least %" G_GUINT64_FORMAT, least->number);

    if (exact->set && exact->number != actual)
        kh_checks_fail(binding->checks, "K4", exact_text, actual_text, "it is another block");
    else if (least->set && actual < least->number)
        kh_checks_fail(binding->checks, "K4", least_text, actual_text, "the block is too old");
    else
        return TRUE;
    return FALSE;
}

/* Of a schema that does not bind it. FALSE if the verifier expects one. */
static gboolean
leave_number(Binding *binding)
{
    const KhKatanaExpectations *expected = binding->expected;

    if (!IS_OWN(expected->block) && !IS_OWN(expected->min_block))
        return TRUE;
    kh_checks_fail(binding->checks, "K4", NULL, NULL,
                   "the block's number is not bound by this schema (%s); expect its hash",
                   kh_quote_schema_name(binding->quote));
    return FALSE;
}

static gboolean
check_number(Binding *binding)
{
    const KhKatanaExpectations *expected = binding->expected;
    guint64 number;

    if (binding->quote->schema == KH_QUOTE_BLOCK)
        return leave_number(binding);
    if (kh_felt_to_u64(&binding->quote->block_number, &number))
        return compare_number(binding, &expected->block, &expected->min_block, number);
    kh_checks_fail(binding->checks, "K4", NULL, NULL, "the block's number has more than 64 bits");
    return FALSE;
}

/* "block 7, hash 0x1, state root 0x2", of what is expected; NULL for nothing. */
static char *
describe_expected(const KhKatanaExpectations *expected, gboolean number_is_bound)
{
    g_autoptr(GPtrArray) parts = g_ptr_array_new_with_free_func(g_free);
    char *block_hash = kh_felt_to_string(&expected->block_hash.felt);
    char *state_root = kh_felt_to_string(&expected->state_root.felt);

    if (expected->block.set && number_is_bound)
        g_ptr_array_add(parts, g_strdup_printf("block %" G_GUINT64_FORMAT, expected->block.number));
    if (expected->min_block.set && number_is_bound)
        g_ptr_array_add(parts, g_strdup_printf("at least block %" G_GUINT64_FORMAT,
                                               expected->min_block.number));
    if (expected->block_hash.set)
        g_ptr_array_add(parts, g_strdup_printf("hash %s", block_hash));
    if (expected->state_root.set)
        g_ptr_array_add(parts, g_strdup_printf("state root %s", state_root));
    g_free(block_hash);
    g_free(state_root);
    if (parts->len == 0)
        return NULL;
    g_ptr_array_add(parts, NULL);
    return g_strjoinv(", ", (char **)parts->pdata);
}

static char *
describe_block(const KhQuote *quote)
{
    g_autofree char *number = format_number(&quote->block_number);
    g_autofree char *hash = kh_felt_to_string(&quote->block_hash);
    g_autofree char *root = kh_felt_to_string(&quote->state_root);

    return g_strdup_printf("block %s, hash %s, state root %s", number, hash, root);
}

static void
check_block(Binding *binding)
{
    const KhKatanaExpectations *expected = binding->expected;
    gboolean number_is_bound = binding->quote->schema != KH_QUOTE_BLOCK;
    g_autofree char *expected_text = describe_expected(expected, number_is_bound);
    g_autofree char *actual = describe_block(binding->quote);
    gboolean own =
        IS_OWN(expected->block) || IS_OWN(expected->min_block) || IS_OWN(expected->block_hash);

    kh_checks_set_source(binding->checks, "K4", own ? KH_SOURCE_OPTION : KH_SOURCE_HOST);
    if (!check_number(binding) ||
        !compare_felt(binding, "K4", "block hash", &expected->block_hash,
                      &binding->quote->block_hash) ||
        !compare_felt(binding, "K4", "state root", &expected->state_root,
                      &binding->quote->state_root))
        return;
    if (expected_text != NULL)
        kh_checks_pass(binding->checks, "K4", expected_text, actual);
    else if (number_is_bound)
        kh_checks_skip(binding->checks, "K4", "no block is expected");
    else
        kh_checks_exempt(binding->checks, "K4",
                         "the block's number is not bound, and no hash is "
                         "expected");
}

/* --- K5 ------------------------------------------------------------------------------ */

static void
check_no_range(Binding *binding)
{
    if (IS_OWN(binding->expected->prev_block) || IS_OWN(binding->expected->fork_block))
        kh_checks_fail(binding->checks, "K5", NULL, NULL,
                       "neither a previous block nor a fork is bound by this schema (%s)",
                       kh_quote_schema_name(binding->quote));
    else
        kh_checks_exempt(binding->checks, "K5", "previous block and fork are not bound");
}

static gboolean
fail_range(Binding *binding, const char *reason)
{
    g_autofree char *prev = format_number(&binding->quote->prev_block_number);
    g_autofree char *block = format_number(&binding->quote->block_number);
    g_autofree char *actual = g_strdup_printf("%s to %s", prev, block);

    kh_checks_fail(binding->checks, "K5", NULL, actual, "%s", reason);
    return FALSE;
}

/* Whether the two ends fit each other. */
static gboolean
check_ends(Binding *binding)
{
    const KhQuote *quote = binding->quote;
    guint64 prev, block;
    KhFelt none;

    kh_felt_max(&none);
    if (!kh_felt_to_u64(&quote->block_number, &block))
        return fail_range(binding, "the block's number has more than 64 bits");
    if (kh_felt_equal(&quote->prev_block_number, &none)) {
        if (kh_felt_is_zero(&quote->prev_block_hash) && kh_felt_is_zero(&quote->prev_state_root))
            return TRUE;
        return fail_range(binding, "there is no previous block, yet it has a hash or a state root");
    }
    if (!kh_felt_to_u64(&quote->prev_block_number, &prev))
        return fail_range(binding, "the previous block's number has more than 64 bits");
    return prev < block || fail_range(binding, "the previous block is not before the block");
}

/* The one that the range must begin after: as asked, else the block's own predecessor. */
static void
find_expected_prev(const Binding *binding, KhFelt *prev)
{
    guint64 block = 0;

    kh_felt_max(prev);
    if (binding->expected->prev_block.set)
        *prev = binding->expected->prev_block.felt;
    else if (kh_felt_to_u64(&binding->quote->block_number, &block) && block > 0)
        kh_felt_from_u64(block - 1, prev);
}

/* FALSE after failing K5 for what is expected of the fork. */
static gboolean
check_fork(Binding *binding)
{
    const KhExpectedNumber *expected = &binding->expected->fork_block;
    g_autofree char *expected_text = g_strdup_printf("%" G_GUINT64_FORMAT, expected->number);
    g_autofree char *actual = format_number(&binding->quote->fork_block_number);
    guint64 fork;

    if (!binding->quote->sharding) {
        if (!IS_OWN(*expected))
            return TRUE;
        kh_checks_fail(binding->checks, "K5", expected_text, "no fork",
                       "a fork is expected and this quote is of an appchain");
        return FALSE;
    }
    if (!IS_OWN(*expected))
        kh_checks_fail(binding->checks, "K5", NULL, actual,
                       "this chain is a fork; expect the block that it was forked at");
    else if (!kh_felt_to_u64(&binding->quote->fork_block_number, &fork) || fork != expected->number)
        kh_checks_fail(binding->checks, "K5", expected_text, actual,
                       "the chain was forked at another block");
    else
        return TRUE;
    return FALSE;
}

static void
check_range(Binding *binding)
{
    const KhExpectedFelt *asked = &binding->expected->prev_block;
    g_autofree char *expected = NULL;
    g_autofree char *actual = format_number(&binding->quote->prev_block_number);
    KhFelt prev;

    if (binding->quote->schema == KH_QUOTE_BLOCK) {
        check_no_range(binding);
        return;
    }
    if (asked->set)
        kh_checks_set_source(binding->checks, "K5", asked->source);
    if (!check_ends(binding) || !check_fork(binding))
        return;
    find_expected_prev(binding, &prev);
    expected = format_number(&prev);
    if (kh_felt_equal(&prev, &binding->quote->prev_block_number))
        kh_checks_pass(binding->checks, "K5", expected, actual);
    else
        kh_checks_fail(binding->checks, "K5", expected, actual,
                       "the range begins after another block");
}

/* --- K6 ------------------------------------------------------------------------------ */

static void
compare_messages(Binding *binding)
{
    const KhQuote *quote = binding->quote;
    g_autofree char *expected = NULL;
    g_autofree char *actual = kh_felt_to_string(&quote->messages_commitment);
    KhFelt hash;

    kh_report_data_messages_commitment(binding->poseidon, quote->l2_to_l1, &hash);
    expected = kh_felt_to_string(&hash);
    if (kh_felt_equal(&hash, &quote->messages_commitment))
        kh_checks_pass(binding->checks, "K6", expected, actual);
    else
        kh_checks_fail(binding->checks, "K6", expected, actual,
                       "the commitment is not of the messages in Katana's answer");
}

static void
check_messages(Binding *binding)
{
    const KhQuote *quote = binding->quote;

    if (quote->schema == KH_QUOTE_BLOCK || quote->sharding)
        kh_checks_exempt(binding->checks, "K6", "messages are not bound");
    else if (quote->n_l1_to_l2 > 0)
        kh_checks_skip(binding->checks, "K6",
                       "%u messages come from the settlement layer, whose hash this program does "
                       "not have: no list is checked",
                       quote->n_l1_to_l2);
    else if (quote->n_message_felts > MESSAGE_FELTS_MAX)
        kh_checks_skip(binding->checks, "K6",
                       "the messages have %u felts, more than %u: no list "
                       "is checked",
                       quote->n_message_felts, MESSAGE_FELTS_MAX);
    else
        compare_messages(binding);
}

/* --- all ----------------------------------------------------------------------------- */

static void
skip_from(KhChecks *checks, guint first, const char *reason)
{
    for (guint i = first; i < G_N_ELEMENTS(rows); i++)
        kh_checks_skip(checks, rows[i].id, "%s", reason);
}

void
kh_katana_binding_run(KhChecks *checks, const KhQuote *quote, const guint8 *report_data,
                      const KhKatanaExpectations *expectations)
{
    g_autoptr(KhPoseidon) poseidon = kh_poseidon_new();
    Binding binding = {
        .checks = checks,
        .quote = quote,
        .report_data = report_data,
        .expected = expectations,
        .poseidon = poseidon,
    };

    if (!check_schema(&binding)) {
        skip_from(checks, 1, "Katana's answer has an unknown form");
        return;
    }
    if (!check_commitment(&binding)) {
        skip_from(checks, 2, "the report does not commit to what Katana has answered");
        return;
    }
    check_config(&binding);
    check_block(&binding);
    check_range(&binding);
    check_messages(&binding);
}

const char *const *
kh_katana_binding_not_bound(const KhQuote *quote)
{
    static const char *const all[] = {"everything", NULL};
    static const char *const block[] = {"block number", "previous block", "chain id", "fee token",
                                        "events",       "messages",       NULL};
    static const char *const range[] = {"chain id", "fee token", "events", NULL};
    static const char *const range_sharding[] = {"chain id", "fee token", "messages", NULL};
    static const char *const config[] = {"events", NULL};
    static const char *const config_sharding[] = {"messages", NULL};

    switch (quote->schema) {
    case KH_QUOTE_BLOCK:
        return block;
    case KH_QUOTE_RANGE:
        return quote->sharding ? range_sharding : range;
    case KH_QUOTE_CONFIG:
        return quote->sharding ? config_sharding : config;
    case KH_QUOTE_UNKNOWN:
    default:
        return all;
    }
}
