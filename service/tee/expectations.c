/* SPDX-License-Identifier: MIT */
/* The checks V1 to V20: what the verifier expects of the report; see report-checks.h. */
#include "report-checks.h"

#include <string.h>

#include "bytes.h"

/* What every function here looks at. */
typedef struct {
    const KhReport *report;
    const KhChain *chain;
    KhProduct product;
    const KhPolicy *policy;
    KhChecks *checks;
} Context;

static const char not_asked[] = "not asked";
static const char no_layout[] = "the layout of an unknown product's TCB is unknown, see C6";

/* Whether something is asked of @id by @key; from then on it must pass. */
static gboolean
is_asked(const Context *self, const char *id, KhPolicyKey key)
{
    const KhExpectation *asked = kh_policy_get(self->policy, key);

    if (!asked->given) {
        kh_checks_skip(self->checks, id, not_asked);
        return FALSE;
    }
    kh_checks_require(self->checks, id);
    /* Of two expectations the one that the host claims is the one to know of. */
    if (kh_checks_find(self->checks, id)->source != KH_SOURCE_HOST)
        kh_checks_set_source(self->checks, id, asked->source);
    return TRUE;
}

static char *
hex64(guint64 number)
{
    return g_strdup_printf("0x%" G_GINT64_MODIFIER "x", number);
}

static void
check_guest_svn(const Context *self)
{
    g_autofree char *actual = g_strdup_printf("%u", self->report->guest_svn);
    g_autofree char *expected = NULL;
    guint64 least;

    if (!is_asked(self, "V1", KH_POLICY_MIN_GUEST_SVN))
        return;
    least = kh_policy_get(self->policy, KH_POLICY_MIN_GUEST_SVN)->number;
    expected = g_strdup_printf("at least %" G_GUINT64_FORMAT, least);
    if (self->report->guest_svn >= least)
        kh_checks_pass(self->checks, "V1", expected, actual);
    else
        kh_checks_fail(self->checks, "V1", expected, actual,
                       "the guest's security version is too old");
}

/* The first bit of @bits, which is not 0. */
static guint
lowest(guint64 bits)
{
    guint bit = 0;

    while ((bits >> bit & 1) == 0)
        bit++;
    return bit;
}

/*
 * Bits are compared one by one: none that is forbidden, each that is required. Says the first
 * that is wrong; NULL for none. Transfer full.
 */
static char *
bits_fault(guint64 bits, guint64 required, guint64 forbidden, char *(*name_of)(guint))
{
    guint64 wrong = (bits & forbidden) | (~bits & required);
    g_autofree char *name = NULL;
    guint bit;

    if (wrong == 0)
        return NULL;
    bit = lowest(wrong);
    name = name_of(bit);
    return g_strdup_printf("%s (bit %u) is %s", name, bit,
                           bits >> bit & 1 ? "set, which is forbidden"
                                           : "not set, which is required");
}

/* DEBUG and MIGRATE_MA off, whatever the policy says. */
static void
check_guest_policy(const Context *self)
{
    const KhExpectation *abi = kh_policy_get(self->policy, KH_POLICY_MAX_ABI);
    const KhExpectation *require = kh_policy_get(self->policy, KH_POLICY_POLICY_REQUIRE);
    const KhExpectation *forbid = kh_policy_get(self->policy, KH_POLICY_POLICY_FORBID);
    guint64 forbidden = KH_REPORT_POLICY_DEBUG | KH_REPORT_POLICY_MIGRATE_MA | forbid->number;
    g_autofree char *actual = hex64(self->report->policy);
    g_autofree char *fault =
        bits_fault(self->report->policy, require->number, forbidden, kh_report_policy_bit_name);
    guint64 version = self->report->policy & 0xffff;

    if (abi->given || require->given || forbid->given)
        kh_checks_set_source(self->checks, "V2",
                             MAX(abi->source, MAX(require->source, forbid->source)));
    if (fault != NULL)
        kh_checks_fail(self->checks, "V2", NULL, actual, "the guest's policy: %s", fault);
    else if (abi->given && version > abi->number)
        kh_checks_fail(self->checks, "V2", NULL, actual,
                       "the guest's policy asks for the ABI %u.%u, more than %u.%u",
                       (guint)(version >> 8), (guint)(version & 0xff), (guint)(abi->number >> 8),
                       (guint)(abi->number & 0xff));
    else
        kh_checks_pass(self->checks, "V2", NULL, actual);
}

