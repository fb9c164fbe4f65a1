/* SPDX-License-Identifier: MIT */
/* Fuzz target: a policy file. Of one that is accepted every line is an expectation. */
#include <string.h>

#include "fuzz.h"
#include "policy.h"

static guint
count_lines(const char *text)
{
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    guint n = 0;

    for (guint i = 0; lines[i] != NULL; i++) {
        g_strstrip(lines[i]);
        n += lines[i][0] != '\0' && lines[i][0] != '#' && lines[i][0] != '[';
    }
    return n;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autoptr(KhPolicy) policy = kh_policy_new();
    g_autoptr(GError) error = NULL;
    g_autofree char *text = g_strndup(size > 0 ? (const char *)data : "", size);
    gboolean good = kh_policy_parse(policy, (const char *)data, size, &error);
    guint given = 0;

    g_assert_true(good == (error == NULL));
    if (!good) {
        g_assert_true(g_utf8_validate(error->message, -1, NULL));
        return 0;
    }
    for (int i = 0; i < KH_N_POLICY_KEYS; i++)
        given += kh_policy_has(policy, (KhPolicyKey)i);
    g_assert_cmpuint(given, ==, count_lines(text));
    return 0;
}
