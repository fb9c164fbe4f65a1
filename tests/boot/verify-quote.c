/* SPDX-License-Identifier: MIT */
/*
 * Verifies an answer to tee_generateQuote with the library, as `attest` does, trusting the root
 * in a folder of make-chain. Prints the checks that are not passed and then the verdict; exits
 * as the verdict says.
 *
 *   verify-quote FOLDER ANSWER MEASUREMENT CHAIN-ID BLOCK [PREV|none]
 */
#include <openssl/pem.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <string.h>

#include "katana-binding.h"
#include "openssl-autoptr.h"
#include "verifier.h"

static void
stop_at(const GError *error)
{
    if (error == NULL)
        return;
    printf("%s\n", error->message);
    exit(3);
}

static GBytes *
load(const char *folder, const char *name)
{
    g_autofree char *path = folder == NULL ? g_strdup(name) : g_build_filename(folder, name, NULL);
    g_autoptr(GError) error = NULL;
    gsize length = 0;
    char *data = NULL;

    g_file_get_contents(path, &data, &length, &error);
    stop_at(error);
    return g_bytes_new_take(data, length);
}

static void
trust_root(KhAnchors *anchors, const char *folder)
{
    g_autoptr(GBytes) pem = load(folder, "ark.pem");
    gsize length;
    const char *data = g_bytes_get_data(pem, &length);
    g_autoptr(BIO) bio = BIO_new_mem_buf(data, (int)length);
    g_autoptr(X509) x509 = PEM_read_bio_X509(bio, NULL, NULL, NULL);
    guint8 sha256[KH_FINGERPRINT_SIZE];

    X509_digest(x509, EVP_sha256(), sha256, NULL);
    kh_anchors_add_root(anchors, sha256);
}

static void
expect(KhPolicy *policy, KhPolicyKey key, const char *value)
{
    g_autoptr(GError) error = NULL;

    kh_policy_set(policy, key, value, KH_SOURCE_OPTION, &error);
    stop_at(error);
}

static void
expect_felt(KhExpectedFelt *expected, gboolean (*parse)(const char *, KhFelt *, GError **),
            const char *text)
{
    g_autoptr(GError) error = NULL;

    expected->set = TRUE;
    expected->source = KH_SOURCE_OPTION;
    parse(text, &expected->felt, &error);
    stop_at(error);
}

static void
read_expectations(KhKatanaExpectations *expected, char **argv)
{
    expect_felt(&expected->chain_id, kh_felt_from_chain_id, argv[4]);
    expected->block =
        (KhExpectedNumber){TRUE, KH_SOURCE_OPTION, g_ascii_strtoull(argv[5], NULL, 10)};
    if (argv[6] == NULL)
        return;
    expected->prev_block.set = TRUE;
    expected->prev_block.source = KH_SOURCE_OPTION;
    if (g_str_equal(argv[6], "none"))
        kh_felt_max(&expected->prev_block.felt);
    else
        kh_felt_from_u64(g_ascii_strtoull(argv[6], NULL, 10), &expected->prev_block.felt);
}

static void
bind_block(KhChecks *checks, const KhQuote *quote, char **argv)
{
    KhKatanaExpectations expected = {0};
    g_autoptr(GError) error = NULL;
    const guint8 *data = kh_quote_report_data(quote, &error);

    stop_at(error);
    read_expectations(&expected, argv);
    kh_katana_binding_add_checks(checks);
    kh_katana_binding_run(checks, quote, data, &expected);
    kh_checks_require(checks, "V9");
    kh_checks_require(checks, "V20");
}

static void
print_checks(const KhChecks *checks)
{
    for (guint i = 0; i < kh_checks_get_length(checks); i++) {
        const KhCheck *check = kh_checks_get(checks, i);

        if (check->status != KH_CHECK_PASSED)
            printf("%s %s: %s\n", check->id, kh_check_status_name(check->status),
                   check->reason == NULL ? "" : check->reason);
    }
}

static KhVerification *
verify(const KhQuote *quote, const char *folder, const KhCertificates *certificates,
       const char *measurement)
{
    g_autoptr(KhAnchors) anchors = kh_anchors_new_empty(FALSE);
    g_autoptr(KhPolicy) policy = kh_policy_new();
    g_autoptr(GBytes) crl = load(folder, "crl.der");
    gsize length;
    const guint8 *data = g_bytes_get_data(quote->bytes, &length);
    const KhVerifierInput input = {
        .anchors = anchors,
        .certificates = certificates,
        .policy = policy,
        .crl = crl,
        .time = g_get_real_time() / G_USEC_PER_SEC,
    };

    trust_root(anchors, folder);
    expect(policy, KH_POLICY_MEASUREMENT, measurement);
    expect(policy, KH_POLICY_VMPL, "1");
    return kh_verifier_run(data, length, &input);
}

int
main(int argc, char **argv)
{
    g_autoptr(KhCertificates) certificates = kh_certificates_new();
    g_autoptr(KhVerification) verification = NULL;
    g_autoptr(GBytes) answer = NULL;
    g_autoptr(KhQuote) quote = NULL;
    g_autoptr(GError) error = NULL;
    KhVerdict verdict;

    if (argc < 6 || argc > 7) {
        fputs("usage: verify-quote FOLDER ANSWER MEASUREMENT CHAIN-ID BLOCK [PREV|none]\n", stderr);
        return 2;
    }
    answer = load(NULL, argv[2]);
    quote = kh_quote_parse_answer(g_bytes_get_data(answer, NULL), g_bytes_get_size(answer), &error);
    stop_at(error);
    kh_certificates_add_folder(certificates, argv[1], &error);
    stop_at(error);
    verification = verify(quote, argv[1], certificates, argv[3]);
    bind_block(verification->checks, quote, argv);
    print_checks(verification->checks);
    verdict = kh_verdict_decide(verification->checks, verification->simulated, NULL);
    puts(kh_verdict_name(verdict));
    return kh_verdict_exit_code(verdict, FALSE);
}