/* Fields that must be one of the given values. */
static const struct {
    const char *id;
    KhPolicyKey key;
    KhReportField field;
} byte_checks[] = {
    {"V3", KH_POLICY_REPORT_DATA, KH_REPORT_REPORT_DATA},
    {"V4", KH_POLICY_HOST_DATA, KH_REPORT_HOST_DATA},
    {"V5", KH_POLICY_FAMILY_ID, KH_REPORT_FAMILY_ID},
    {"V6", KH_POLICY_IMAGE_ID, KH_REPORT_IMAGE_ID},
    {"V7", KH_POLICY_REPORT_ID, KH_REPORT_REPORT_ID},
    {"V8", KH_POLICY_REPORT_ID_MA, KH_REPORT_REPORT_ID_MA},
    {"V9", KH_POLICY_MEASUREMENT, KH_REPORT_MEASUREMENT},
    {"V10", KH_POLICY_CHIP_ID, KH_REPORT_CHIP_ID},
    {"V18", KH_POLICY_ID_KEY_DIGEST, KH_REPORT_ID_KEY_DIGEST},
    {"V18", KH_POLICY_AUTHOR_KEY_DIGEST, KH_REPORT_AUTHOR_KEY_DIGEST},
};

static gboolean
is_among(const GPtrArray *values, const guint8 *data, gsize length)
{
    for (guint i = 0; i < values->len; i++) {
        gsize size;
        gconstpointer value = g_bytes_get_data(values->pdata[i], &size);

        if (size == length && memcmp(value, data, length) == 0)
            return TRUE;
    }
    return FALSE;
}

/* The value, or how many there are. */
static char *
format_values(const GPtrArray *values)
{
    gsize size;
    const guint8 *first = g_bytes_get_data(values->pdata[0], &size);

    return values->len == 1 ? kh_bytes_to_hex(first, size)
                            : g_strdup_printf("one of %u values", values->len);
}

static void
check_bytes(const Context *self, const char *id, KhPolicyKey key, KhReportField field)
{
    gsize length;
    const guint8 *data = kh_report_field(self->report, field, &length);
    g_autofree char *actual = kh_bytes_to_hex(data, length);
    g_autofree char *expected = NULL;
    const GPtrArray *values;

    if (!is_asked(self, id, key))
        return;
    values = kh_policy_get(self->policy, key)->values;
    expected = format_values(values);
    if (field == KH_REPORT_AUTHOR_KEY_DIGEST && !self->report->author_key)
        kh_checks_fail(self->checks, id, expected, actual, "the report names no author key");
    else if (is_among(values, data, length))
        kh_checks_pass(self->checks, id, expected, actual);
    else
        kh_checks_fail(self->checks, id, expected, actual, "%s is not what is expected",
                       kh_report_field_name(field));
}

static void
check_all_bytes(const Context *self)
{
    for (guint i = 0; i < G_N_ELEMENTS(byte_checks); i++)
        check_bytes(self, byte_checks[i].id, byte_checks[i].key, byte_checks[i].field);
}

/* Committed against current: the same, or at most that. */
static void
check_committed_tcb(const Context *self)
{
    KhTcb committed = kh_report_tcb(self->report, KH_REPORT_COMMITTED_TCB, self->product);
    KhTcb current = kh_report_tcb(self->report, KH_REPORT_CURRENT_TCB, self->product);
    g_autofree char *expected = kh_tcb_format(&current);
    g_autofree char *actual = kh_tcb_format(&committed);
    gboolean lenient;

    if (!is_asked(self, "V11", KH_POLICY_COMMITTED_TCB))
        return;
    lenient = kh_policy_get(self->policy, KH_POLICY_COMMITTED_TCB)->number != 0;
    if (lenient ? kh_tcb_is_at_least(&current, &committed) : kh_tcb_equal(&current, &committed))
        kh_checks_pass(self->checks, "V11", expected, actual);
    else
        kh_checks_fail(self->checks, "V11", expected, actual,
                       "the committed TCB is not the current one");
}

static void
check_least_tcb(const Context *self, const char *id, KhPolicyKey key, KhReportTcb which)
{
    KhTcb tcb = kh_report_tcb(self->report, which, self->product);
    g_autofree char *actual = kh_tcb_format(&tcb);
    g_autofree char *least = NULL;
    g_autofree char *expected = NULL;
    const KhExpectation *asked = kh_policy_get(self->policy, key);

    if (!is_asked(self, id, key))
        return;
    least = kh_tcb_format(&asked->tcb);
    expected = g_strconcat("at least ", least, NULL);
    if (kh_tcb_is_at_least(&tcb, &asked->tcb))
        kh_checks_pass(self->checks, id, expected, actual);
    else
        kh_checks_fail(self->checks, id, expected, actual, "%s is too old",
                       kh_report_tcb_name(which));
}

