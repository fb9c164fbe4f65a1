/* SPDX-License-Identifier: MIT */
/*
 * What a report says about Katana: the checks K1 to K6, which bind the block that a quote
 * names, its range and the chain's configuration to the report's data. Run beside the checks
 * of the report itself, which make that data worth believing.
 */
#pragma once

#include "checks.h"
#include "quote.h"

G_BEGIN_DECLS

/* Zeroed: not expected. */
typedef struct {
    gboolean set;
    KhCheckSource source;
    KhFelt felt;
} KhExpectedFelt;

typedef struct {
    gboolean set;
    KhCheckSource source;
    guint64 number;
} KhExpectedNumber;

typedef struct {
    KhExpectedFelt chain_id;
    KhExpectedFelt fee_token; /* not set: STRK */
    KhExpectedNumber block, min_block;
    KhExpectedFelt block_hash, state_root;
    KhExpectedFelt prev_block; /* p - 1 for none; not set: the one before the block */
    KhExpectedNumber fork_block;
} KhKatanaExpectations;

/* Adds K1 to K6, K1 to K5 required, not yet settled. */
void kh_katana_binding_add_checks(KhChecks *checks);

/*
 * Settles K1 to K6 of @quote; @report_data are the 64 bytes of its report. An expectation on
 * what the quote's schema does not bind fails its check, unless the host has claimed it.
 */
void kh_katana_binding_run(KhChecks *checks, const KhQuote *quote, const guint8 *report_data,
                           const KhKatanaExpectations *expectations);

/* Names of what the answer holds and its schema does not bind; NULL-terminated, static. */
const char *const *kh_katana_binding_not_bound(const KhQuote *quote);

G_END_DECLS
