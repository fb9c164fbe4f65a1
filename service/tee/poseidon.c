/* SPDX-License-Identifier: MIT */
/*
 * Poseidon; see poseidon.h. The Hades permutation as Starknet uses it (Starknet's
 * documentation, "Hash functions"; Grassi et al., "Poseidon", USENIX Security 2021): width 3,
 * 4 full rounds, 83 partial ones, 4 full ones, cubing for the S-box.
 */
#include "poseidon.h"

#include <string.h>

#include "openssl-autoptr.h"
#include "openssl-must.h"

#define WIDTH 3
#define FULL_ROUNDS_HALF 4
#define PARTIAL_ROUNDS 83
#define ROUNDS (2 * FULL_ROUNDS_HALF + PARTIAL_ROUNDS)

/* All numbers within are in Montgomery's form. */
struct _KhPoseidon {
    BN_CTX *context;
    BN_MONT_CTX *montgomery;
    BIGNUM *prime;
    BIGNUM *one, *two;
    BIGNUM *sum, *term; /* scratch */
    BIGNUM *state[WIDTH];
    BIGNUM *constants[ROUNDS][WIDTH];
};

/* --- the field ----------------------------------------------------------------------- */

static BIGNUM *
new_number(void)
{
    BIGNUM *number = BN_new();

    kh_openssl_must(number);
    return number;
}

static void
add(KhPoseidon *self, BIGNUM *to, const BIGNUM *number)
{
    kh_openssl_must(BN_mod_add_quick(to, to, number, self->prime));
}

static void
subtract(KhPoseidon *self, BIGNUM *from, const BIGNUM *number)
{
    kh_openssl_must(BN_mod_sub_quick(from, from, number, self->prime));
}

static void
cube(KhPoseidon *self, BIGNUM *number)
{
    kh_openssl_must(
        BN_mod_mul_montgomery(self->term, number, number, self->montgomery, self->context));
    kh_openssl_must(
        BN_mod_mul_montgomery(number, number, self->term, self->montgomery, self->context));
}

static void
to_montgomery(KhPoseidon *self, BIGNUM *number)
{
    kh_openssl_must(BN_to_montgomery(number, number, self->montgomery, self->context));
}

static void
load(KhPoseidon *self, const KhFelt *felt, BIGNUM *number)
{
    kh_openssl_must(BN_bin2bn(felt->bytes, KH_FELT_SIZE, number));
    to_montgomery(self, number);
}

static void
store(KhPoseidon *self, const BIGNUM *number, KhFelt *felt)
{
    kh_openssl_must(BN_from_montgomery(self->sum, number, self->montgomery, self->context));
    kh_openssl_must(BN_bn2binpad(self->sum, felt->bytes, KH_FELT_SIZE) == KH_FELT_SIZE);
}

/* --- the permutation ----------------------------------------------------------------- */

/* Constant number k = 3 * round + column: SHA-256 of "Hades" and k in decimal, mod p. */
static BIGNUM *
make_constant(KhPoseidon *self, guint k)
{
    g_autofree char *text = g_strdup_printf("Hades%u", k);
    guint8 digest[EVP_MAX_MD_SIZE];
    guint length = 0;
    BIGNUM *number = new_number();

    kh_openssl_must(EVP_Digest(text, strlen(text), digest, &length, EVP_sha256(), NULL));
    kh_openssl_must(BN_bin2bn(digest, (int)length, number));
    kh_openssl_must(BN_nnmod(number, number, self->prime, self->context));
    to_montgomery(self, number);
    return number;
}

