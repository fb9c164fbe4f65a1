/* SPDX-License-Identifier: MIT */
/*
 * What a block of the stand-in's chain is, and the quote over a range of them in Katana's
 * form of today (KatanaTeeReport1, appchain, no messages). Every fact follows from chain id
 * and number, but for the time. Used by rpc.c.
 */
#ifndef STANDIN_QUOTE_H
#define STANDIN_QUOTE_H

#include "attester.h"
#include "buf.h"
#include "chain.h"

/* Adds the block in the form of starknet_getBlockWithTxHashes. */
void quote_put_block(struct buf *out, const struct chain *chain, uint64_t number);

/* Adds the quote over the blocks after *prev (NULL: from the first) up to block. False where
 * libcrypto fails. */
bool quote_put(struct buf *out, const struct chain *chain, const struct attester *attester,
               const uint64_t *prev, uint64_t block);

#endif
