/* SPDX-License-Identifier: MIT */
/* The Stark curve y^2 = x^3 + x + b over the Stark field, by libcrypto. Used by Pedersen. */
#pragma once

#include "felt.h"
#include "openssl-autoptr.h"

G_BEGIN_DECLS

typedef struct {
    EC_GROUP *group;
    BN_CTX *context;
} KhStarkCurve;

KhStarkCurve *kh_stark_curve_new(void);
void kh_stark_curve_free(KhStarkCurve *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(KhStarkCurve, kh_stark_curve_free)

/* The point of these coordinates (hex digits), which lies on the curve; transfer full. */
EC_POINT *kh_stark_curve_point(KhStarkCurve *self, const char *x, const char *y);

/* Adds @factor times @point to @sum. */
void kh_stark_curve_add_multiple(KhStarkCurve *self, EC_POINT *sum, const EC_POINT *point,
                                 const BIGNUM *factor);

/* Of a point that is not the one at infinity. */
void kh_stark_curve_get_x(KhStarkCurve *self, const EC_POINT *point, KhFelt *x);

G_END_DECLS
