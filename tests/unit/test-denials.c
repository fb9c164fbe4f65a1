/* SPDX-License-Identifier: MIT */
/* Tests of what the journal says of refusals. */
#include "auth/denials.h"

static GLogWriterOutput
count_lines(GLogLevelFlags level, const GLogField *fields, gsize n_fields, gpointer data)
{
    GPtrArray *lines = data;

    for (gsize i = 0; i < n_fields; i++)
        if (g_str_equal(fields[i].key, "MESSAGE"))
            g_ptr_array_add(lines, g_strdup(fields[i].value));
    return G_LOG_WRITER_HANDLED;
}

static void
bounded(void)
{
    g_autoptr(GPtrArray) lines = g_ptr_array_new_with_free_func(g_free);
    KhDenials *denials = kh_denials_new();

    g_log_set_writer_func(count_lines, lines, NULL);
    for (guint i = 0; i < 1000; i++)
        kh_denials_log(denials, 1000, NULL, NULL, "refused %u", i);
    kh_denials_log(denials, 1001, "x", "id", "refused as well");
    g_assert_cmpuint(lines->len, ==, 11);
    g_assert_cmpstr(lines->pdata[9], ==, "refused 9");
    g_assert_cmpstr(lines->pdata[10], ==, "refused as well");
    kh_denials_free(denials);
    g_assert_cmpuint(lines->len, ==, 12);
    g_assert_cmpstr(lines->pdata[11], ==, "Uid 1000 was denied 990 more calls within a minute");
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/denials/bounded", bounded);
    return g_test_run();
}
