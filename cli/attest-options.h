/* SPDX-License-Identifier: MIT */
/*
 * What a verifier says to attest: his expectations, where certificates come from, and what he
 * puts up with. Used by attest.c.
 */
#pragma once

#include "attestation.h"
#include "launch-options.h"

G_BEGIN_DECLS

typedef struct {
    KhLaunchOptions launch;
    char *measurement, *build_info, *sealed;
    char *chain_id, *fee_token, *block, *min_block, *prev, *state_root, *block_hash;
    char *chip_id, *fork_block, *min_tcb;
    char *quote; /* the file that stands for the service */
    char *certs, *crl, *policy, *trust_ark, *at, *key_service;
    gboolean unsealed, offline, trust_host, mock;
} KhAttestOptions;

void kh_attest_options_clear(KhAttestOptions *self);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(KhAttestOptions, kh_attest_options_clear)

/* The entries for kh_cli_parse(), with an ending one; transfer full, g_free(). */
GOptionEntry *kh_attest_options_entries(KhAttestOptions *self);

/* Whether the options fit each other. KH_ERROR_INVALID_ARGUMENT. */
gboolean kh_attest_options_check(const KhAttestOptions *self, GError **error);

/* The policy file and what the options add to it; transfer full. KH_ERROR_INVALID_ARGUMENT. */
KhPolicy *kh_attest_options_policy(const KhAttestOptions *self, GError **error);

/* What is expected of block and chain. KH_ERROR_INVALID_ARGUMENT. */
gboolean kh_attest_options_katana(const KhAttestOptions *self, KhKatanaExpectations *expected,
                                  GError **error);

/* Whether the expected measurement comes from files. */
gboolean kh_attest_options_have_files(const KhAttestOptions *self);

/*
 * The launch that the files describe; *cmdline is what belongs to it, transfer full. What its
 * shape leaves open has been filled in. KH_ERROR_INVALID_ARGUMENT without a kernel, else as
 * kh_launch_options_load(). Transfer full.
 */
KhBootParts *kh_attest_options_load(KhAttestOptions *self, KhCli *cli, char **cmdline,
                                    GError **error);

G_END_DECLS
