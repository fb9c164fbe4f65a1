/* SPDX-License-Identifier: MIT */
/* Tests of Katana's quotes and of what binds them to a chain: K1 to K6. */
#include <string.h>

#include "error.h"
#include "tee-data.h"
#include "katana-binding.h"
#include "report-data.h"

#define NO_BLOCK "0x800000000000011000000000000000000000000000000000000000000000000"
#define NO_MESSAGES "0x5fc5cd084f301e3cf8cfdf8aebb87864d0f38ece733b820441ec4fef9004af"
#define KATANA_CONFIG "0x1e6daca26d3d6429b176987b51f016baf1fc998f1961d02594e2ab307a61d1"
#define SEPOLIA_CONFIG "0x19d12d7c87573b30f0b7d5cd40c42e23a7765d39e514ed3a186605f64b4c601"
#define KATANA_HALF "001e6daca26d3d6429b176987b51f016baf1fc998f1961d02594e2ab307a61d1"
#define THREE_MESSAGES                                                                             \
    "[{\"from_address\":\"0x111\",\"to_address\":\"0x222\",\"payload\":[\"0x1\",\"0x2\"]},"        \
    "{\"from_address\":\"0x333\",\"to_address\":\"0x444\",\"payload\":[]},"                        \
    "{\"from_address\":\"0x555\",\"to_address\":\"0x666\",\"payload\":[\"0x9\"]}]"
#define ONE_FROM_L1                                                                                \
    "[{\"from_address\":\"0x1\",\"to_address\":\"0x2\",\"entry_point_selector\":\"0x3\","          \
    "\"payload\":[\"0x4\"],\"nonce\":\"0x5\"}]"

/* An answer's facts; what is NULL is not in it. */
typedef struct {
    const char *name;
    const char *prev_root, *root, *prev_hash, *hash, *prev, *block, *fork;
    const char *events, *messages, *config;
    const char *l2_to_l1, *l1_to_l2;
    const char *mock; /* the quote that Katana's mock attester made of them */
} Row;

/* Vectors of Katana's own tests, mock quotes computed with @scure/starknet. */
static const Row rows[] = {
    {"genesis", "0x0", "0x5747", "0x0", "0xb10c", NO_BLOCK, "0x0", NULL, "0xe1", NO_MESSAGES,
     KATANA_CONFIG, "[]", "[]",
     "0x4d4f434b07ecc2fea554079c49624efde7a19acfe140bb01f9ad82d62670f414d245adf2" KATANA_HALF
     "6b230000"},
    {"sharding", "0xa1", "0xb1", "0xa0", "0xb0", "0x0", "0x1", "0x2a", "0xe1", "0x0", KATANA_CONFIG,
     "[]", "[]",
     "0x4d4f434b00bb2159a4f126fa01e47a44e194c3f251434d6e35674738946b2ca0877ab57c" KATANA_HALF
     "24200000"},
    {"messages", "0xa1", "0xc1", "0xa0", "0xc0", "0x0", "0x2", NULL, "0x0",
     "0x7b4ac48b29c75efdd946bd8ccdd4528db7f178abd7fabe16643ea91069855b9", KATANA_CONFIG,
     THREE_MESSAGES, "[]",
     "0x4d4f434b03fa9961181f9fbe530ee95108ee279ff93364c96c1af2f53d80cd312522fc54" KATANA_HALF
     "00200000"},
    {"from-l1", "0x0", "0xa1", "0x0", "0xa0", NO_BLOCK, "0x0", NULL, "0x0",
     "0x6f304fdae1985f56a87d54a428fc02673050d3d05f0e155a2a5330e85324344", KATANA_CONFIG, "[]",
     ONE_FROM_L1,
     "0x4d4f434b0189d7fcc37dab46bdfb2727b4b50432536f53cc3679b2b589c01b16c01b2e0e" KATANA_HALF
     "c11f0000"},
    {"sepolia", "0x0", "0xa1", "0x0", "0xa0", NO_BLOCK, "0x0", NULL, "0x0", NO_MESSAGES,
     SEPOLIA_CONFIG, NULL, NULL,
     "0x4d4f434b062fb708c1347223d4645a920380d3763950af4957c0b404b1fb59ca6bf25d6f019d12d7c87573b30f"
     "0b7d5cd40c42e23a7765d39e514ed3a186605f64b4c6017f1e0000"},
};
enum { GENESIS, SHARDING, MESSAGES, FROM_L1, SEPOLIA };

/* --- making answers ------------------------------------------------------------------ */

static void
add_member(GString *json, const char *name, const char *value)
{
    if (value == NULL)
        return;
    g_string_append_printf(json, value[0] == '[' ? ",\"%s\":%s" : ",\"%s\":\"%s\"", name, value);
}

