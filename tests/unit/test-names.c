/* SPDX-License-Identifier: MIT */
/* Names of instances, states and objects: dbus-interfaces/names.c. */
#include "error.h"
#include "names.h"

static void
good_names(void)
{
    g_autofree char *longest = g_strnfill(KH_NAME_MAX, 'a');
    const char *const names[] = {"a", "0", "a-b", "a.b_c-d", "x1", longest};

    for (gsize i = 0; i < G_N_ELEMENTS(names); i++) {
        g_autoptr(GError) error = NULL;

        g_assert_true(kh_name_check(names[i], &error));
        g_assert_no_error(error);
    }
}

static void
bad_names(void)
{
    g_autofree char *too_long = g_strnfill(KH_NAME_MAX + 1, 'a');
    const char *const names[] = {"",
                                 "-x",
                                 "x-",
                                 "..",
                                 "a/b",
                                 "a b",
                                 "A",
                                 ".a",
                                 "a..b",
                                 "a\n",
                                 "\xff",
                                 "a\xc3\xa9"
                                 "b",
                                 too_long};

    for (gsize i = 0; i < G_N_ELEMENTS(names); i++) {
        g_autoptr(GError) error = NULL;

        g_assert_false(kh_name_check(names[i], &error));
        g_assert_error(error, KH_ERROR, KH_ERROR_INVALID_ARGUMENT);
        g_assert_true(g_utf8_validate(error->message, -1, NULL));
    }
}

static void
states_round_trip(void)
{
    KhState state = KH_STATE_CREATED;

    for (unsigned i = 0; i < KH_N_STATES; i++) {
        g_assert_true(kh_state_from_name(kh_state_name((KhState)i), &state));
        g_assert_cmpuint(state, ==, i);
    }
    g_assert_false(kh_state_from_name("suspended", &state));
}

static void
object_paths(void)
{
    g_autofree char *instance = kh_path_of_instance("12ab-34");
    g_autofree char *image = kh_path_of_image("00ff");
    g_autofree char *none = kh_path_of_image(NULL);

    g_assert_cmpstr(instance, ==, "/org/katana/Hypervisor/instances/12ab_34");
    g_assert_cmpstr(image, ==, "/org/katana/Hypervisor/images/00ff");
    g_assert_cmpstr(none, ==, "/");
}

static void
sanitized_text(void)
{
    g_autofree char *escape = kh_text_sanitize("a\x1b[2Jb\tc", 80);
    g_autofree char *invalid = kh_text_sanitize("x\xff", 80);
    g_autofree char *bidi = kh_text_sanitize("\xe2\x80\xae", 80);
    g_autofree char *cut = kh_text_sanitize("abcdef", 3);

    g_assert_cmpstr(escape, ==, "a\xef\xbf\xbd[2Jb\tc");
    g_assert_cmpstr(invalid, ==, "x\xef\xbf\xbd");
    g_assert_cmpstr(bidi, ==, "\xef\xbf\xbd");
    g_assert_cmpstr(cut, ==, "abc");
}

/* Each of Unicode's Bidi_Control, and what breaks a line without being seen. */
static void
harmful_characters(void)
{
    const gunichar harmful[] = {0x00,   0x0d,   0x1b,   0x7f,   0x9b,   0x061c, 0x200b, 0x200e,
                                0x200f, 0x2028, 0x2029, 0x202a, 0x202e, 0x2066, 0x2069, 0xfeff};
    const gunichar harmless[] = {'\t', ' ', 'a', 0xe9, 0x5d0, 0x2026, 0xfffd, 0x1f512};

    for (gsize i = 0; i < G_N_ELEMENTS(harmful); i++)
        if (!kh_text_is_harmful(harmful[i]))
            g_error("U+%04X counts as harmless", harmful[i]);
    for (gsize i = 0; i < G_N_ELEMENTS(harmless); i++)
        if (kh_text_is_harmful(harmless[i]))
            g_error("U+%04X counts as harmful", harmless[i]);
}

static void
nearest_word(void)
{
    const char *const known[] = {"launcher", "qemu", "port-range", NULL};

    g_assert_cmpstr(kh_nearest_word("lancher", known), ==, "launcher");
    g_assert_cmpstr(kh_nearest_word("port_range", known), ==, "port-range");
    g_assert_cmpstr(kh_nearest_word("port-rnage", known), ==, "port-range");
    g_assert_null(kh_nearest_word("accelerator", known));
    /* More than a third of it would have to be another letter. */
    g_assert_null(kh_nearest_word("qxxu", known));
    g_assert_null(kh_nearest_word("qm", known));
    g_assert_null(kh_nearest_word("", known));
}

static void
distances(void)
{
    static const struct {
        const char *a, *b;
        guint distance;
    } cases[] = {
        {"", "", 0},         {"", "abc", 3},       {"list", "list", 0}, {"lits", "list", 1},
        {"lst", "list", 1},  {"lisst", "list", 1}, {"help", "stop", 3}, {"ca", "abc", 3},
        {"shwo", "show", 1}, {"rm", "set", 3},
    };
    g_autofree char *longest = g_strnfill(64, 'a'), *too_long = g_strnfill(65, 'a');

    for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_assert_cmpuint(kh_word_distance(cases[i].a, cases[i].b), ==, cases[i].distance);
        g_assert_cmpuint(kh_word_distance(cases[i].b, cases[i].a), ==, cases[i].distance);
    }
    g_assert_cmpuint(kh_word_distance(longest, longest), ==, 0);
    g_assert_cmpuint(kh_word_distance(longest, ""), ==, 64);
    g_assert_cmpuint(kh_word_distance(too_long, longest), ==, G_MAXUINT);
    g_assert_cmpuint(kh_word_distance(longest, too_long), ==, G_MAXUINT);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/names/good", good_names);
    g_test_add_func("/names/bad", bad_names);
    g_test_add_func("/names/states", states_round_trip);
    g_test_add_func("/names/paths", object_paths);
    g_test_add_func("/names/sanitize", sanitized_text);
    g_test_add_func("/names/harmful", harmful_characters);
    g_test_add_func("/names/nearest", nearest_word);
    g_test_add_func("/names/distances", distances);
    return g_test_run();
}
