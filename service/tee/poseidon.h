/* SPDX-License-Identifier: MIT */
/* Starknet's Poseidon hash over the Stark field. Used for the commitments of Katana's quotes. */
#pragma once

#include "felt.h"

G_BEGIN_DECLS

/* The round constants, and room to count in. Not for two threads at once. */
typedef struct _KhPoseidon KhPoseidon;

KhPoseidon *kh_poseidon_new(void);
void kh_poseidon_free(KhPoseidon *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(KhPoseidon, kh_poseidon_free)

/* Of two felts: Cairo's poseidon_hash. @hash may be one of them. */
void kh_poseidon_pair(KhPoseidon *self, const KhFelt *a, const KhFelt *b, KhFelt *hash);

/* Of any number of felts: Cairo's poseidon_hash_many. */
void kh_poseidon_array(KhPoseidon *self, const KhFelt *felts, gsize n, KhFelt *hash);

G_END_DECLS