static char *
make_result(const Row *row)
{
    GString *json = g_string_new("{\"quote\":");

    g_string_append_printf(json, "\"%s\"", row->mock);
    add_member(json, "prevStateRoot", row->prev_root);
    add_member(json, "stateRoot", row->root);
    add_member(json, "prevBlockHash", row->prev_hash);
    add_member(json, "blockHash", row->hash);
    add_member(json, "prevBlockNumber", row->prev);
    add_member(json, "blockNumber", row->block);
    add_member(json, "forkBlockNumber", row->fork);
    add_member(json, "eventsCommitment", row->events);
    add_member(json, "messagesCommitment", row->messages);
    add_member(json, "katanaTeeConfigHash", row->config);
    add_member(json, "l2ToL1Messages", row->l2_to_l1);
    add_member(json, "l1ToL2Messages", row->l1_to_l2);
    g_string_append_c(json, '}');
    return g_string_free(json, FALSE);
}

static KhQuote *
parse(const char *text)
{
    g_autoptr(GError) error = NULL;
    KhQuote *quote = kh_quote_parse(text, strlen(text), &error);

    g_assert_no_error(error);
    return quote;
}

static KhQuote *
make_quote(const Row *row)
{
    g_autofree char *text = make_result(row);

    return parse(text);
}

static KhFelt
felt(const char *text)
{
    g_autoptr(GError) error = NULL;
    KhFelt result;

    kh_felt_parse(text, &result, &error);
    g_assert_no_error(error);
    return result;
}

static KhExpectedFelt
own_felt(const char *text)
{
    return (KhExpectedFelt){.set = TRUE, .source = KH_SOURCE_OPTION, .felt = felt(text)};
}

static KhExpectedNumber
own_number(guint64 number)
{
    return (KhExpectedNumber){.set = TRUE, .source = KH_SOURCE_OPTION, .number = number};
}

static KhChecks *
run_on(const KhQuote *quote, const KhKatanaExpectations *expected)
{
    KhChecks *checks = kh_checks_new();
    g_autoptr(GError) error = NULL;
    const guint8 *data = kh_quote_report_data(quote, &error);

    g_assert_no_error(error);
    kh_katana_binding_add_checks(checks);
    kh_katana_binding_run(checks, quote, data, expected);
    return checks;
}

static KhChecks *
run(const Row *row, const KhKatanaExpectations *expected)
{
    g_autoptr(KhQuote) quote = make_quote(row);

    return run_on(quote, expected);
}

/* @statuses: a letter for each of K1 to K6, P F S or N. */
static void
assert_statuses(const KhChecks *checks, const char *statuses)
{
    static const char letters[] = "PFSN";

    g_assert_cmpuint(kh_checks_get_length(checks), ==, strlen(statuses));
    for (guint i = 0; statuses[i] != '\0'; i++) {
        const KhCheck *check = kh_checks_get(checks, i);

        if (letters[check->status] != statuses[i])
            g_test_message("%s is %c: %s", check->id, letters[check->status], check->reason);
        g_assert_cmpint(letters[check->status], ==, statuses[i]);
        g_assert_true((check->reason == NULL) == (check->status == KH_CHECK_PASSED));
    }
}

static void
assert_run(const Row *row, const KhKatanaExpectations *expected, const char *statuses)
{
    g_autoptr(KhChecks) checks = run(row, expected);

    assert_statuses(checks, statuses);
}

/* What a verifier of @row expects. */
static KhKatanaExpectations
good_expectations(const Row *row)
{
    KhKatanaExpectations expected = {0};
    guint64 number;
    KhFelt block = felt(row->block);

    g_assert_true(kh_felt_to_u64(&block, &number));
    expected.chain_id = own_felt("0x0");
    kh_felt_from_chain_id(row->config == rows[SEPOLIA].config ? "SN_SEPOLIA" : "KATANA",
                          &expected.chain_id.felt, NULL);
    expected.block = own_number(number);
    expected.prev_block = own_felt(row->prev);
    if (row->fork != NULL)
        expected.fork_block = own_number(42);
    return expected;
}

/* --- requests and answers ------------------------------------------------------------ */

static void
requests(void)
{
    guint64 prev = G_MAXUINT64;
    g_autofree char *range = kh_quote_request(&prev, 7);
    g_autofree char *from_genesis = kh_quote_request(NULL, 0);
    g_autofree char *old = kh_quote_request_old_form();

    g_assert_nonnull(strstr(range, "\"params\":[18446744073709551615,7]"));
    g_assert_nonnull(strstr(from_genesis, "\"params\":[null,0]"));
    g_assert_nonnull(strstr(old, "\"params\":[]"));
}

