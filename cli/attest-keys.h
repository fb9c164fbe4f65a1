/* SPDX-License-Identifier: MIT */
/*
 * What AMD's key service, or the cache of it, has for the report of a quote: certificates and
 * the list of revoked ones. Waits, but not for ever. Used by attest.c.
 */
#pragma once

#include "attest-options.h"
#include "cli.h"

G_BEGIN_DECLS

typedef struct {
    KhCli *cli;
    const KhAttestOptions *options;
    const KhAnchors *anchors;
    const KhPolicy *policy;
    const KhCertificates *known; /* of everybody: they may tell the product; trusted by none */
    gint64 time;                 /* of verification, seconds since 1970 */
    const char *folder;          /* of the cache; NULL: the user's, for AMD's own */
} KhAttestKeysInput;

typedef struct {
    KhCertificates *certificates;
    GBytes *crl;         /* NULL: it could not be had */
    GPtrArray *troubles; /* of char *, one sentence for each thing that could not be had */
} KhAttestKeys;

/*
 * Gets what belongs to @report. KH_ERROR_INVALID_ARGUMENT for an address that is none,
 * KH_ERROR_TIMED_OUT; what could not be had is no error. Transfer full.
 */
KhAttestKeys *kh_attest_keys_fetch(const KhAttestKeysInput *input, const KhReport *report,
                                   GError **error);

void kh_attest_keys_free(KhAttestKeys *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(KhAttestKeys, kh_attest_keys_free)

G_END_DECLS
