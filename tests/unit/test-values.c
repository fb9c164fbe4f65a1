/* SPDX-License-Identifier: MIT */
/* Tests of how many values a call brings. */
#include "auth/values.h"

static guint
count_text(const char *text, guint most)
{
    g_autoptr(GVariant) body = g_variant_parse(NULL, text, NULL, NULL, NULL);

    g_assert_nonnull(body);
    return kh_values_count(body, most);
}

static void
containers(void)
{
    g_assert_cmpuint(count_text("('a',)", 100), ==, 2);
    g_assert_cmpuint(count_text("('a', {'k': <byte 1>})", 100), ==, 7);
    g_assert_cmpuint(count_text("([(byte 1,), (byte 2,)],)", 100), ==, 6);
    g_assert_cmpuint(count_text("(['', '', ''],)", 100), ==, 5);
    g_assert_cmpuint(count_text("([true, false],)", 100), ==, 4);
    g_assert_cmpuint(count_text("@(as) ([],)", 100), ==, 2);
}

/* These are one piece of bytes, however many they are. */
static void
numbers(void)
{
    g_assert_cmpuint(count_text("([byte 1, 2, 3],)", 100), ==, 2);
    g_assert_cmpuint(count_text("([1.5, 2.5],)", 100), ==, 2);
    g_assert_cmpuint(count_text("([[byte 1], [byte 2]],)", 100), ==, 4);
}

static void
bound(void)
{
    g_assert_cmpuint(count_text("(['', '', ''],)", 5), ==, 5);
    g_assert_cmpuint(count_text("(['', '', ''],)", 4), ==, 4);
    g_assert_cmpuint(count_text("([['', ''], ['', '']],)", 1), ==, 1);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/values/containers", containers);
    g_test_add_func("/values/numbers", numbers);
    g_test_add_func("/values/bound", bound);
    return g_test_run();
}
