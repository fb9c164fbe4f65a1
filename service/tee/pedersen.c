/* SPDX-License-Identifier: MIT */
/*
 * Pedersen; see pedersen.h. H(a, b) is the x of P0 + a_low*P1 + a_high*P2 + b_low*P3 +
 * b_high*P4, low being the lowest 248 bits (Starknet's documentation, "Hash functions").
 */
#include "pedersen.h"

#include "stark-curve.h"
#include "openssl-must.h"

#define N_POINTS 5
#define HIGH_BYTES 1

struct _KhPedersen {
    KhStarkCurve *curve;
    EC_POINT *points[N_POINTS];
};

/* P0 to P4, of the same document. */
static const struct {
    const char *x, *y;
} points[N_POINTS] = {
    {"049ee3eba8c1600700ee1b87eb599f16716b0b1022947733551fde4050ca6804",
     "03ca0cfe4b3bc6ddf346d49d06ea0ed34e621062c0e056c1d0405d266e10268a"},
    {"0234287dcbaffe7f969c748655fca9e58fa8120b6d56eb0c1080d17957ebe47b",
     "03b056f100f96fb21e889527d41f4e39940135dd7a6c94cc6ed0268ee89e5615"},
    {"04fa56f376c83db33f9dab2656558f3399099ec1de5e3018b7a6932dba8aa378",
     "03fa0984c931c9e38113e0c0e47e4401562761f92a7a23b45168f4e80ff5b54d"},
    {"04ba4cc166be8dec764910f75b45f74b40c690c74709e90f3aa372f0bd2d6997",
     "0040301cf5c1751f4b971e46c4ede85fcac5c59a5ce5ae7c48151f27b24b219c"},
    {"054302dcb0e6cc1c6e44cca8f61a63bb2ca65048d53fb325d36ff12c49a58202",
     "01b77b3e37d13504b348046268d8ae25ce98ad783c25561a879dcc77e99c2426"},
};

KhPedersen *
kh_pedersen_new(void)
{
    KhPedersen *self = g_new0(KhPedersen, 1);

    self->curve = kh_stark_curve_new();
    for (guint i = 0; i < N_POINTS; i++)
        self->points[i] = kh_stark_curve_point(self->curve, points[i].x, points[i].y);
    return self;
}

void
kh_pedersen_free(KhPedersen *self)
{
    if (self == NULL)
        return;
    for (guint i = 0; i < N_POINTS; i++)
        EC_POINT_free(self->points[i]);
    kh_stark_curve_free(self->curve);
    g_free(self);
}

/* The low part of @felt times @low, and the high one times @high. */
static void
add_felt(KhPedersen *self, EC_POINT *sum, const KhFelt *felt, const EC_POINT *low,
         const EC_POINT *high)
{
    g_autoptr(BIGNUM) high_part = BN_bin2bn(felt->bytes, HIGH_BYTES, NULL);
    g_autoptr(BIGNUM) low_part =
        BN_bin2bn(felt->bytes + HIGH_BYTES, KH_FELT_SIZE - HIGH_BYTES, NULL);

    kh_openssl_must(low_part && high_part);
    kh_stark_curve_add_multiple(self->curve, sum, low, low_part);
    kh_stark_curve_add_multiple(self->curve, sum, high, high_part);
}

void
kh_pedersen_pair(KhPedersen *self, const KhFelt *a, const KhFelt *b, KhFelt *hash)
{
    g_autoptr(EC_POINT) sum = EC_POINT_dup(self->points[0], self->curve->group);

    kh_openssl_must(sum);
    add_felt(self, sum, a, self->points[1], self->points[2]);
    add_felt(self, sum, b, self->points[3], self->points[4]);
    kh_stark_curve_get_x(self->curve, sum, hash);
}

void
kh_pedersen_array(KhPedersen *self, const KhFelt *felts, gsize n, KhFelt *hash)
{
    KhFelt length, sum;

    kh_felt_from_u64(0, &sum);
    for (gsize i = 0; i < n; i++)
        kh_pedersen_pair(self, &sum, &felts[i], &sum);
    kh_felt_from_u64(n, &length);
    kh_pedersen_pair(self, &sum, &length, hash);
}
