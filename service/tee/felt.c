/* SPDX-License-Identifier: MIT */
/* Elements of the Stark field; see felt.h. */
#include "felt.h"

#include <string.h>

#include "error.h"

#define DIGITS_MAX 63
#define SHORT_STRING_MAX 31

/* Starknet's documentation, "Stark curve": p = 2^251 + 17*2^192 + 1. */
static const guint8 prime[KH_FELT_SIZE] = {[0] = 0x08, [7] = 0x11, [31] = 0x01};

const guint8 *
kh_felt_prime(void)
{
    return prime;
}

void
kh_felt_max(KhFelt *felt)
{
    memcpy(felt->bytes, prime, sizeof prime);
    felt->bytes[KH_FELT_SIZE - 1]--;
}

gboolean
kh_felt_from_bytes(const guint8 bytes[KH_FELT_SIZE], KhFelt *felt)
{
    if (memcmp(bytes, prime, sizeof prime) >= 0)
        return FALSE;
    memcpy(felt->bytes, bytes, sizeof felt->bytes);
    return TRUE;
}

/* From the last digit to the first; @digits has at most DIGITS_MAX. FALSE if one is none. */
static gboolean
read_digits(const char *digits, gsize n, guint8 bytes[KH_FELT_SIZE])
{
    for (gsize i = 0; i < n; i++) {
        int value = g_ascii_xdigit_value(digits[n - 1 - i]);

        if (value < 0)
            return FALSE;
        bytes[KH_FELT_SIZE - 1 - i / 2] |= (guint8)(value << (i % 2 == 0 ? 0 : 4));
    }
    return TRUE;
}

gboolean
kh_felt_parse(const char *text, KhFelt *felt, GError **error)
{
    guint8 bytes[KH_FELT_SIZE] = {0};
    gsize n = strnlen(text, 2 + DIGITS_MAX + 1);

    if (!g_str_has_prefix(text, "0x") || n < 3 || n > 2 + DIGITS_MAX ||
        !read_digits(text + 2, n - 2, bytes))
        return kh_error_set(error, KH_ERROR_INVALID_ARGUMENT,
                            "not a field element, which is 0x and 1 to %d hex digits", DIGITS_MAX);
    if (kh_felt_from_bytes(bytes, felt))
        return TRUE;
    return kh_error_set(error, KH_ERROR_INVALID_ARGUMENT,
                        "not a canonical field element: it is not less than the field's prime");
}

void
kh_felt_from_u64(guint64 number, KhFelt *felt)
{
    guint64 big_endian = GUINT64_TO_BE(number);

    memset(felt->bytes, 0, sizeof felt->bytes);
    memcpy(felt->bytes + KH_FELT_SIZE - sizeof big_endian, &big_endian, sizeof big_endian);
}

gboolean
kh_felt_to_u64(const KhFelt *felt, guint64 *number)
{
    guint64 big_endian;

    for (gsize i = 0; i < KH_FELT_SIZE - sizeof big_endian; i++)
        if (felt->bytes[i] != 0)
            return FALSE;
    memcpy(&big_endian, felt->bytes + KH_FELT_SIZE - sizeof big_endian, sizeof big_endian);
    *number = GUINT64_FROM_BE(big_endian);
    return TRUE;
}

static gboolean
is_short_string(const char *text, gsize length)
{
    for (gsize i = 0; i < length; i++)
        if (!g_ascii_isprint(text[i]))
            return FALSE;
    return length > 0 && length <= SHORT_STRING_MAX;
}

gboolean
kh_felt_from_short_string(const char *text, KhFelt *felt, GError **error)
{
    gsize length = strnlen(text, SHORT_STRING_MAX + 1);

    if (!is_short_string(text, length))
        return kh_error_set(error, KH_ERROR_INVALID_ARGUMENT,
                            "not a short string, which is 1 to %d printable ASCII characters",
                            SHORT_STRING_MAX);
    memset(felt->bytes, 0, sizeof felt->bytes);
    memcpy(felt->bytes + KH_FELT_SIZE - length, text, length);
    return TRUE;
}

gboolean
kh_felt_from_chain_id(const char *text, KhFelt *felt, GError **error)
{
    return g_str_has_prefix(text, "0x") ? kh_felt_parse(text, felt, error)
                                        : kh_felt_from_short_string(text, felt, error);
}

gboolean
kh_felt_equal(const KhFelt *a, const KhFelt *b)
{
    return memcmp(a->bytes, b->bytes, sizeof a->bytes) == 0;
}

gboolean
kh_felt_is_zero(const KhFelt *felt)
{
    guint64 number;

    return kh_felt_to_u64(felt, &number) && number == 0;
}

char *
kh_felt_to_string(const KhFelt *felt)
{
    char digits[2 * KH_FELT_SIZE + 1];
    const char *first = digits;

    for (gsize i = 0; i < KH_FELT_SIZE; i++)
        g_snprintf(digits + 2 * i, 3, "%02x", felt->bytes[i]);
    while (first[0] == '0' && first[1] != '\0')
        first++;
    return g_strconcat("0x", first, NULL);
}
