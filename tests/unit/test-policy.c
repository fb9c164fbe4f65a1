/* SPDX-License-Identifier: MIT */
/* Tests of the policy file: what is not understood is an error, never a check less. */
#include <glib/gstdio.h>
#include <string.h>

#include "error.h"
#include "policy.h"

#define H(text) "[report]\n" text "\n"
#define HEX32 "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
#define HEX48 HEX32 "00112233445566778899aabbccddeeff"

static gboolean
parse(const char *text, GError **error)
{
    g_autoptr(KhPolicy) policy = kh_policy_new();

    return kh_policy_parse(policy, text, strlen(text), error);
}

static void
good(void)
{
    static const char *const texts[] = {
        "# first\n\n [report]\n  vmpl = 1  \n",
        "[report]\r\nvmpl=1\r\n",
        H("measurement=" HEX48),
        H("measurement=0x" HEX48 " ; " HEX48),
        H("host-data=" HEX32),
        H("min-guest-svn=4294967295"),
        H("policy-forbid=smt;bit62"),
        H("min-reported-tcb=fmc=1,bootloader=2,tee=3,snp=4,microcode=255"),
        H("allow-masked-chip=false\nrequire-crl=true\ncrl-grace-days=366"),
        H("launch-mitigations=0xffffffffffffffff"),
        H("csp-id=CN=cc-us-east-2.amazonaws.com"),
        H("chip-id=0011223344556677"),
    };

    for (guint i = 0; i < G_N_ELEMENTS(texts); i++) {
        g_autoptr(GError) error = NULL;

        if (!parse(texts[i], &error))
            g_test_message("%s", texts[i]);
        g_assert_no_error(error);
    }
}

static void
bad(void)
{
    static const struct {
        const char *text, *says;
    } rows[] = {
        {"", "empty"},
        {"# only a comment\n", "empty"},
        {"[report]", "no key"},
        {H("# vmpl=1"), "no key"},
        {"vmpl=1\n", ""},
        {"[reports]\nvmpl=1\n", "reports"},
        {H("vmpl=1\n[katana]\nx=1"), "katana"},
        {H("product=Venice"), "Turin"},
        {H("vmpll=1"), "did you mean \"vmpl\""},
        {H("vmpl=1\nvmpl=1"), "vmpl"},
        {H("vmpl=1\n vmpl =2"), "vmpl"},
        {H("vmpl=1\n\tvmpl=1"), "vmpl"},
        {H("vmpl=1\n[report]\nhost-data=" HEX32), "twice"},
        {H("vmpl=1\n[report]"), "twice"},
        {H("vmpl[de]=1"), "vmpl[de]"},
        {H("vmpl=1\nvmpl[C]=2"), "vmpl[C]"},
        {H("VMPL=1"), "VMPL"},
        {H("vmpl="), "empty"},
        {H("vmpl=   "), "empty"},
        {H("vmpl"), ""},
        {H("vmpl=4"), "vmpl"},
        {H("vmpl=-1"), "vmpl"},
        {H("vmpl=1x"), "vmpl"},
        {H("vmpl=0x1"), "vmpl"},
        {H("vmpl=1\\q"), "backslash"},
        {H("vmpl=\\s1"), "backslash"},
        {H("csp-id=a\\q\\"), "backslash"},
        {H("=1"), ""},
        {H("measurement=" HEX32), "96 hex digits"},
        {H("measurement=" HEX48 "00"), "96 hex digits"},
        {H("measurement=" HEX48 ";"), "96 hex digits"},
        {H("measurement=zz" HEX32), "measurement"},
        {H("report-data=" HEX48), "report-data"},
        {H("chip-id=001122"), "chip-id"},
        {H("min-guest-svn=4294967296"), "min-guest-svn"},
        {H("max-abi=1"), "MAJOR.MINOR"},
        {H("max-abi=1.256"), "max-abi"},
        {H("min-committed-version=1.55"), "MAJOR.MINOR.BUILD"},
        {H("policy-require=debug"), "policy-require"},
        {H("policy-require=migrate-ma"), "policy-require"},
        {H("policy-require=smt\npolicy-forbid=smt"), "policy-require"},
        {H("policy-require=bit3"), "bit3"},
        {H("policy-require=smt;smt"), "policy-require"},
        {H("policy-require=smt;"), "policy-require"},
        {H("platform-forbid=nothing"), "nothing"},
        {H("platform-forbid=ecc\nplatform-require=ecc"), "platform"},
        {H("min-launch-tcb=snp"), "min-launch-tcb"},
        {H("committed-tcb=yes"), "at-most-current"},
        {H("allow-masked-chip=1"), "true or false"},
        {H("require-crl=TRUE"), "true or false"},
        {H("crl-grace-days=367"), "crl-grace-days"},
        {H("launch-mitigations=3"), "launch-mitigations"},
        {H("launch-mitigations=0x"), "launch-mitigations"},
        {H("launch-mitigations=0x10000000000000000"), "launch-mitigations"},
        {H("product=Rome"), "Rome"},
        {H("product=unknown"), "unknown"},
        {H("vmpl=1\n\377=1"), "UTF-8"},
        {H("Encoding=UTF-8"), "Encoding"},
    };

    for (guint i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(GError) error = NULL;

        if (parse(rows[i].text, &error))
            g_test_message("%s", rows[i].text);
        g_assert_error(error, KH_ERROR, KH_ERROR_INVALID_ARGUMENT);
        if (strstr(error->message, rows[i].says) == NULL)
            g_test_message("%s: %s", rows[i].text, error->message);
        g_assert_nonnull(strstr(error->message, rows[i].says));
    }
}

