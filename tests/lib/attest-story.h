/* SPDX-License-Identifier: MIT */
/*
 * What a host tells about an instance, with a processor of the tests' own: a block, Katana's
 * answer about it, and a report that truly binds it. Every part may be changed before it is told.
 */
#pragma once

#include "tee-chain.h"

G_BEGIN_DECLS

#define KH_TEST_CHAIN_ID "KATANA"
#define KH_TEST_BLOCK 7
#define KH_TEST_BLOCK_HASH "0xb07"
#define KH_TEST_STATE_ROOT "0x507"

typedef struct {
    const KhTestKeys *keys;
    KhTestCertificate root, intermediate, leaf;
    KhTestCrl crl;
    guint8 report[KH_REPORT_SIZE]; /* without report data, not signed */
    EVP_PKEY *signer;
    const char *chain_id;
    guint64 block;
    const char *block_hash, *state_root;
    const char *fork;       /* the block that it was forked at; NULL: it was not */
    const char *l1_to_l2;   /* messages in the answer, a JSON array; NULL: none */
    const char *shown_hash; /* in the answer, instead of what the report binds; NULL */
    gboolean legacy;        /* the answer of January 2026 */
    gboolean mock;
} KhTestStory;

void kh_test_story_init(KhTestStory *self, const KhTestKeys *keys);
void kh_test_story_clear(KhTestStory *self);

/* The result of tee_generateQuote; transfer full. */
char *kh_test_story_tell(const KhTestStory *self);

G_END_DECLS
