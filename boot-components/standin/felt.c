/* SPDX-License-Identifier: MIT */
/* See felt.h. The hashes are those of Starknet's documentation, "Hash functions". */
#include "felt.h"

#include "buf.h"

#include <openssl/bn.h>
#include <openssl/ec.h>
#include <openssl/sha.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PRIME "800000000000011000000000000000000000000000000000000000000000001"
/* y^2 = x^3 + x + B. */
#define B "6f21413efbe40de150e596d72f7a8c5609ad26c15c915c1f4cdfcb99cee9e89"

/* Hades: width 3, 4 full rounds, 83 partial ones, 4 full ones. */
#define WIDTH 3
#define ROUNDS 91
#define FIRST_PARTIAL 4
#define LAST_PARTIAL 86

/* libcrypto's calls here fail for want of memory alone. */
static void
must(int done)
{
    if (done)
        return;
    say("out of memory");
    abort();
}

static BIGNUM *
from_hex(const char *digits)
{
    BIGNUM *number = NULL;

    must(BN_hex2bn(&number, digits) > 0);
    return number;
}

static BIGNUM *
from_felt(const struct felt *felt)
{
    BIGNUM *number = BN_bin2bn(felt->bytes, FELT_SIZE, NULL);

    must(number != NULL);
    return number;
}

static struct felt
to_felt(const BIGNUM *number)
{
    struct felt felt;

    must(BN_bn2binpad(number, felt.bytes, FELT_SIZE) == FELT_SIZE);
    return felt;
}

struct felt
felt_number(uint64_t number)
{
    struct felt felt = {{0}};

    for (int i = 0; i < 8; i++)
        felt.bytes[FELT_SIZE - 1 - i] = (uint8_t)(number >> (8 * i));
    return felt;
}

struct felt
felt_max(void)
{
    BIGNUM *prime = from_hex(PRIME);

    must(BN_sub_word(prime, 1));

    struct felt felt = to_felt(prime);

    BN_free(prime);
    return felt;
}

struct felt
felt_short_string(const char *text)
{
    struct felt felt = {{0}};
    size_t len = strlen(text);

    memcpy(felt.bytes + FELT_SIZE - len, text, len);
    return felt;
}

struct felt
felt_parse(const char *text)
{
    BIGNUM *prime = from_hex(PRIME);
    BIGNUM *number = from_hex(text + 2);
    BN_CTX *context = BN_CTX_new();

    must(context != NULL && BN_nnmod(number, number, prime, context));

    struct felt felt = to_felt(number);

    BN_CTX_free(context);
    BN_free(number);
    BN_free(prime);
    return felt;
}

void
felt_print(const struct felt *felt, char text[FELT_TEXT_SIZE])
{
    char digits[2 * FELT_SIZE + 1];
    const char *first = digits;

    for (int i = 0; i < FELT_SIZE; i++)
        snprintf(digits + 2 * i, 3, "%02x", felt->bytes[i]);
    while (first[0] == '0' && first[1] != '\0')
        first++;
    snprintf(text, FELT_TEXT_SIZE, "0x%s", first);
}

/* --- Poseidon ------------------------------------------------------------------------ */

struct sponge {
    BIGNUM *prime;
    BIGNUM *state[WIDTH];
    BIGNUM *number; /* scratch, as the next */
    BIGNUM *sum;
    BN_CTX *context;
};

static void
add(struct sponge *sponge, BIGNUM *to, const BIGNUM *number)
{
    must(BN_mod_add(to, to, number, sponge->prime, sponge->context));
}

/* Constant number k is the SHA-256 of "Hades" and k in decimal. */
static void
add_constants(struct sponge *sponge, int round)
{
    char text[16];
    unsigned char digest[SHA256_DIGEST_LENGTH];

    for (int i = 0; i < WIDTH; i++) {
        int len = snprintf(text, sizeof text, "Hades%d", WIDTH * round + i);

        must(SHA256((const unsigned char *)text, (size_t)len, digest) != NULL);
        must(BN_bin2bn(digest, sizeof digest, sponge->number) != NULL);
        add(sponge, sponge->state[i], sponge->number);
    }
}

static void
cube(struct sponge *sponge, BIGNUM *number)
{
    must(BN_mod_sqr(sponge->number, number, sponge->prime, sponge->context));
    must(BN_mod_mul(number, number, sponge->number, sponge->prime, sponge->context));
}

/* By the matrix [[3,1,1],[1,-1,1],[1,1,-2]]: each is the sum of all, and 2a, -2b or -3c. */
static void
mix(struct sponge *sponge)
{
    static const BN_ULONG factors[WIDTH] = {2, 2, 3};

    BN_zero(sponge->sum);
    for (int i = 0; i < WIDTH; i++)
        add(sponge, sponge->sum, sponge->state[i]);
    for (int i = 0; i < WIDTH; i++) {
        must(BN_mul_word(sponge->state[i], factors[i]));
        if (i > 0)
            BN_set_negative(sponge->state[i], 1);
        add(sponge, sponge->state[i], sponge->sum);
    }
}

static void
permute(struct sponge *sponge)
{
    for (int round = 0; round < ROUNDS; round++) {
        bool partial = round >= FIRST_PARTIAL && round <= LAST_PARTIAL;

        add_constants(sponge, round);
        for (int i = partial ? WIDTH - 1 : 0; i < WIDTH; i++)
            cube(sponge, sponge->state[i]);
        mix(sponge);
    }
}