/* V13 is B2, V14 the certificate's TCB against the current one. */
static void
check_certificate_tcb(const Context *self)
{
    const KhCheck *same = kh_checks_find(self->checks, "B2");
    KhTcb current = kh_report_tcb(self->report, KH_REPORT_CURRENT_TCB, self->product);
    g_autofree char *actual = kh_tcb_format(&current);
    g_autofree char *expected = NULL;

    if (same->status == KH_CHECK_PASSED)
        kh_checks_pass(self->checks, "V13", same->expected, same->actual);
    else if (same->status == KH_CHECK_FAILED)
        kh_checks_fail(self->checks, "V13", same->expected, same->actual, "%s", same->reason);
    else
        kh_checks_skip(self->checks, "V13", "%s", same->reason);
    if (self->chain->extensions == NULL) {
        kh_checks_skip(self->checks, "V14", "the certificate's TCB is not known, see C4 and C5");
        return;
    }
    expected = kh_tcb_format(&self->chain->extensions->tcb);
    if (kh_tcb_is_at_least(&current, &self->chain->extensions->tcb))
        kh_checks_pass(self->checks, "V14", expected, actual);
    else
        kh_checks_fail(self->checks, "V14", expected, actual,
                       "the current TCB is older than the certificate's");
}

/* V15a: reported <= committed <= current. */
static void
check_tcb_order(const Context *self)
{
    KhTcb reported = kh_report_tcb(self->report, KH_REPORT_REPORTED_TCB, self->product);
    KhTcb committed = kh_report_tcb(self->report, KH_REPORT_COMMITTED_TCB, self->product);
    KhTcb current = kh_report_tcb(self->report, KH_REPORT_CURRENT_TCB, self->product);
    g_autofree char *low = kh_tcb_format(&reported);
    g_autofree char *middle = kh_tcb_format(&committed);
    g_autofree char *high = kh_tcb_format(&current);
    g_autofree char *actual = g_strdup_printf("%s; %s; %s", low, middle, high);

    if (kh_tcb_is_at_least(&committed, &reported) && kh_tcb_is_at_least(&current, &committed))
        kh_checks_pass(self->checks, "V15a", NULL, actual);
    else
        kh_checks_fail(self->checks, "V15a", NULL, actual,
                       "the reported, committed and current TCB are not in ascending order");
}

static void
check_tcbs(const Context *self)
{
    static const char *const ids[] = {"V11", "V12", "V13", "V14", "V15", "V15a"};

    for (guint i = 0; self->product == KH_PRODUCT_UNKNOWN && i < G_N_ELEMENTS(ids); i++)
        kh_checks_skip(self->checks, ids[i], no_layout);
    if (self->product == KH_PRODUCT_UNKNOWN)
        return;
    check_committed_tcb(self);
    check_least_tcb(self, "V12", KH_POLICY_MIN_LAUNCH_TCB, KH_REPORT_LAUNCH_TCB);
    check_certificate_tcb(self);
    check_least_tcb(self, "V15", KH_POLICY_MIN_REPORTED_TCB, KH_REPORT_REPORTED_TCB);
    check_tcb_order(self);
}

static const char *
version_fault(const Context *self)
{
    const KhExpectation *order = kh_policy_get(self->policy, KH_POLICY_COMMITTED_VERSION);
    const KhExpectation *least = kh_policy_get(self->policy, KH_POLICY_MIN_COMMITTED_VERSION);
    guint32 committed = self->report->committed_version;
    guint32 current = self->report->current_version;

    if (committed > current)
        return "the committed firmware is newer than the current one";
    /* Without a word about the order, a provisional firmware is not accepted. */
    if (order->number == 0 && committed != current)
        return "the committed firmware is not the current one";
    if (least->given && committed < least->number)
        return "the committed firmware is too old";
    return NULL;
}

