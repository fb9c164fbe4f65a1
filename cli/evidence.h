/* SPDX-License-Identifier: MIT */
/*
 * What the service says of a confidential instance for its attestation: every word of it a
 * claim of the host's, taken only in the type and size that it must have. Used by attest.c.
 */
#pragma once

#include "certificates.h"
#include "client.h"
#include "quote.h"

G_BEGIN_DECLS

typedef struct {
    char *name;          /* as it was asked for, or the file's; harmless for a terminal */
    KhQuote *quote;      /* NULL: there is none */
    char *quote_fault;   /* why not */
    char *id;            /* the instance's, which a sealed disk has for its UUID; NULL */
    GBytes *measurement; /* what the host expects, 48 bytes; NULL */
    gboolean has_block_time;
    guint64 block_time;
    gboolean old_form;  /* the quote is of the latest block, whatever was asked for */
    gboolean simulated; /* the host says so itself */
    guint32 vcpus;      /* 0: it says nothing; so for the next */
    char *vcpu_type;    /* NULL; harmless for a terminal */
    gboolean has_features;
    guint64 features;
    KhCertificates *certificates;
} KhEvidence;

/*
 * Asks for the evidence of @name, with the @options (a{sv}, taken) of GetEvidence. The errors
 * of the service; KH_ERROR_FAILED for an answer of another type. Transfer full.
 */
KhEvidence *kh_evidence_fetch(KhCli *cli, const char *name, GVariant *options, GError **error);

/*
 * The same from the file @path, which holds the answer of a Katana to tee_generateQuote or its
 * result alone, without any other claim. The errors of kh_bytes_read_file(). Transfer full.
 */
KhEvidence *kh_evidence_read(const char *path, GError **error);

void kh_evidence_free(KhEvidence *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(KhEvidence, kh_evidence_free)

G_END_DECLS