static void
node_errors(void)
{
    static const struct {
        const char *answer;
        KhError code;
        const char *says;
    } answers[] = {
        {"{\"error\":{\"code\":100,\"message\":\"TEE not available\"}}", KH_ERROR_NOT_SUPPORTED,
         "error 100 (TEE not available)"},
        {"{\"error\":{\"code\":-32601,\"message\":\"Method not found\"}}", KH_ERROR_NOT_SUPPORTED,
         "--tee"},
        {"{\"error\":{\"code\":-32602,\"message\":\"\"}}", KH_ERROR_INVALID_ARGUMENT, "-32602"},
        {"{\"error\":{\"code\":101,\"message\":\"\\u001b[31m\"}}", KH_ERROR_FAILED, "error 101"},
        {"{\"error\":{\"code\":102}}", KH_ERROR_FAILED, "error 102"},
        {"{\"error\":{\"code\":7,\"message\":{}}}", KH_ERROR_FAILED, "error 7"},
        {"{\"error\":{\"code\":\"100\"}}", KH_ERROR_FAILED, "no code"},
        {"{\"error\":[]}", KH_ERROR_FAILED, "no code"},
        {"{\"result\":[]}", KH_ERROR_FAILED, "neither"},
        {"{\"result\":null,\"error\":null}", KH_ERROR_FAILED, "neither"},
        {"{}", KH_ERROR_FAILED, "neither"},
        {"{\"result\":{}}", KH_ERROR_FAILED, "The quote is 0 characters"},
        {"[]", KH_ERROR_FAILED, "cannot be read"},
        {"", KH_ERROR_FAILED, "cannot be read"},
        {"{\"result\":{},\"result\":{}}", KH_ERROR_FAILED, "twice"},
        {"<html>", KH_ERROR_FAILED, "cannot be read"},
    };

    for (gsize i = 0; i < G_N_ELEMENTS(answers); i++) {
        const char *answer = answers[i].answer;
        g_autoptr(GError) error = NULL;

        g_assert_null(kh_quote_parse_answer(answer, strlen(answer), &error));
        g_assert_error(error, KH_ERROR, (int)answers[i].code);
        g_assert_nonnull(strstr(error->message, answers[i].says));
        g_assert_null(strchr(error->message, '\033'));
        g_assert_cmpint(kh_quote_wants_old_form(error), ==,
                        answers[i].code == KH_ERROR_INVALID_ARGUMENT);
    }
}

static void
whole_answer(void)
{
    g_autofree char *result = make_result(&rows[MESSAGES]);
    g_autofree char *answer =
        g_strdup_printf("{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":%s}", result);
    g_autoptr(GError) error = NULL;
    g_autoptr(KhQuote) quote = kh_quote_parse_answer(answer, strlen(answer), &error);

    g_assert_no_error(error);
    g_assert_cmpint(quote->schema, ==, KH_QUOTE_CONFIG);
    g_assert_cmpuint(quote->l2_to_l1->len, ==, 3);
    g_assert_true(kh_quote_is_mock(quote));
    g_assert_false(kh_quote_is_legacy(quote));
}

/* A quote of @size zero bytes. */
static void
try_size(gsize size, gboolean good, KhError code)
{
    g_autofree char *zeros = g_strnfill(2 * size, '0');
    g_autofree char *text = g_strdup_printf("{\"quote\":\"0x%s\"}", zeros);
    g_autoptr(GError) error = NULL;
    g_autoptr(KhQuote) quote = kh_quote_parse(text, strlen(text), &error);

    g_assert_true((quote != NULL) == good);
    if (!good)
        g_assert_error(error, KH_ERROR, (int)code);
}

static void
sizes(void)
{
    static const gsize bad[] = {0, 1, 71, 73, 1183, 1185, 100000};

    for (gsize i = 0; i < G_N_ELEMENTS(bad); i++)
        try_size(bad[i], FALSE, KH_ERROR_FAILED);
    try_size(72, TRUE, KH_ERROR_FAILED);
    try_size(1184, TRUE, KH_ERROR_FAILED);
    try_size(100 * 1000 * 1000, FALSE, KH_ERROR_LIMIT_EXCEEDED);
}

static void
nesting(void)
{
    g_autofree char *bomb = g_strnfill(100000, '[');
    g_autofree char *inside = g_strdup_printf("{\"result\":%s", bomb);
    g_autoptr(GError) error = NULL;

    g_assert_null(kh_quote_parse_answer(bomb, strlen(bomb), NULL));
    g_assert_null(kh_quote_parse_answer(inside, strlen(inside), &error));
    g_assert_error(error, KH_ERROR, KH_ERROR_FAILED);
    g_assert_nonnull(strstr(error->message, "nested deeper"));
}

/* --- K1 ------------------------------------------------------------------------------ */

