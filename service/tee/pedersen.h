/* SPDX-License-Identifier: MIT */
/* Starknet's Pedersen hash. Used for the hash of Katana's configuration. */
#pragma once

#include "felt.h"

G_BEGIN_DECLS

typedef struct _KhPedersen KhPedersen;

KhPedersen *kh_pedersen_new(void);
void kh_pedersen_free(KhPedersen *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(KhPedersen, kh_pedersen_free)

/* Of two felts. @hash may be one of them. */
void kh_pedersen_pair(KhPedersen *self, const KhFelt *a, const KhFelt *b, KhFelt *hash);

/* Of any number: folded from 0, then with how many they are. */
void kh_pedersen_array(KhPedersen *self, const KhFelt *felts, gsize n, KhFelt *hash);

G_END_DECLS
