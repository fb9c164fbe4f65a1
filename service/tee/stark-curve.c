/* SPDX-License-Identifier: MIT */
/* The Stark curve; see stark-curve.h. */
#include "stark-curve.h"

#include "openssl-must.h"

/* Starknet's documentation, "Stark curve". a is 1. */
#define B "06f21413efbe40de150e596d72f7a8c5609ad26c15c915c1f4cdfcb99cee9e89"

static BIGNUM *
from_hex(const char *digits)
{
    BIGNUM *number = NULL;

    kh_openssl_must(BN_hex2bn(&number, digits));
    return number;
}

/*
 * Without a generator, which nothing here needs: libcrypto then takes the quick way to a multiple,
 * not the one of equal time. Everything that is hashed is public.
 */
KhStarkCurve *
kh_stark_curve_new(void)
{
    KhStarkCurve *self = g_new0(KhStarkCurve, 1);
    g_autoptr(BIGNUM) prime = BN_bin2bn(kh_felt_prime(), KH_FELT_SIZE, NULL);
    g_autoptr(BIGNUM) b = from_hex(B);

    kh_openssl_must(prime);
    kh_openssl_must((self->context = BN_CTX_new()));
    kh_openssl_must(
        (self->group = EC_GROUP_new_curve_GFp(prime, BN_value_one(), b, self->context)));
    return self;
}

void
kh_stark_curve_free(KhStarkCurve *self)
{
    if (self == NULL)
        return;
    EC_GROUP_free(self->group);
    BN_CTX_free(self->context);
    g_free(self);
}

EC_POINT *
kh_stark_curve_point(KhStarkCurve *self, const char *x, const char *y)
{
    g_autoptr(BIGNUM) x_number = from_hex(x);
    g_autoptr(BIGNUM) y_number = from_hex(y);
    EC_POINT *point = EC_POINT_new(self->group);

    kh_openssl_must(point);
    /* Refuses what is not on the curve. */
    kh_openssl_must(
        EC_POINT_set_affine_coordinates(self->group, point, x_number, y_number, self->context));
    return point;
}

void
kh_stark_curve_add_multiple(KhStarkCurve *self, EC_POINT *sum, const EC_POINT *point,
                            const BIGNUM *factor)
{
    g_autoptr(EC_POINT) multiple = EC_POINT_new(self->group);

    kh_openssl_must(multiple);
    kh_openssl_must(EC_POINT_mul(self->group, multiple, NULL, point, factor, self->context));
    kh_openssl_must(EC_POINT_add(self->group, sum, sum, multiple, self->context));
}

void
kh_stark_curve_get_x(KhStarkCurve *self, const EC_POINT *point, KhFelt *x)
{
    g_autoptr(BIGNUM) number = BN_new();

    kh_openssl_must(number);
    kh_openssl_must(
        EC_POINT_get_affine_coordinates(self->group, point, number, NULL, self->context));
    kh_openssl_must(BN_bn2binpad(number, x->bytes, KH_FELT_SIZE) == KH_FELT_SIZE);
}