/* @old of @row's answer replaced by @new: K1 fails, naming @says. */
static void
assert_fault(const Row *row, const char *old, const char *new, const char *says)
{
    g_autofree char *text = make_result(row);
    g_auto(GStrv) parts = g_strsplit(text, old, 2);
    g_autofree char *changed = g_strjoinv(new, parts);
    g_autoptr(KhQuote) quote = parse(changed);
    KhKatanaExpectations expected = {0};
    g_autoptr(KhChecks) checks = run_on(quote, &expected);

    g_assert_cmpuint(g_strv_length(parts), ==, 2);
    g_assert_cmpint(quote->schema, ==, KH_QUOTE_UNKNOWN);
    assert_statuses(checks, "FSSSSS");
    if (strstr(kh_checks_find(checks, "K1")->reason, says) == NULL)
        g_test_message("%s", kh_checks_find(checks, "K1")->reason);
    g_assert_nonnull(strstr(kh_checks_find(checks, "K1")->reason, says));
}

static void
faults(void)
{
    const Row *row = &rows[MESSAGES];

    /* block hash + p gives the same commitment, and would show another hash. */
    assert_fault(row, "\"0xc0\"",
                 "\"0x8000000000000110000000000000000000000000000000000000000000000c1\"",
                 "blockHash is not a canonical");
    assert_fault(row, "\"0xc0\"", "\"c0\"", "blockHash");
    assert_fault(row, "\"0xc0\"", "192", "blockHash is not a string");
    assert_fault(row, "\"0xc0\"", "null", "blockHash is missing");
    assert_fault(row, "\"0xc0\"", "[\"0xc0\"]", "blockHash is not a string");
    assert_fault(row, "\"prevBlockNumber\"", "\"previousBlockNumber\"",
                 "prevBlockNumber is missing");
    assert_fault(row, "\"blockNumber\":\"0x2\"", "\"blockNumber\":2",
                 "blockNumber is not a string");
    assert_fault(row, "\"0x222\"", "\"\"", "to_address");
    assert_fault(row, "[\"0x1\",\"0x2\"]", "[\"0x1\",2]", "payload");
    assert_fault(row, "[\"0x1\",\"0x2\"]", "{}", "payload");
    assert_fault(row, "\"l2ToL1Messages\":[", "\"l2ToL1Messages\":[1,", "l2ToL1Messages");
    assert_fault(row, "\"l1ToL2Messages\":[]", "\"l1ToL2Messages\":{}", "l1ToL2Messages");
    assert_fault(&rows[FROM_L1], "\"nonce\":\"0x5\"", "\"nonce\":5", "nonce");
    assert_fault(&rows[SHARDING], "\"0x2a\"", "42", "forkBlockNumber");
    assert_fault(row, "\"" KATANA_CONFIG "\"", "null", "katanaTeeConfigHash is missing");
}

static void
unknown_shapes(void)
{
    Row row = {.name = "events",
               .root = "0x1",
               .hash = "0x2",
               .block = "0x3",
               .events = "0x4",
               .mock = rows[0].mock};

    assert_run(&row, &(KhKatanaExpectations){0}, "FSSSSS");
    /* The first schema has its number as a number. */
    row.events = NULL;
    assert_run(&row, &(KhKatanaExpectations){0}, "FSSSSS");
}

/* --- K2 to K6 ------------------------------------------------------------------------ */

static void
known_rows(void)
{
    static const char *const statuses[] = {"PPPPPP", "PPPPPN", "PPPPPP", "PPPPPS", "PPPPPP"};

    for (gsize i = 0; i < G_N_ELEMENTS(rows); i++) {
        KhKatanaExpectations expected = good_expectations(&rows[i]);
        g_autoptr(KhChecks) checks = run(&rows[i], &expected);

        g_test_message("%s", rows[i].name);
        assert_statuses(checks, statuses[i]);
        g_assert_cmpint(kh_checks_find(checks, "K3")->source, ==, KH_SOURCE_OPTION);
        g_assert_cmpint(kh_checks_find(checks, "K4")->source, ==, KH_SOURCE_OPTION);
    }
}

/* Each fact that the schema binds, altered, is found out; what it does not bind is not. */
static void
altered_facts(void)
{
    const gsize members[] = {G_STRUCT_OFFSET(Row, prev_root), G_STRUCT_OFFSET(Row, root),
                             G_STRUCT_OFFSET(Row, prev_hash), G_STRUCT_OFFSET(Row, hash),
                             G_STRUCT_OFFSET(Row, prev),      G_STRUCT_OFFSET(Row, block),
                             G_STRUCT_OFFSET(Row, config),    G_STRUCT_OFFSET(Row, messages),
                             G_STRUCT_OFFSET(Row, fork),      G_STRUCT_OFFSET(Row, events)};
    const char *bound[] = {[MESSAGES] = "YYYYYYYYYN", [SHARDING] = "YYYYYYYNYY"};

    for (int i = SHARDING; i <= MESSAGES; i++)
        for (gsize k = 0; k < G_N_ELEMENTS(members); k++) {
            Row row = rows[i];
            g_autoptr(KhChecks) checks = NULL;

            G_STRUCT_MEMBER(const char *, &row, members[k]) = "0x1234567";
            checks = run(&row, &(KhKatanaExpectations){0});
            g_test_message("%s, member %u", row.name, (guint)k);
            g_assert_cmpint(kh_checks_find(checks, "K2")->status, ==,
                            bound[i][k] == 'Y' ? KH_CHECK_FAILED : KH_CHECK_PASSED);
        }
}

