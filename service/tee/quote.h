/* SPDX-License-Identifier: MIT */
/*
 * Katana's quote: the request tee_generateQuote, and what a node answers to it, in each form
 * that Katana has had (crates/rpc/rpc-types/src/tee.rs of Katana). The answer is read whole and
 * strictly; what it means is decided by katana-binding.
 */
#pragma once

#include "felt.h"

#include <json-glib/json-glib.h>

G_BEGIN_DECLS

#define KH_QUOTE_REPORT_DATA_SIZE 64

/* How an answer looks, which says what its report data binds. */
typedef enum {
    KH_QUOTE_UNKNOWN,
    KH_QUOTE_BLOCK,  /* since 45dfb373, January 2026: state root and block hash alone */
    KH_QUOTE_RANGE,  /* since 66e764fc, March 2026: a range of blocks */
    KH_QUOTE_CONFIG, /* since 9f4f7212, May 2026, "KatanaTeeReport1": configuration too */
} KhQuoteSchema;

/* From the chain to where it settles. */
typedef struct {
    KhFelt from, to;
    GArray *payload; /* KhFelt */
} KhQuoteMessage;

typedef struct {
    GBytes *bytes; /* a report, or a mock */
    KhQuoteSchema schema;
    char *fault;       /* why it is KH_QUOTE_UNKNOWN, NULL if it is not */
    gboolean sharding; /* it names the block that it was forked at */
    KhFelt block_number, block_hash, state_root;
    /* Not in KH_QUOTE_BLOCK: */
    KhFelt prev_block_number, prev_block_hash, prev_state_root;
    KhFelt fork_block_number; /* if @sharding */
    KhFelt events_commitment, messages_commitment;
    KhFelt config_hash;    /* in KH_QUOTE_CONFIG */
    GPtrArray *l2_to_l1;   /* KhQuoteMessage */
    guint n_l1_to_l2;      /* these are not kept: their hashes need Keccak-256 */
    guint n_message_felts; /* in @l2_to_l1 */
} KhQuote;

void kh_quote_free(KhQuote *quote);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(KhQuote, kh_quote_free)

/*
 * The JSON-RPC request for the quote over the blocks after @prev up to @block; @prev NULL for
 * all from the first one. Its id is 1. Transfer full.
 */
char *kh_quote_request(const guint64 *prev, guint64 block);

/* The first form of the request, without parameters: the quote of the latest block. */
char *kh_quote_request_old_form(void);

/* Whether @error says that the node did not take the parameters: ask in the old form then. */
gboolean kh_quote_wants_old_form(const GError *error);

/*
 * Reads the node's answer. An error that the node gave becomes KH_ERROR_NOT_SUPPORTED (no
 * such method, no attester), KH_ERROR_INVALID_ARGUMENT (parameters) or KH_ERROR_FAILED.
 * KH_ERROR_LIMIT_EXCEEDED and KH_ERROR_FAILED too for what is no answer, and for one whose
 * quote is neither 1184 nor 72 bytes of hex. Fields that are missing or ill-formed make a
 * quote of KH_QUOTE_UNKNOWN. Transfer full.
 */
KhQuote *kh_quote_parse_answer(const char *text, gsize length, GError **error);

/* The same for the result alone, as it is kept in a file. */
KhQuote *kh_quote_parse(const char *text, gsize length, GError **error);

/* "KatanaTeeReport1 (appchain)"; static. */
const char *kh_quote_schema_name(const KhQuote *quote);

/* Whether the schema binds no configuration. */
gboolean kh_quote_is_legacy(const KhQuote *quote);

/* Whether it is a mock, which anybody can make. */
gboolean kh_quote_is_mock(const KhQuote *quote);

/*
 * The 64 bytes that the quote carries, within it. For a mock whose mark or sum is wrong:
 * NULL, KH_ERROR_FAILED. A report's signature is not looked at here.
 */
const guint8 *kh_quote_report_data(const KhQuote *quote, GError **error);

G_END_DECLS
