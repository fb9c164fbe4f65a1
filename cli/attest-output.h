/* SPDX-License-Identifier: MIT */
/* An attestation for people and as JSON. Used by attest.c. */
#pragma once

#include "attestation.h"

G_BEGIN_DECLS

typedef struct {
    const char *name; /* the instance's, harmless for a terminal */
    const KhAttestationInput *input;
    const KhAttestation *result;
    const GPtrArray *notes; /* of char * */
} KhAttestOutput;

/* One document. */
void kh_attest_output_json(const KhAttestOutput *output);

/* The verdict stands alone on the last line. */
void kh_attest_output_text(const KhAttestOutput *output);

G_END_DECLS