static void
other_chain(void)
{
    KhKatanaExpectations expected = good_expectations(&rows[GENESIS]);
    g_autoptr(KhChecks) checks = NULL;

    kh_felt_from_chain_id("SN_SEPOLIA", &expected.chain_id.felt, NULL);
    assert_run(&rows[GENESIS], &expected, "PPFPPP");
    expected = good_expectations(&rows[GENESIS]);
    expected.fee_token = own_felt("0x1");
    assert_run(&rows[GENESIS], &expected, "PPFPPP");
    kh_report_data_default_fee_token(&expected.fee_token.felt);
    assert_run(&rows[GENESIS], &expected, "PPPPPP");
    expected.fee_token.source = KH_SOURCE_HOST;
    checks = run(&rows[GENESIS], &expected);
    g_assert_cmpint(kh_checks_find(checks, "K3")->source, ==, KH_SOURCE_HOST);
    g_clear_pointer(&checks, kh_checks_free);
    expected.fee_token.source = KH_SOURCE_OPTION;
    expected.chain_id.set = FALSE;
    assert_run(&rows[GENESIS], &expected, "PPSPPP");
    expected.chain_id.set = TRUE;
    expected.chain_id.source = KH_SOURCE_HOST;
    checks = run(&rows[GENESIS], &expected);
    assert_statuses(checks, "PPPPPP");
    g_assert_cmpint(kh_checks_find(checks, "K3")->source, ==, KH_SOURCE_HOST);
}

/* The two halves are compared apart: the second one alone, altered. */
static void
second_half(void)
{
    KhKatanaExpectations expected = good_expectations(&rows[GENESIS]);
    g_autoptr(KhQuote) quote = make_quote(&rows[GENESIS]);
    g_autoptr(KhChecks) checks = kh_checks_new();
    guint8 data[KH_QUOTE_REPORT_DATA_SIZE];

    memcpy(data, kh_quote_report_data(quote, NULL), sizeof data);
    data[63] ^= 1;
    kh_katana_binding_add_checks(checks);
    kh_katana_binding_run(checks, quote, data, &expected);
    assert_statuses(checks, "PPFPPP");
}

static void
blocks(void)
{
    const Row *row = &rows[MESSAGES];
    KhKatanaExpectations good = good_expectations(row), expected = good;
    g_autoptr(KhChecks) checks = NULL;

    expected.block.number = 3;
    assert_run(row, &expected, "PPPFPP");
    expected = good;
    expected.block.set = FALSE;
    assert_run(row, &expected, "PPPSPP");
    expected.min_block = own_number(2);
    assert_run(row, &expected, "PPPPPP");
    expected.min_block = own_number(3);
    assert_run(row, &expected, "PPPFPP");
    expected = good;
    expected.block_hash = own_felt("0xc0");
    expected.state_root = own_felt("0xc1");
    assert_run(row, &expected, "PPPPPP");
    expected.block_hash = own_felt("0xc1");
    assert_run(row, &expected, "PPPFPP");
    expected.block_hash = own_felt("0xc0");
    expected.state_root = own_felt("0xc2");
    assert_run(row, &expected, "PPPFPP");
    expected = good;
    expected.block.source = KH_SOURCE_HOST;
    checks = run(row, &expected);
    assert_statuses(checks, "PPPPPP");
    g_assert_cmpint(kh_checks_find(checks, "K4")->source, ==, KH_SOURCE_HOST);
    g_assert_nonnull(strstr(kh_checks_find(checks, "K4")->actual, "block 2, hash 0xc0"));
}

static void
ranges(void)
{
    const Row *row = &rows[MESSAGES];
    KhKatanaExpectations expected = good_expectations(row);

    /* 0 to 2 was not asked: the default is the block's predecessor alone. */
    expected.prev_block.set = FALSE;
    assert_run(row, &expected, "PPPPFP");
    expected.prev_block = own_felt(NO_BLOCK);
    assert_run(row, &expected, "PPPPFP");
    expected = good_expectations(&rows[GENESIS]);
    expected.prev_block.set = FALSE;
    assert_run(&rows[GENESIS], &expected, "PPPPPP");
    expected = good_expectations(&rows[SHARDING]);
    expected.prev_block.set = FALSE;
    assert_run(&rows[SHARDING], &expected, "PPPPPN");
}

