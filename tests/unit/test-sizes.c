/* SPDX-License-Identifier: MIT */
/* Sizes and numbers as people write them: dbus-interfaces/sizes.c. */
#include "error.h"
#include "sizes.h"

static void
good_sizes(void)
{
    static const struct {
        const char *text;
        guint64 bytes;
    } cases[] = {
        {"1", 1},
        {"4G", G_GUINT64_CONSTANT(1) << 32},
        {"4GiB", G_GUINT64_CONSTANT(1) << 32},
        {"4 gib", G_GUINT64_CONSTANT(1) << 32},
        {"4GB", G_GUINT64_CONSTANT(4000000000)},
        {"512M", G_GUINT64_CONSTANT(1) << 29},
        {"1.5G", G_GUINT64_CONSTANT(3) << 29},
        {"0.5K", 512},
        {"9223372036854775807", G_MAXINT64},
        {"1,5 GiB", G_GUINT64_CONSTANT(3) << 29},
        {"1,5\u202fGiB", G_GUINT64_CONSTANT(3) << 29},
        {"1,5\u00a0GB", G_GUINT64_CONSTANT(1500000000)},
        {"4\u2009GiB", G_GUINT64_CONSTANT(1) << 32},
        {"4\u202f294\u202f967\u202f296", G_GUINT64_CONSTANT(1) << 32},
        {"1\u00a0024,25 K", 1048832},
    };

    for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(GError) error = NULL;
        guint64 bytes = 0;

        g_assert_true(kh_size_parse(cases[i].text, &bytes, &error));
        g_assert_cmpuint(bytes, ==, cases[i].bytes);
    }
}

static void
bad_sizes(void)
{
    const char *const texts[] = {
        "",
        "0",
        "-1",
        "+1",
        "4X",
        "1e99",
        "G",
        ".5G",
        "1.G",
        "4GG",
        " 4",
        "4  G",
        "nan",
        "0x10",
        "9223372036854775808",
        "99999999999999999999",
        "8388608T",
        "0.1",
        "\xff",
        "1,024 MiB",
        "1,G",
        ",5G",
        "1,5,5G",
        "1.5,5G",
        "1.000.000",
        "4\u202f29 K",
        "4\u202f\u202f294",
        "4\u202f \u202fG",
        "4\xe2\x80",
    };

    for (gsize i = 0; i < G_N_ELEMENTS(texts); i++) {
        g_autoptr(GError) error = NULL;
        guint64 bytes = 42;

        g_assert_false(kh_size_parse(texts[i], &bytes, &error));
        g_assert_error(error, KH_ERROR, KH_ERROR_INVALID_ARGUMENT);
        g_assert_cmpuint(bytes, ==, 42);
    }
}

static void
formatted(void)
{
    g_autofree char *whole = kh_size_format(G_GUINT64_CONSTANT(1) << 32);
    g_autofree char *fraction = kh_size_format(G_GUINT64_CONSTANT(3) << 29);
    g_autofree char *small = kh_size_format(1023);

    g_assert_cmpstr(whole, ==, "4 GiB");
    g_assert_cmpstr(fraction, ==, "1.5 GiB");
    g_assert_cmpstr(small, ==, "1023 B");
}

/* What was meant by a number without a unit. */
static void
guessed(void)
{
    static const struct {
        guint64 number;
        const char *meant;
    } cases[] = {{4, "4G"},     {512, "512M"},   {128, "128M"},
                 {127, "127G"}, {4096, "4096M"}, {20000, "20000M"},
                 {0, NULL},     {1000001, NULL}, {G_MAXUINT64, NULL}};

    for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *found = kh_size_guess(cases[i].number, G_GUINT64_CONSTANT(128) << 20,
                                               G_GUINT64_CONSTANT(1) << 40);

        g_assert_cmpstr(found, ==, cases[i].meant);
    }
}

static void
numbers(void)
{
    const char *const bad[] = {"", "0", "256", "-1", "1.0", "1e2", "99999999999999999999"};
    guint64 number = 0;

    g_assert_true(kh_number_parse("255", "number of vCPUs", 1, 255, &number, NULL));
    g_assert_cmpuint(number, ==, 255);
    for (gsize i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_autoptr(GError) error = NULL;

        g_assert_false(kh_number_parse(bad[i], "number of vCPUs", 1, 255, &number, &error));
        g_assert_error(error, KH_ERROR, KH_ERROR_INVALID_ARGUMENT);
        g_assert_nonnull(strstr(error->message, "number of vCPUs"));
    }
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/sizes/good", good_sizes);
    g_test_add_func("/sizes/bad", bad_sizes);
    g_test_add_func("/sizes/format", formatted);
    g_test_add_func("/sizes/guessed", guessed);
    g_test_add_func("/sizes/numbers", numbers);
    return g_test_run();
}