/* By [[3,1,1],[1,-1,1],[1,1,-2]]: the sum of all three, and 2a, -2b, -3c. */
static void
mix(KhPoseidon *self)
{
    BIGNUM **state = self->state;

    kh_openssl_must(BN_copy(self->sum, state[0]));
    add(self, self->sum, state[1]);
    add(self, self->sum, state[2]);

    kh_openssl_must(BN_mod_lshift1_quick(state[0], state[0], self->prime));
    add(self, state[0], self->sum);

    for (guint i = 1; i < WIDTH; i++) {
        kh_openssl_must(BN_copy(self->term, self->sum));
        subtract(self, self->term, state[i]);
        subtract(self, self->term, state[i]);
        if (i == WIDTH - 1)
            subtract(self, self->term, state[i]);
        kh_openssl_must(BN_copy(state[i], self->term));
    }
}

static void
permute(KhPoseidon *self)
{
    for (guint round = 0; round < ROUNDS; round++) {
        gboolean full = round < FULL_ROUNDS_HALF || round >= FULL_ROUNDS_HALF + PARTIAL_ROUNDS;

        for (guint i = 0; i < WIDTH; i++)
            add(self, self->state[i], self->constants[round][i]);
        for (guint i = full ? 0 : WIDTH - 1; i < WIDTH; i++)
            cube(self, self->state[i]);
        mix(self);
    }
}

/* --- hashes -------------------------------------------------------------------------- */

KhPoseidon *
kh_poseidon_new(void)
{
    KhPoseidon *self = g_new0(KhPoseidon, 1);

    kh_openssl_must((self->context = BN_CTX_new()));
    kh_openssl_must((self->montgomery = BN_MONT_CTX_new()));
    self->prime = new_number();
    kh_openssl_must(BN_bin2bn(kh_felt_prime(), KH_FELT_SIZE, self->prime));
    kh_openssl_must(BN_MONT_CTX_set(self->montgomery, self->prime, self->context));
    self->sum = new_number();
    self->term = new_number();
    for (guint i = 0; i < WIDTH; i++)
        self->state[i] = new_number();
    for (guint k = 0; k < ROUNDS * WIDTH; k++)
        self->constants[k / WIDTH][k % WIDTH] = make_constant(self, k);
    self->one = new_number();
    self->two = new_number();
    kh_openssl_must(BN_one(self->one) && BN_set_word(self->two, 2));
    to_montgomery(self, self->one);
    to_montgomery(self, self->two);
    return self;
}

void
kh_poseidon_free(KhPoseidon *self)
{
    if (self == NULL)
        return;
    for (guint k = 0; k < ROUNDS * WIDTH; k++)
        BN_free(self->constants[k / WIDTH][k % WIDTH]);
    for (guint i = 0; i < WIDTH; i++)
        BN_free(self->state[i]);
    BN_free(self->term);
    BN_free(self->sum);
    BN_free(self->two);
    BN_free(self->one);
    BN_free(self->prime);
    BN_MONT_CTX_free(self->montgomery);
    BN_CTX_free(self->context);
    g_free(self);
}

void
kh_poseidon_pair(KhPoseidon *self, const KhFelt *a, const KhFelt *b, KhFelt *hash)
{
    load(self, a, self->state[0]);
    load(self, b, self->state[1]);
    kh_openssl_must(BN_copy(self->state[2], self->two));
    permute(self);
    store(self, self->state[0], hash);
}

/* Adds element @i of the padded input: the felts, 1, then 0 to an even length. */
static void
absorb(KhPoseidon *self, const KhFelt *felts, gsize n, gsize i)
{
    g_autoptr(BIGNUM) number = NULL;

    if (i == n)
        add(self, self->state[i % 2], self->one);
    if (i >= n)
        return;
    number = new_number();
    load(self, &felts[i], number);
    add(self, self->state[i % 2], number);
}

void
kh_poseidon_array(KhPoseidon *self, const KhFelt *felts, gsize n, KhFelt *hash)
{
    for (guint i = 0; i < WIDTH; i++)
        BN_zero(self->state[i]);
    for (gsize i = 0; i <= n; i += 2) {
        absorb(self, felts, n, i);
        absorb(self, felts, n, i + 1);
        permute(self);
    }
    store(self, self->state[0], hash);
}