/* As a node would be believed that commits to such a thing. */
static void
assert_committed(const Row *row, const char *statuses, const char *id, const char *says)
{
    g_autoptr(KhQuote) quote = make_quote(row);
    g_autoptr(KhPoseidon) poseidon = kh_poseidon_new();
    g_autoptr(KhChecks) checks = kh_checks_new();
    KhKatanaExpectations expected = {.chain_id = own_felt("0x4b4154414e41"),
                                     .min_block = own_number(0)};
    guint8 data[KH_QUOTE_REPORT_DATA_SIZE];

    expected.prev_block = own_felt(row->prev);
    kh_report_data_compute(poseidon, quote, data);
    kh_katana_binding_add_checks(checks);
    kh_katana_binding_run(checks, quote, data, &expected);
    assert_statuses(checks, statuses);
    g_assert_nonnull(strstr(kh_checks_find(checks, id)->reason, says));
}

static void
bad_ends(void)
{
    Row row = rows[GENESIS];

    row.prev_hash = "0x1";
    assert_committed(&row, "PPPPFP", "K5", "no previous block");
    row = rows[GENESIS];
    row.prev_root = "0x1";
    assert_committed(&row, "PPPPFP", "K5", "no previous block");
    row = rows[MESSAGES];
    row.prev = "0x2";
    assert_committed(&row, "PPPPFP", "K5", "not before");
    row.prev = "0x3";
    assert_committed(&row, "PPPPFP", "K5", "not before");
    row.prev = "0x10000000000000000";
    assert_committed(&row, "PPPPFP", "K5", "64 bits");
    row = rows[MESSAGES];
    row.block = "0x10000000000000002";
    assert_committed(&row, "PPPFFP", "K4", "64 bits");
}

static void
forks(void)
{
    KhKatanaExpectations expected = good_expectations(&rows[SHARDING]);

    expected.fork_block.number = 43;
    assert_run(&rows[SHARDING], &expected, "PPPPFN");
    expected.fork_block = (KhExpectedNumber){0};
    assert_run(&rows[SHARDING], &expected, "PPPPFN");
    expected.fork_block = own_number(42);
    expected.fork_block.source = KH_SOURCE_HOST;
    assert_run(&rows[SHARDING], &expected, "PPPPFN");
    expected = good_expectations(&rows[MESSAGES]);
    expected.fork_block = own_number(42);
    assert_run(&rows[MESSAGES], &expected, "PPPPFP");
}

static void
other_messages(void)
{
    Row row = rows[MESSAGES];
    KhKatanaExpectations expected = good_expectations(&row);
    g_autoptr(GString) many = g_string_new("[");

    row.l2_to_l1 = "[]";
    assert_run(&row, &expected, "PPPPPF");
    row.l2_to_l1 = NULL;
    assert_run(&row, &expected, "PPPPPF");
    row.l2_to_l1 = "[{\"from_address\":\"0x111\",\"to_address\":\"0x222\",\"payload\":[]}]";
    assert_run(&row, &expected, "PPPPPF");
    for (guint i = 0; i < 10001; i++)
        g_string_append_printf(many,
                               "%s{\"from_address\":\"0x1\",\"to_address\":\"0x2\",\"payload\":[]}",
                               i == 0 ? "" : ",");
    row.l2_to_l1 = g_string_append_c(many, ']')->str;
    assert_run(&row, &expected, "PPPPPS");
}

/* --- earlier schemas ----------------------------------------------------------------- */

/* A report with @data at its place, otherwise zero. */
static char *
make_report(const guint8 data[KH_QUOTE_REPORT_DATA_SIZE])
{
    GString *hex = g_string_new("0x");

    for (gsize i = 0; i < 1184; i++) {
        gboolean inside = i >= 0x50 && i < 0x50 + KH_QUOTE_REPORT_DATA_SIZE;

        g_string_append_printf(hex, "%02x", inside ? data[i - 0x50] : 0);
    }
    return g_string_free(hex, FALSE);
}

/* The range schema is a hash of these felts in their order, and zeros. */
static void
range_schema(void)
{
    static const char *const appchain[] = {"0xa1", "0xc1", "0xa0",     "0xc0",
                                           "0x1",  "0x2",  NO_MESSAGES};
    static const char *const sharding[] = {"0xa1", "0xc1", "0xa0", "0xc0",
                                           "0x1",  "0x2",  "0x2a", "0xe1"};
    g_autoptr(KhPoseidon) poseidon = kh_poseidon_new();

    for (int k = 0; k < 2; k++) {
        const char *const *texts = k == 0 ? appchain : sharding;
        gsize n = k == 0 ? G_N_ELEMENTS(appchain) : G_N_ELEMENTS(sharding);
        guint8 data[KH_QUOTE_REPORT_DATA_SIZE] = {0};
        g_autofree char *report = NULL;
        KhKatanaExpectations expected = {.block = own_number(2)};
        KhFelt felts[8], hash;
        Row row = {
            "range", "0xa1",      "0xc1", "0xa0", "0xc0", "0x1", "0x2", k == 0 ? NULL : "0x2a",
            "0xe1",  NO_MESSAGES, NULL,   "[]",   "[]",   NULL};

        for (gsize i = 0; i < n; i++)
            felts[i] = felt(texts[i]);
        kh_poseidon_array(poseidon, felts, n, &hash);
        memcpy(data, hash.bytes, sizeof hash.bytes);
        row.mock = report = make_report(data);
        if (k == 1)
            expected.fork_block = own_number(42);
        assert_run(&row, &expected, k == 0 ? "PPNPPP" : "PPNPPN");
        expected.chain_id = own_felt("0x1");
        assert_run(&row, &expected, k == 0 ? "PPFPPP" : "PPFPPN");
    }
}

