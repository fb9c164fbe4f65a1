/* SPDX-License-Identifier: MIT */
/* The delays of automatic restarts, and their limit. */
#include "model/backoff.h"

#define S G_USEC_PER_SEC

/* Each run is longer than a sixth of the window: it goes on, ever slower. */
static void
delays(void)
{
    static const guint expected[] = {1, 2, 4, 8, 16, 32, 60, 60};
    KhBackoff backoff = {.n = 0};
    gint64 now = 1000 * S;

    for (guint i = 0; i < G_N_ELEMENTS(expected); i++) {
        g_assert_cmpuint(kh_backoff_next(&backoff, now), ==, expected[i]);
        now += (20 + expected[i]) * S;
    }
    kh_backoff_reset(&backoff);
    g_assert_cmpuint(kh_backoff_next(&backoff, now), ==, 1);
}

/* A crash loop: the sixth end within a minute is the last. */
static void
limit(void)
{
    KhBackoff backoff = {.n = 0};
    gint64 now = 0;

    for (guint i = 0; i < KH_BACKOFF_LIMIT; i++) {
        guint delay = kh_backoff_next(&backoff, now);

        g_assert_cmpuint(delay, ==, 1u << i);
        now += (gint64)delay * S;
    }
    g_assert_cmpuint(kh_backoff_next(&backoff, now), ==, 0);
}

/* Just outside of the window is not inside. */
static void
window(void)
{
    KhBackoff backoff = {.n = 0};

    for (guint i = 0; i < KH_BACKOFF_LIMIT; i++)
        kh_backoff_next(&backoff, i);
    g_assert_cmpuint(kh_backoff_next(&backoff, KH_BACKOFF_WINDOW_S * S), !=, 0);
    kh_backoff_reset(&backoff);
    for (guint i = 0; i < KH_BACKOFF_LIMIT; i++)
        kh_backoff_next(&backoff, i);
    g_assert_cmpuint(kh_backoff_next(&backoff, KH_BACKOFF_WINDOW_S * S - 1), ==, 0);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/backoff/delays", delays);
    g_test_add_func("/backoff/limit", limit);
    g_test_add_func("/backoff/window", window);
    return g_test_run();
}
