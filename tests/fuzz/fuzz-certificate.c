/* SPDX-License-Identifier: MIT */
/*
 * Fuzz target: two bytes of length, a file of certificates of that length, and after it a CRL.
 */
#include <string.h>

#include "bytes.h"
#include "crl.h"
#include "extensions.h"
#include "fuzz.h"
#include "verifier.h"

#define TIME G_GINT64_CONSTANT(1751328000)

static void
assert_harmless(const char *text)
{
    g_assert_true(g_utf8_validate(text, -1, NULL));
    for (const char *c = text; *c != '\0'; c++)
        g_assert_true((guchar)*c >= ' ' && *c != 0x7f);
}

static void
read_one(const KhCertificate *one, GBytes *crl)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GError) list_error = NULL;
    g_autoptr(KhExtensions) extensions = kh_extensions_read(one, &error);
    const KhCrlUse use = {.root = one, .intermediate = one, .time = TIME};

    g_assert_true((extensions == NULL) == (error != NULL));
    assert_harmless(one->subject);
    if (extensions != NULL) {
        assert_harmless(extensions->product_name);
        g_assert_true(extensions->hardware_id_length == 0 || extensions->hardware_id_length == 8 ||
                      extensions->hardware_id_length == 64);
    }
    g_assert_true(kh_crl_check(crl, &use, &list_error) == (list_error == NULL));
}

/* A report of zeros of version 5: no certificate makes it good. */
static void
verify(const KhCertificates *certificates, GBytes *crl)
{
    static const guint8 report[KH_REPORT_SIZE] = {5};
    g_autoptr(KhAnchors) anchors = kh_anchors_new_empty(FALSE);
    g_autoptr(KhPolicy) policy = kh_policy_new();
    const KhVerifierInput input = {anchors, certificates, policy, crl, TIME};
    g_autoptr(KhVerification) result = kh_verifier_run(report, sizeof report, &input);

    g_assert_cmpint(kh_verdict_decide(result->checks, FALSE, NULL), ==, KH_VERDICT_FAILED);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    gsize length = size < 2 ? 0 : MIN((gsize)(data[0] | data[1] << 8), size - 2);
    g_autoptr(KhCertificates) certificates = kh_certificates_new();
    g_autoptr(GBytes) crl = NULL;

    if (size < 2)
        return 0;
    crl = g_bytes_new(data + 2 + length, size - 2 - length);
    kh_certificates_add(certificates, data + 2, length, "file", NULL);
    for (guint i = 0; i < kh_certificates_get_length(certificates); i++)
        read_one(kh_certificates_get(certificates, i), crl);
    verify(certificates, crl);
    return 0;
}