/* Adds element i of the padded list: the felts, 1, then 0 to an even length. */
static void
absorb(struct sponge *sponge, const struct felt *felts, size_t n, size_t i)
{
    struct felt one = felt_number(1);

    if (i > n)
        return;

    BIGNUM *number = from_felt(i == n ? &one : &felts[i]);

    add(sponge, sponge->state[i % 2], number);
    BN_free(number);
}

struct felt
felt_poseidon(const struct felt *felts, size_t n)
{
    struct sponge sponge = {
        .prime = from_hex(PRIME),
        .state = {from_hex("0"), from_hex("0"), from_hex("0")},
        .number = from_hex("0"),
        .sum = from_hex("0"),
        .context = BN_CTX_new(),
    };

    must(sponge.context != NULL);
    for (size_t i = 0; i <= n; i += 2) {
        absorb(&sponge, felts, n, i);
        absorb(&sponge, felts, n, i + 1);
        permute(&sponge);
    }

    struct felt felt = to_felt(sponge.state[0]);

    for (int i = 0; i < WIDTH; i++)
        BN_free(sponge.state[i]);
    BN_free(sponge.number);
    BN_free(sponge.sum);
    BN_free(sponge.prime);
    BN_CTX_free(sponge.context);
    return felt;
}

/* --- Pedersen ------------------------------------------------------------------------ */

struct curve {
    EC_GROUP *group;
    BN_CTX *context;
};

/* P0, then those that low and high part of the first felt and of the second are times of. */
static const struct {
    const char *x;
    const char *y;
} points[] = {
    {"49ee3eba8c1600700ee1b87eb599f16716b0b1022947733551fde4050ca6804",
     "3ca0cfe4b3bc6ddf346d49d06ea0ed34e621062c0e056c1d0405d266e10268a"},
    {"234287dcbaffe7f969c748655fca9e58fa8120b6d56eb0c1080d17957ebe47b",
     "3b056f100f96fb21e889527d41f4e39940135dd7a6c94cc6ed0268ee89e5615"},
    {"4fa56f376c83db33f9dab2656558f3399099ec1de5e3018b7a6932dba8aa378",
     "3fa0984c931c9e38113e0c0e47e4401562761f92a7a23b45168f4e80ff5b54d"},
    {"4ba4cc166be8dec764910f75b45f74b40c690c74709e90f3aa372f0bd2d6997",
     "40301cf5c1751f4b971e46c4ede85fcac5c59a5ce5ae7c48151f27b24b219c"},
    {"54302dcb0e6cc1c6e44cca8f61a63bb2ca65048d53fb325d36ff12c49a58202",
     "1b77b3e37d13504b348046268d8ae25ce98ad783c25561a879dcc77e99c2426"},
};

static EC_POINT *
make_point(struct curve *curve, int i)
{
    BIGNUM *x = from_hex(points[i].x);
    BIGNUM *y = from_hex(points[i].y);
    EC_POINT *point = EC_POINT_new(curve->group);

    must(point != NULL &&
         EC_POINT_set_affine_coordinates(curve->group, point, x, y, curve->context));
    BN_free(x);
    BN_free(y);
    return point;
}

/* Adds that part of a felt, times point i. */
static void
add_times(struct curve *curve, EC_POINT *sum, int i, const uint8_t *part, int len)
{
    BIGNUM *factor = BN_bin2bn(part, len, NULL);
    EC_POINT *point = make_point(curve, i);

    must(factor != NULL && EC_POINT_mul(curve->group, point, NULL, point, factor, curve->context) &&
         EC_POINT_add(curve->group, sum, sum, point, curve->context));
    EC_POINT_free(point);
    BN_free(factor);
}

static struct felt
hash_pair(struct curve *curve, const struct felt *a, const struct felt *b)
{
    EC_POINT *sum = make_point(curve, 0);
    BIGNUM *x = from_hex("0");

    add_times(curve, sum, 1, a->bytes + 1, FELT_SIZE - 1);
    add_times(curve, sum, 2, a->bytes, 1);
    add_times(curve, sum, 3, b->bytes + 1, FELT_SIZE - 1);
    add_times(curve, sum, 4, b->bytes, 1);
    must(EC_POINT_get_affine_coordinates(curve->group, sum, x, NULL, curve->context));

    struct felt felt = to_felt(x);

    BN_free(x);
    EC_POINT_free(sum);
    return felt;
}

struct felt
felt_pedersen(const struct felt *felts, size_t n)
{
    BIGNUM *prime = from_hex(PRIME);
    BIGNUM *b = from_hex(B);
    struct curve curve = {.context = BN_CTX_new()};
    struct felt sum = felt_number(0);
    struct felt length = felt_number(n);

    must(curve.context != NULL);
    curve.group = EC_GROUP_new_curve_GFp(prime, BN_value_one(), b, curve.context);
    must(curve.group != NULL);
    for (size_t i = 0; i < n; i++)
        sum = hash_pair(&curve, &sum, &felts[i]);
    sum = hash_pair(&curve, &sum, &length);
    EC_GROUP_free(curve.group);
    BN_CTX_free(curve.context);
    BN_free(prime);
    BN_free(b);
    return sum;
}
