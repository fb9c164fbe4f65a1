/* SPDX-License-Identifier: MIT */
/*
 * What Katana puts into a report: the commitment of each schema, the hash of the configuration
 * and that of messages (crates/tee/src/attestation.rs of Katana). Used by katana-binding.
 */
#pragma once

#include "pedersen.h"
#include "poseidon.h"
#include "quote.h"

G_BEGIN_DECLS

/* The STRK token, what Katana takes fees in unless it is told otherwise. */
void kh_report_data_default_fee_token(KhFelt *token);

/* Of a chain with that id and token. */
void kh_report_data_config_hash(KhPedersen *pedersen, const KhFelt *chain_id,
                                const KhFelt *fee_token, KhFelt *hash);

/* Of messages from the chain to where it settles, when there are none in the other direction. */
void kh_report_data_messages_commitment(KhPoseidon *poseidon, const GPtrArray *l2_to_l1,
                                        KhFelt *hash);

/*
 * The 64 bytes that a quote of these facts carries: the commitment, then the configuration's
 * hash, which is zero where the schema has none. The schema is a known one.
 */
void kh_report_data_compute(KhPoseidon *poseidon, const KhQuote *quote,
                            guint8 data[KH_QUOTE_REPORT_DATA_SIZE]);

G_END_DECLS
