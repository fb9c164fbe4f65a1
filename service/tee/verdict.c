/* SPDX-License-Identifier: MIT */
/* From checks to a verdict; see verdict.h. */
#include "verdict.h"

static gboolean
refuses(const KhCheck *check)
{
    return check->status == KH_CHECK_FAILED ||
           (check->required && check->status == KH_CHECK_SKIPPED);
}

static gboolean
rests_on_host(const KhCheck *check)
{
    return check->source == KH_SOURCE_HOST && check->status == KH_CHECK_PASSED;
}

KhVerdict
kh_verdict_decide(const KhChecks *checks, gboolean simulated, const GPtrArray *doubts)
{
    guint n = kh_checks_get_length(checks);
    gboolean doubtful = doubts != NULL && doubts->len > 0;

    /* Nothing checked is nothing proved. */
    if (n == 0)
        return KH_VERDICT_FAILED;
    for (guint i = 0; i < n; i++) {
        if (refuses(kh_checks_get(checks, i)))
            return KH_VERDICT_FAILED;
        doubtful = doubtful || rests_on_host(kh_checks_get(checks, i));
    }
    if (simulated)
        return KH_VERDICT_SIMULATED;
    return doubtful ? KH_VERDICT_CONSISTENT : KH_VERDICT_VERIFIED;
}

const char *
kh_verdict_name(KhVerdict verdict)
{
    static const char *const names[] = {"FAILED", "SIMULATED", "CONSISTENT", "VERIFIED"};

    return names[verdict];
}

int
kh_verdict_exit_code(KhVerdict verdict, gboolean trust_host)
{
    if (verdict == KH_VERDICT_VERIFIED)
        return 0;
    return verdict == KH_VERDICT_CONSISTENT && trust_host ? 0 : 1;
}

/* The ids of the checks in @status that refuse. */
static char *
list_refusals(const KhChecks *checks, KhCheckStatus status)
{
    g_autoptr(GString) ids = g_string_new(NULL);

    for (guint i = 0; i < kh_checks_get_length(checks); i++) {
        const KhCheck *check = kh_checks_get(checks, i);

        if (check->status == status && refuses(check))
            g_string_append_printf(ids, "%s%s", ids->len > 0 ? ", " : "", check->id);
    }
    return g_strdup(ids->str);
}

char *
kh_verdict_unreached(const KhChecks *checks)
{
    g_autofree char *failed = list_refusals(checks, KH_CHECK_FAILED);

    return failed[0] != '\0' ? list_refusals(checks, KH_CHECK_SKIPPED) : g_strdup("");
}

char *
kh_verdict_refusals(const KhChecks *checks)
{
    g_autofree char *failed = list_refusals(checks, KH_CHECK_FAILED);

    return failed[0] != '\0' ? g_steal_pointer(&failed) : list_refusals(checks, KH_CHECK_SKIPPED);
}
