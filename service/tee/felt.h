/* SPDX-License-Identifier: MIT */
/*
 * Elements of the Stark field, always canonical: less than p = 2^251 + 17*2^192 + 1. What
 * is not is refused where it comes in: x and x + p would hash alike and show differently.
 * Used by the hashes over the field and by what Katana answers.
 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

#define KH_FELT_SIZE 32

/* Big-endian. */
typedef struct {
    guint8 bytes[KH_FELT_SIZE];
} KhFelt;

/* p itself, big-endian; no felt. */
const guint8 *kh_felt_prime(void);

/* p - 1, Katana's number for the block before the first. */
void kh_felt_max(KhFelt *felt);

/* "0x" and 1 to 63 hex digits, less than p. KH_ERROR_INVALID_ARGUMENT else. */
gboolean kh_felt_parse(const char *text, KhFelt *felt, GError **error);

/* FALSE if the number is not less than p. */
gboolean kh_felt_from_bytes(const guint8 bytes[KH_FELT_SIZE], KhFelt *felt);

void kh_felt_from_u64(guint64 number, KhFelt *felt);

/* FALSE if it is more than 64 bits. */
gboolean kh_felt_to_u64(const KhFelt *felt, guint64 *number);

/* Cairo's short string: 1 to 31 printable ASCII characters as one big-endian number. */
gboolean kh_felt_from_short_string(const char *text, KhFelt *felt, GError **error);

/* A chain's id as people write it: a felt if it begins with 0x, else a short string. */
gboolean kh_felt_from_chain_id(const char *text, KhFelt *felt, GError **error);

gboolean kh_felt_equal(const KhFelt *a, const KhFelt *b);

gboolean kh_felt_is_zero(const KhFelt *felt);

/* "0x" and hex digits without leading zeros, as Katana writes it; transfer full. */
char *kh_felt_to_string(const KhFelt *felt);

G_END_DECLS
