/* SPDX-License-Identifier: MIT */
/* The checks S2 to S7; see report-checks.h. */
#include "report-checks.h"

#include "bytes.h"
#include "signature.h"

#define TAIL_OFFSET 0x330
#define KEY_INFO_RESERVED (~G_GUINT64_CONSTANT(0x1f) & G_MAXUINT32)

static void
check_version(const KhReport *report, KhChecks *checks)
{
    g_autofree char *actual = g_strdup_printf("%u", report->version);

    if (kh_report_version_is_known(report))
        kh_checks_pass(checks, "S2", "2 to 5", actual);
    else
        kh_checks_fail(checks, "S2", "2 to 5", actual, "the report's version is unknown");
}

static void
check_algorithm(const KhReport *report, KhChecks *checks)
{
    g_autofree char *actual = g_strdup_printf("%u", report->signature_algorithm);

    if (report->signature_algorithm == 1)
        kh_checks_pass(checks, "S3", "1", actual);
    else
        kh_checks_fail(checks, "S3", "1", actual,
                       "the signature's algorithm is not ECDSA P-384 with SHA-384");
}

static void
check_policy_bits(const KhReport *report, KhChecks *checks)
{
    g_autofree char *actual = g_strdup_printf("0x%" G_GINT64_MODIFIER "x", report->policy);

    if ((report->policy & KH_REPORT_POLICY_RESERVED_ONE) == 0)
        kh_checks_fail(checks, "S4", NULL, actual, "bit 17 of the policy is not set");
    else if (report->policy >> KH_REPORT_POLICY_BITS != 0)
        kh_checks_fail(checks, "S4", NULL, actual, "the policy has bits that are reserved");
    else
        kh_checks_pass(checks, "S4", NULL, actual);
}

static void
check_key_info(const KhReport *report, KhChecks *checks)
{
    g_autofree char *actual = g_strdup_printf("0x%x", report->key_info);

    if ((report->key_info & KEY_INFO_RESERVED) == 0 && kh_bytes_are_zero(report->raw + 0x04c, 4))
        kh_checks_pass(checks, "S5", NULL, actual);
    else
        kh_checks_fail(checks, "S5", NULL, actual, "key_info has bits that are reserved");
}

/* Which bytes of the signed part must be zero; by version. */
static void
check_reserved(const KhReport *report, KhChecks *checks)
{
    const struct {
        gsize from, to;
    } ranges[] = {
        {report->version >= 3 ? 0x18b : 0x188, 0x1a0},
        {0x1eb, 0x1ec},
        {0x1ef, 0x1f0},
        {report->version >= 5 ? 0x208 : 0x1f8, 0x2a0},
    };

    for (guint i = 0; i < G_N_ELEMENTS(ranges); i++)
        if (!kh_bytes_are_zero(report->raw + ranges[i].from, ranges[i].to - ranges[i].from)) {
            kh_checks_fail(checks, "S6", NULL, NULL,
                           "reserved bytes between 0x%" G_GSIZE_MODIFIER
                           "x and 0x%" G_GSIZE_MODIFIER "x are not zero",
                           ranges[i].from, ranges[i].to - 1);
            return;
        }
    kh_checks_pass(checks, "S6", NULL, NULL);
}

static void
check_signature_form(const KhReport *report, KhChecks *checks)
{
    g_autoptr(GError) failure = NULL;

    if (!kh_bytes_are_zero(report->raw + TAIL_OFFSET, KH_REPORT_SIZE - TAIL_OFFSET))
        kh_checks_fail(checks, "S7", NULL, NULL, "bytes after the signature are not zero");
    else if (!kh_signature_is_in_range(report, &failure))
        kh_checks_fail(checks, "S7", NULL, NULL, "%s", failure->message);
    else
        kh_checks_pass(checks, "S7", NULL, NULL);
}

gboolean
kh_report_check_structure(const KhReport *report, KhChecks *checks)
{
    check_version(report, checks);
    if (!kh_report_version_is_known(report))
        return FALSE;
    check_algorithm(report, checks);
    check_policy_bits(report, checks);
    check_key_info(report, checks);
    check_reserved(report, checks);
    check_signature_form(report, checks);
    return TRUE;
}