static void
check_version(const Context *self)
{
    g_autofree char *committed = kh_report_version_format(self->report->committed_version);
    g_autofree char *current = kh_report_version_format(self->report->current_version);
    g_autofree char *actual = g_strdup_printf("committed %s, current %s", committed, current);
    gboolean order = is_asked(self, "V16", KH_POLICY_COMMITTED_VERSION);
    gboolean least = is_asked(self, "V16", KH_POLICY_MIN_COMMITTED_VERSION);
    const char *fault;

    if (!order && !least)
        return;
    fault = version_fault(self);
    if (fault == NULL)
        kh_checks_pass(self->checks, "V16", NULL, actual);
    else
        kh_checks_fail(self->checks, "V16", NULL, actual, "%s", fault);
}

static void
check_platform(const Context *self)
{
    gboolean require = is_asked(self, "V17", KH_POLICY_PLATFORM_REQUIRE);
    gboolean forbid = is_asked(self, "V17", KH_POLICY_PLATFORM_FORBID);
    g_autofree char *actual = hex64(self->report->platform_info);
    g_autofree char *fault =
        bits_fault(self->report->platform_info,
                   kh_policy_get(self->policy, KH_POLICY_PLATFORM_REQUIRE)->number,
                   kh_policy_get(self->policy, KH_POLICY_PLATFORM_FORBID)->number,
                   kh_report_platform_bit_name);

    if (!require && !forbid)
        return;
    if (fault == NULL)
        kh_checks_pass(self->checks, "V17", NULL, actual);
    else
        kh_checks_fail(self->checks, "V17", NULL, actual, "the platform: %s", fault);
}

static void
check_vector(const Context *self, KhPolicyKey key, guint64 vector, const char *which)
{
    g_autofree char *actual = hex64(vector);
    g_autofree char *expected = NULL;
    guint64 wanted;

    if (!is_asked(self, "V19", key))
        return;
    wanted = kh_policy_get(self->policy, key)->number;
    expected = hex64(wanted);
    if (self->report->version < 5)
        kh_checks_fail(self->checks, "V19", expected, NULL,
                       "a report of version %u has no mitigation vectors", self->report->version);
    else if ((vector & wanted) == wanted)
        kh_checks_pass(self->checks, "V19", expected, actual);
    else
        kh_checks_fail(self->checks, "V19", expected, actual, "mitigations are missing %s", which);
}

static void
check_vmpl(const Context *self)
{
    g_autofree char *actual = g_strdup_printf("%u", self->report->vmpl);
    g_autofree char *expected = NULL;
    guint64 wanted;

    if (!is_asked(self, "V20", KH_POLICY_VMPL))
        return;
    wanted = kh_policy_get(self->policy, KH_POLICY_VMPL)->number;
    expected = g_strdup_printf("%" G_GUINT64_FORMAT, wanted);
    if (self->report->vmpl == wanted)
        kh_checks_pass(self->checks, "V20", expected, actual);
    else
        kh_checks_fail(self->checks, "V20", expected, actual,
                       "the report was asked for from another privilege level");
}

/* Which provider's key signed it; of a VLEK only. */
static void
check_provider(const Context *self)
{
    const KhExtensions *extensions = self->chain->extensions;
    gboolean asked = is_asked(self, "CSP", KH_POLICY_CSP_ID);
    const char *wanted = kh_policy_get(self->policy, KH_POLICY_CSP_ID)->text;

    if (extensions == NULL)
        kh_checks_skip(self->checks, "CSP", "the certificate is not known, see C4 and C5");
    else if (extensions->csp_id == NULL && asked)
        kh_checks_fail(self->checks, "CSP", wanted, NULL, "the certificate is a chip's, a VCEK");
    else if (extensions->csp_id == NULL)
        kh_checks_exempt(self->checks, "CSP", "the certificate is a chip's, a VCEK");
    else if (!asked)
        return;
    else if (g_str_equal(extensions->csp_id, wanted))
        kh_checks_pass(self->checks, "CSP", wanted, extensions->csp_id);
    else
        kh_checks_fail(self->checks, "CSP", wanted, extensions->csp_id,
                       "the certificate is another provider's");
}

void
kh_report_check_expectations(const KhReport *report, const KhChain *chain, KhProduct product,
                             const KhPolicy *policy, KhChecks *checks)
{
    const Context self = {report, chain, product, policy, checks};

    check_guest_svn(&self);
    check_guest_policy(&self);
    check_all_bytes(&self);
    check_tcbs(&self);
    check_version(&self);
    check_platform(&self);
    check_vector(&self, KH_POLICY_LAUNCH_MITIGATIONS, report->launch_mitigations, "at launch");
    check_vector(&self, KH_POLICY_CURRENT_MITIGATIONS, report->current_mitigations, "now");
    check_vmpl(&self);
    check_provider(&self);
}