/* The values of a quote that Katana's README shows. */
static const char block_result[] =
    "{\"quote\":\"%s\",\"stateRoot\":"
    "\"0x1d89a119a324817db2eeee4b68ab886d40ef1f6812768882db55c4b82e0701b\",\"blockHash\":"
    "\"0x13ff95ae61d6da161cc0c9493199a655ff3e25acce2babdc447efccbf09909c\",\"blockNumber\":0}";
static const char block_data[] =
    "0x5e1f35913fe09ee5c672a1f1f941dbef203852e79fd118afe9fc09c0e2c242d";

static void
assert_block_schema(const KhQuote *quote)
{
    KhKatanaExpectations none = {0}, expected = none;
    g_autoptr(KhChecks) unasked = run_on(quote, &none);
    g_autoptr(KhChecks) asked = NULL, hash = NULL, number = NULL;

    assert_statuses(unasked, "PPNNNN");
    g_assert_true(kh_quote_is_legacy(quote));
    expected.chain_id = own_felt("0x1");
    expected.block = own_number(0);
    expected.prev_block = own_felt(NO_BLOCK);
    asked = run_on(quote, &expected);
    assert_statuses(asked, "PPFFFN");
    expected = none;
    expected.block_hash = own_felt("0x0");
    expected.block_hash.felt = quote->block_hash;
    hash = run_on(quote, &expected);
    assert_statuses(hash, "PPNPNN");
    expected = none;
    expected.block = own_number(5);
    expected.block.source = KH_SOURCE_HOST;
    number = run_on(quote, &expected);
    assert_statuses(number, "PPNNNN");
}

static void
block_schema(void)
{
    guint8 data[KH_QUOTE_REPORT_DATA_SIZE] = {0};
    KhFelt hash = felt(block_data);
    KhKatanaExpectations none = {0};
    g_autofree char *report = NULL, *filled_report = NULL, *text = NULL, *filled_text = NULL;
    g_autoptr(KhQuote) quote = NULL, filled = NULL;
    g_autoptr(KhChecks) checks = NULL;

    memcpy(data, hash.bytes, sizeof hash.bytes);
    report = make_report(data);
    text = g_strdup_printf(block_result, report);
    quote = parse(text);
    assert_block_schema(quote);
    data[63] = 1;
    filled_report = make_report(data);
    filled_text = g_strdup_printf(block_result, filled_report);
    filled = parse(filled_text);
    checks = run_on(filled, &none);
    assert_statuses(checks, "PPFNNN");
}

/* --- mocks --------------------------------------------------------------------------- */

static void
mocks(void)
{
    for (gsize at = 0; at < 72; at++) {
        g_autofree char *mock = g_strdup(rows[0].mock);
        Row row = rows[0];
        g_autoptr(KhQuote) quote = NULL;
        g_autoptr(GError) error = NULL;

        mock[2 + 2 * at] = mock[2 + 2 * at] == '0' ? '1' : '0';
        row.mock = mock;
        quote = make_quote(&row);
        g_assert_null(kh_quote_report_data(quote, &error));
        g_assert_error(error, KH_ERROR, KH_ERROR_FAILED);
    }
}

static void
not_bound(void)
{
    for (gsize i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(KhQuote) quote = make_quote(&rows[i]);
        const char *const *names = kh_katana_binding_not_bound(quote);

        g_assert_cmpint(g_strv_contains(names, "messages"), ==, i == SHARDING);
        g_assert_cmpint(g_strv_contains(names, "events"), ==, i != SHARDING);
        g_assert_false(g_strv_contains(names, "chain id"));
    }
}

/* --- real data ----------------------------------------------------------------------- */

static const char *
get_text(JsonObject *object, const char *name)
{
    return json_object_has_member(object, name) ? json_object_get_string_member(object, name)
                                                : NULL;
}

