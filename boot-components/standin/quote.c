/* SPDX-License-Identifier: MIT */
/* See quote.h. Names and order are those of Katana's crates/tee/src/attestation.rs. */
#include "quote.h"

#include "felt.h"

#include <inttypes.h>
#include <string.h>

#define STRK_TOKEN "0x4718f5a0fc34cc1af16a1cdee98ffb20c31f5cd61d6ab07201858f4287c938d"
#define STARKNET_VERSION "0.13.4"

struct block {
    struct felt number;
    struct felt hash;
    struct felt state_root;
};

/* One of a kind of facts of a block. */
static struct felt
make_fact(const struct chain *chain, const char *kind, uint64_t number)
{
    const struct felt felts[] = {
        felt_short_string(kind),
        felt_parse(chain->id),
        felt_number(number),
    };

    return felt_poseidon(felts, sizeof felts / sizeof *felts);
}

static struct block
make_block(const struct chain *chain, uint64_t number)
{
    return (struct block){
        .number = felt_number(number),
        .hash = make_fact(chain, "StandInBlock", number),
        .state_root = make_fact(chain, "StandInState", number),
    };
}

/* What Katana says of the block before the first. */
static struct block
make_no_block(void)
{
    return (struct block){.number = felt_max()};
}

static void
put_felt(struct buf *out, const char *name, const struct felt *felt)
{
    char text[FELT_TEXT_SIZE];

    felt_print(felt, text);
    buf_printf(out, "\"%s\":\"%s\",", name, text);
}

/* --- the block ----------------------------------------------------------------------- */

void
quote_put_block(struct buf *out, const struct chain *chain, uint64_t number)
{
    static const char *const prices[] = {"l1_gas_price", "l2_gas_price", "l1_data_gas_price"};
    const struct block block = make_block(chain, number);
    const struct block parent = number > 0 ? make_block(chain, number - 1) : (struct block){0};

    buf_puts(out, "{\"status\":\"ACCEPTED_ON_L2\",");
    put_felt(out, "block_hash", &block.hash);
    put_felt(out, "parent_hash", &parent.hash);
    put_felt(out, "new_root", &block.state_root);
    buf_printf(out, "\"block_number\":%" PRIu64 ",\"timestamp\":%" PRIu64 ",", number,
               chain_time(chain, number));
    for (size_t i = 0; i < sizeof prices / sizeof *prices; i++)
        buf_printf(out, "\"%s\":{\"price_in_fri\":\"0x1\",\"price_in_wei\":\"0x1\"},", prices[i]);
    buf_puts(out, "\"sequencer_address\":\"0x1\",\"l1_da_mode\":\"CALLDATA\","
                  "\"starknet_version\":\"" STARKNET_VERSION "\",\"transactions\":[]}");
}

/* --- the quote ----------------------------------------------------------------------- */

static struct felt
make_config_hash(const struct chain *chain)
{
    const struct felt felts[] = {
        felt_short_string("KatanaTeeConfig1"),
        felt_parse(chain->id),
        felt_parse(STRK_TOKEN),
    };

    return felt_pedersen(felts, sizeof felts / sizeof *felts);
}

/* Of no messages in either direction. */
static struct felt
make_messages_commitment(void)
{
    const struct felt none = felt_poseidon(NULL, 0);
    const struct felt felts[] = {none, none};

    return felt_poseidon(felts, sizeof felts / sizeof *felts);
}

struct facts {
    struct block prev;
    struct block block;
    struct felt messages;
    struct felt config;
};

static struct felt
make_commitment(const struct facts *facts)
{
    const struct felt felts[] = {
        felt_short_string("KatanaTeeReport1"),
        felt_short_string("KatanaTeeAppchain"),
        facts->prev.state_root,
        facts->block.state_root,
        facts->prev.hash,
        facts->block.hash,
        facts->prev.number,
        facts->block.number,
        facts->messages,
        facts->config,
    };

    return felt_poseidon(felts, sizeof felts / sizeof *felts);
}

static bool
make_report(const struct facts *facts, const struct attester *attester, uint8_t report[REPORT_SIZE])
{
    const struct felt commitment = make_commitment(facts);
    uint8_t data[REPORT_DATA_SIZE];

    memcpy(data, commitment.bytes, FELT_SIZE);
    memcpy(data + FELT_SIZE, facts->config.bytes, FELT_SIZE);
    return attester_report(attester, data, report);
}

bool
quote_put(struct buf *out, const struct chain *chain, const struct attester *attester,
          const uint64_t *prev, uint64_t block)
{
    const struct felt none = {{0}};
    const struct facts facts = {
        .prev = prev == NULL ? make_no_block() : make_block(chain, *prev),
        .block = make_block(chain, block),
        .messages = make_messages_commitment(),
        .config = make_config_hash(chain),
    };
    uint8_t report[REPORT_SIZE];

    if (!make_report(&facts, attester, report))
        return false;
    buf_puts(out, "{\"quote\":\"0x");
    for (size_t i = 0; i < sizeof report; i++)
        buf_printf(out, "%02x", report[i]);
    buf_puts(out, "\",");
    put_felt(out, "prevStateRoot", &facts.prev.state_root);
    put_felt(out, "stateRoot", &facts.block.state_root);
    put_felt(out, "prevBlockHash", &facts.prev.hash);
    put_felt(out, "blockHash", &facts.block.hash);
    put_felt(out, "prevBlockNumber", &facts.prev.number);
    put_felt(out, "blockNumber", &facts.block.number);
    put_felt(out, "eventsCommitment", &none);
    put_felt(out, "messagesCommitment", &facts.messages);
    put_felt(out, "katanaTeeConfigHash", &facts.config);
    buf_puts(out, "\"l2ToL1Messages\":[],\"l1ToL2Messages\":[]}");
    return true;
}