static void
bounds(void)
{
    g_autoptr(KhPolicy) policy = kh_policy_new();
    g_autofree char *large = g_malloc(KH_POLICY_FILE_MAX + 1);
    g_autoptr(GError) size = NULL;
    g_autoptr(GError) nul = NULL;

    memset(large, '\n', KH_POLICY_FILE_MAX + 1);
    g_assert_false(kh_policy_parse(policy, large, KH_POLICY_FILE_MAX + 1, &size));
    g_assert_error(size, KH_ERROR, KH_ERROR_INVALID_ARGUMENT);
    g_assert_false(kh_policy_parse(policy, "[report]\0vmpl=1", 15, &nul));
    g_assert_error(nul, KH_ERROR, KH_ERROR_INVALID_ARGUMENT);
}

static void
files(void)
{
    g_autoptr(KhPolicy) policy = kh_policy_new();
    g_autoptr(GError) missing = NULL;
    g_autoptr(GError) folder = NULL;

    g_assert_false(kh_policy_read(policy, "/nonexistent/policy", &missing));
    g_assert_error(missing, KH_ERROR, KH_ERROR_NOT_FOUND);
    g_assert_false(kh_policy_read(policy, g_get_tmp_dir(), &folder));
    g_assert_error(folder, KH_ERROR, KH_ERROR_FAILED);
}

/* An option does not take the place of the file's line. */
static void
twice(void)
{
    g_autoptr(KhPolicy) policy = kh_policy_new();
    g_autoptr(GError) error = NULL;

    g_assert_true(kh_policy_parse(policy, H("vmpl=1"), strlen(H("vmpl=1")), NULL));
    g_assert_false(kh_policy_set(policy, KH_POLICY_VMPL, "2", KH_SOURCE_OPTION, &error));
    g_assert_error(error, KH_ERROR, KH_ERROR_INVALID_ARGUMENT);
    g_assert_cmpuint(kh_policy_get(policy, KH_POLICY_VMPL)->number, ==, 1);
    g_assert_cmpint(kh_policy_get(policy, KH_POLICY_VMPL)->source, ==, KH_SOURCE_POLICY);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/policy/good", good);
    g_test_add_func("/policy/bad", bad);
    g_test_add_func("/policy/bounds", bounds);
    g_test_add_func("/policy/files", files);
    g_test_add_func("/policy/twice", twice);
    return g_test_run();
}
