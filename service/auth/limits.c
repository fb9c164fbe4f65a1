/* SPDX-License-Identifier: MIT */
/* Limits per sender; see limits.h. */
#include "limits.h"

#include "error.h"

struct _KhLimits {
    int refs;
    GHashTable *counts; /* sender -> guint[KH_N_LIMITS]; only senders with something */
};

static const struct {
    guint max;
    const char *what, *whom;
} bounds[KH_N_LIMITS] = {
    [KH_LIMIT_PROMPTS] = {16, "calls waiting for authorization", "client"},
    [KH_LIMIT_STREAMS] = {64, "open streams", "client"},
    [KH_LIMIT_USER_STREAMS] = {256, "open streams", "user"},
    [KH_LIMIT_USER_PROMPTS] = {64, "calls waiting for authorization", "user"},
};

KhLimits *
kh_limits_new(void)
{
    KhLimits *limits = g_new0(KhLimits, 1);

    limits->refs = 1;
    limits->counts = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    return limits;
}

KhLimits *
kh_limits_ref(KhLimits *limits)
{
    limits->refs++;
    return limits;
}

void
kh_limits_unref(KhLimits *limits)
{
    if (--limits->refs > 0)
        return;
    g_hash_table_unref(limits->counts);
    g_free(limits);
}

gboolean
kh_limits_enter(KhLimits *limits, const char *sender, KhLimit limit, GError **error)
{
    guint *counts = g_hash_table_lookup(limits->counts, sender);

    if (counts == NULL) {
        counts = g_new0(guint, KH_N_LIMITS);
        g_hash_table_insert(limits->counts, g_strdup(sender), counts);
    }
    if (counts[limit] >= bounds[limit].max)
        return kh_error_set(
            error, KH_ERROR_LIMIT_EXCEEDED,
            "You already have %u %s, as many as one %s may have; wait for one to end",
            counts[limit], bounds[limit].what, bounds[limit].whom);
    counts[limit]++;
    return TRUE;
}

void
kh_limits_leave(KhLimits *limits, const char *sender, KhLimit limit)
{
    guint *counts = g_hash_table_lookup(limits->counts, sender);

    g_return_if_fail(counts != NULL && counts[limit] > 0);
    counts[limit]--;
    for (guint i = 0; i < KH_N_LIMITS; i++)
        if (counts[i] > 0)
            return;
    g_hash_table_remove(limits->counts, sender);
}
