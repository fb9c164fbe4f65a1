/* SPDX-License-Identifier: MIT */
/* A host's story; see attest-story.h. */
#include "attest-story.h"

#include <string.h>

#include "bytes.h"
#include "report-data.h"

#define NO_MESSAGES "0x5fc5cd084f301e3cf8cfdf8aebb87864d0f38ece733b820441ec4fef9004af"
#define MOCK_MARK "MOCK"

void
kh_test_story_init(KhTestStory *self, const KhTestKeys *keys)
{
    memset(self, 0, sizeof *self);
    self->keys = keys;
    kh_test_root_init(&self->root, keys, KH_PRODUCT_MILAN);
    kh_test_intermediate_init(&self->intermediate, keys, KH_PRODUCT_MILAN, FALSE);
    kh_test_leaf_init(&self->leaf, keys, KH_PRODUCT_MILAN, FALSE);
    kh_test_crl_init(&self->crl, keys, KH_PRODUCT_MILAN);
    kh_test_report_init(self->report, 3, KH_PRODUCT_MILAN, FALSE);
    self->signer = keys->chip;
    self->chain_id = KH_TEST_CHAIN_ID;
    self->block = KH_TEST_BLOCK;
    self->block_hash = KH_TEST_BLOCK_HASH;
    self->state_root = KH_TEST_STATE_ROOT;
}

void
kh_test_story_clear(KhTestStory *self)
{
    kh_test_certificate_clear(&self->root);
    kh_test_certificate_clear(&self->intermediate);
    kh_test_certificate_clear(&self->leaf);
    g_free(self->crl.issuer);
}

static char *
config_hash(const KhTestStory *self)
{
    g_autoptr(KhPedersen) pedersen = kh_pedersen_new();
    g_autoptr(GError) error = NULL;
    KhFelt chain_id, token, hash;

    kh_felt_from_chain_id(self->chain_id, &chain_id, &error);
    g_assert_no_error(error);
    kh_report_data_default_fee_token(&token);
    kh_report_data_config_hash(pedersen, &chain_id, &token, &hash);
    return kh_felt_to_string(&hash);
}

static char *
write_answer(const KhTestStory *self, const guint8 *quote, gsize length, const char *hash)
{
    g_autofree char *hex = kh_bytes_to_hex(quote, length);
    g_autofree char *config = config_hash(self);
    g_autofree char *fork = self->fork == NULL
                                ? g_strdup("")
                                : g_strdup_printf(",\"forkBlockNumber\":\"%s\"", self->fork);

    if (self->legacy)
        return g_strdup_printf("{\"quote\":\"0x%s\",\"stateRoot\":\"%s\",\"blockHash\":\"%s\","
                               "\"blockNumber\":%" G_GUINT64_FORMAT "}",
                               hex, self->state_root, hash, self->block);
    return g_strdup_printf(
        "{\"quote\":\"0x%s\",\"prevStateRoot\":\"0x506\",\"stateRoot\":\"%s\","
        "\"prevBlockHash\":\"0xb06\",\"blockHash\":\"%s\",\"prevBlockNumber\":\"0x%x\","
        "\"blockNumber\":\"0x%x\",\"eventsCommitment\":\"0x0\",\"messagesCommitment\":\"%s\","
        "\"katanaTeeConfigHash\":\"%s\",\"l2ToL1Messages\":[],\"l1ToL2Messages\":%s%s}",
        hex, self->state_root, hash, (guint)self->block - 1, (guint)self->block,
        self->fork == NULL ? NO_MESSAGES : "0x0", config,
        self->l1_to_l2 == NULL ? "[]" : self->l1_to_l2, fork);
}

static void
compute_data(const KhTestStory *self, guint8 data[KH_QUOTE_REPORT_DATA_SIZE])
{
    static const guint8 zeros[KH_REPORT_SIZE];
    g_autofree char *text = write_answer(self, zeros, sizeof zeros, self->block_hash);
    g_autoptr(GError) error = NULL;
    g_autoptr(KhQuote) quote = kh_quote_parse(text, strlen(text), &error);
    g_autoptr(KhPoseidon) poseidon = kh_poseidon_new();

    g_assert_no_error(error);
    g_assert_cmpstr(quote->fault, ==, NULL);
    kh_report_data_compute(poseidon, quote, data);
}

static void
make_mock(const guint8 *data, guint8 mock[KH_REPORT_MOCK_SIZE])
{
    guint32 sum = 0;

    memcpy(mock, MOCK_MARK, 4);
    memcpy(mock + 4, data, KH_QUOTE_REPORT_DATA_SIZE);
    for (int i = 0; i < KH_REPORT_MOCK_SIZE - 4; i++)
        sum += mock[i];
    sum = GUINT32_TO_LE(sum);
    memcpy(mock + KH_REPORT_MOCK_SIZE - 4, &sum, 4);
}

char *
kh_test_story_tell(const KhTestStory *self)
{
    const char *hash = self->shown_hash == NULL ? self->block_hash : self->shown_hash;
    guint8 report[KH_REPORT_SIZE], data[KH_QUOTE_REPORT_DATA_SIZE];

    compute_data(self, data);
    if (self->mock) {
        make_mock(data, report);
        return write_answer(self, report, KH_REPORT_MOCK_SIZE, hash);
    }
    memcpy(report, self->report, sizeof report);
    memcpy(report + 0x50, data, sizeof data);
    kh_test_report_sign(report, self->signer);
    return write_answer(self, report, sizeof report, hash);
}
