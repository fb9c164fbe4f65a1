/* SPDX-License-Identifier: MIT */
/* What Katana puts into a report; see report-data.h. */
#include "report-data.h"

#include <string.h>

/* Katana's crates/chain-spec/src/tee.rs. */
#define CONFIG_TAG "KatanaTeeConfig1"
#define REPORT_TAG "KatanaTeeReport1"
#define APPCHAIN_TAG "KatanaTeeAppchain"
#define SHARDING_TAG "KatanaTeeSharding"

#define STRK_TOKEN "0x4718f5a0fc34cc1af16a1cdee98ffb20c31f5cd61d6ab07201858f4287c938d"

#define FELTS_MAX 11

/* The felts of a commitment in their order. */
typedef struct {
    KhFelt felts[FELTS_MAX];
    gsize n;
} List;

static void
append(List *list, const KhFelt *felt)
{
    list->felts[list->n++] = *felt;
}

static void
append_tag(List *list, const char *tag)
{
    kh_felt_from_short_string(tag, &list->felts[list->n++], NULL);
}

void
kh_report_data_default_fee_token(KhFelt *token)
{
    kh_felt_parse(STRK_TOKEN, token, NULL);
}

void
kh_report_data_config_hash(KhPedersen *pedersen, const KhFelt *chain_id, const KhFelt *fee_token,
                           KhFelt *hash)
{
    List list = {.n = 0};

    append_tag(&list, CONFIG_TAG);
    append(&list, chain_id);
    append(&list, fee_token);
    kh_pedersen_array(pedersen, list.felts, list.n, hash);
}

/* Of [from, to, hash of [length, payload]]. */
static void
hash_message(KhPoseidon *poseidon, const KhQuoteMessage *message, KhFelt *hash)
{
    g_autoptr(GArray) payload = g_array_copy(message->payload);
    KhFelt length;
    List list = {.n = 0};

    kh_felt_from_u64(payload->len, &length);
    g_array_prepend_val(payload, length);
    append(&list, &message->from);
    append(&list, &message->to);
    kh_poseidon_array(poseidon, (const KhFelt *)(gpointer)payload->data, payload->len, hash);
    append(&list, hash);
    kh_poseidon_array(poseidon, list.felts, list.n, hash);
}

void
kh_report_data_messages_commitment(KhPoseidon *poseidon, const GPtrArray *l2_to_l1, KhFelt *hash)
{
    g_autoptr(GArray) hashes = g_array_new(FALSE, FALSE, sizeof(KhFelt));
    List list = {.n = 2};

    for (guint i = 0; i < l2_to_l1->len; i++) {
        hash_message(poseidon, l2_to_l1->pdata[i], hash);
        g_array_append_vals(hashes, hash, 1);
    }
    kh_poseidon_array(poseidon, (const KhFelt *)(gpointer)hashes->data, hashes->len,
                      &list.felts[0]);
    kh_poseidon_array(poseidon, NULL, 0, &list.felts[1]);
    kh_poseidon_array(poseidon, list.felts, list.n, hash);
}

/* Those of a schema that binds a range of blocks. */
static void
append_range(List *list, const KhQuote *quote)
{
    append(list, &quote->prev_state_root);
    append(list, &quote->state_root);
    append(list, &quote->prev_block_hash);
    append(list, &quote->block_hash);
    append(list, &quote->prev_block_number);
    append(list, &quote->block_number);
    if (quote->sharding) {
        append(list, &quote->fork_block_number);
        append(list, &quote->events_commitment);
    } else {
        append(list, &quote->messages_commitment);
    }
}

static void
hash_commitment(KhPoseidon *poseidon, const KhQuote *quote, KhFelt *hash)
{
    List list = {.n = 0};

    if (quote->schema == KH_QUOTE_BLOCK) {
        kh_poseidon_pair(poseidon, &quote->state_root, &quote->block_hash, hash);
        return;
    }
    if (quote->schema == KH_QUOTE_CONFIG) {
        append_tag(&list, REPORT_TAG);
        append_tag(&list, quote->sharding ? SHARDING_TAG : APPCHAIN_TAG);
    }
    append_range(&list, quote);
    if (quote->schema == KH_QUOTE_CONFIG)
        append(&list, &quote->config_hash);
    kh_poseidon_array(poseidon, list.felts, list.n, hash);
}

void
kh_report_data_compute(KhPoseidon *poseidon, const KhQuote *quote,
                       guint8 data[KH_QUOTE_REPORT_DATA_SIZE])
{
    KhFelt hash;

    hash_commitment(poseidon, quote, &hash);
    memset(data, 0, KH_QUOTE_REPORT_DATA_SIZE);
    memcpy(data, hash.bytes, KH_FELT_SIZE);
    if (quote->schema == KH_QUOTE_CONFIG)
        memcpy(data + KH_FELT_SIZE, quote->config_hash.bytes, KH_FELT_SIZE);
}