static void
try_case(JsonObject *object)
{
    JsonObject *in = json_object_get_object_member(object, "inputs");
    KhKatanaExpectations none = {0};
    g_autoptr(KhChecks) checks = NULL;
    Row row = {.mock = get_text(object, "mock_quote")};

    row.prev_root = get_text(in, "prev_state_root") ? get_text(in, "prev_state_root") : "0x0";
    row.root = get_text(in, "state_root");
    row.prev_hash = get_text(in, "prev_block_hash") ? get_text(in, "prev_block_hash") : "0x0";
    row.hash = get_text(in, "block_hash");
    row.prev = get_text(in, "prev_block_number");
    row.block = get_text(in, "block_number");
    row.fork = get_text(in, "fork_block_number");
    row.events = get_text(in, "events_commitment") ? get_text(in, "events_commitment") : "0x0";
    row.messages = get_text(object, "messages_commitment") ? get_text(object, "messages_commitment")
                                                           : NO_MESSAGES;
    row.config = strstr(get_text(object, "name"), "SEPOLIA") ? SEPOLIA_CONFIG : KATANA_CONFIG;
    checks = run(&row, &none);
    g_test_message("%s", get_text(object, "name"));
    g_assert_true(kh_checks_passed(checks, "K1"));
    g_assert_true(kh_checks_passed(checks, "K2"));
    g_assert_cmpint(kh_checks_find(checks, "K3")->status, ==, KH_CHECK_SKIPPED);
}

static void
assert_config(KhPedersen *pedersen, const char *chain, const char *expected)
{
    KhFelt id, token, hash;
    g_autofree char *text = NULL;

    g_assert_true(kh_felt_from_chain_id(chain, &id, NULL));
    kh_report_data_default_fee_token(&token);
    kh_report_data_config_hash(pedersen, &id, &token, &hash);
    text = kh_felt_to_string(&hash);
    g_assert_cmpstr(text, ==, expected);
}

static void
vectors(void)
{
    g_autoptr(JsonNode) root = tee_data_json("katana/report_data_vectors.json");
    g_autoptr(KhPedersen) pedersen = kh_pedersen_new();
    JsonObject *object, *hashes;
    JsonArray *cases;

    if (root == NULL)
        return;
    object = json_node_get_object(root);
    hashes = json_object_get_object_member(object, "config_hash");
    assert_config(pedersen, "KATANA", get_text(hashes, "KATANA_STRK"));
    assert_config(pedersen, "SN_SEPOLIA", get_text(hashes, "SN_SEPOLIA_STRK"));
    cases = json_object_get_array_member(object, "cases");
    g_assert_cmpuint(json_array_get_length(cases), ==, 5);
    for (guint i = 0; i < json_array_get_length(cases); i++)
        try_case(json_array_get_object_element(cases, i));
}

static void
real_answers(void)
{
    static const char *const names[] = {
        "katana/readme_response.json",
        "katana/151494b0_crates_tee_client_tests_fixtures_block_0_attestation.json",
        "katana/1b635ac1_tests_e2e_fixtures_attestation.json"};

    for (gsize i = 0; i < G_N_ELEMENTS(names); i++) {
        g_autofree char *path = tee_data_path(names[i]);
        g_autofree char *text = NULL;
        g_autoptr(KhQuote) quote = NULL;
        g_autoptr(GError) error = NULL;
        gsize length;

        if (path == NULL)
            return;
        g_file_get_contents(path, &text, &length, &error);
        g_assert_no_error(error);
        quote = i == 0 ? kh_quote_parse_answer(text, length, &error)
                       : kh_quote_parse(text, length, &error);
        g_assert_no_error(error);
        assert_block_schema(quote);
    }
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/quote/requests", requests);
    g_test_add_func("/quote/node-errors", node_errors);
    g_test_add_func("/quote/whole-answer", whole_answer);
    g_test_add_func("/quote/sizes", sizes);
    g_test_add_func("/quote/nesting", nesting);
    g_test_add_func("/quote/mocks", mocks);
    g_test_add_func("/binding/faults", faults);
    g_test_add_func("/binding/unknown-shapes", unknown_shapes);
    g_test_add_func("/binding/known-rows", known_rows);
    g_test_add_func("/binding/altered-facts", altered_facts);
    g_test_add_func("/binding/other-chain", other_chain);
    g_test_add_func("/binding/second-half", second_half);
    g_test_add_func("/binding/blocks", blocks);
    g_test_add_func("/binding/ranges", ranges);
    g_test_add_func("/binding/bad-ends", bad_ends);
    g_test_add_func("/binding/forks", forks);
    g_test_add_func("/binding/other-messages", other_messages);
    g_test_add_func("/binding/range-schema", range_schema);
    g_test_add_func("/binding/block-schema", block_schema);
    g_test_add_func("/binding/not-bound", not_bound);
    g_test_add_func("/binding/vectors", vectors);
    g_test_add_func("/binding/real-answers", real_answers);
    return g_test_run();
}
