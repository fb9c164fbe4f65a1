/* SPDX-License-Identifier: MIT */
/* Fuzz target: a report, and after its 1184 bytes a file of certificates. */
#include <string.h>

#include "fuzz.h"
#include "report-output.h"
#include "verifier.h"

#define TIME G_GINT64_CONSTANT(1751328000)

static void
print(const KhVerification *result)
{
    g_autoptr(JsonNode) root = json_node_new(JSON_NODE_OBJECT);
    g_autofree char *text = NULL;
    JsonObject *object = json_object_new();

    json_object_set_array_member(object, "checks", kh_report_output_checks(result->checks));
    if (result->report != NULL)
        json_object_set_object_member(object, "report",
                                      kh_report_output_fields(result->report, result->product));
    if (result->chain != NULL)
        json_object_set_array_member(object, "certificates", kh_report_output_path(result->chain));
    json_node_take_object(root, object);
    text = json_to_string(root, FALSE);
    g_assert_true(g_utf8_validate(text, -1, NULL));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    gsize length = MIN(size, KH_REPORT_SIZE);
    g_autoptr(KhCertificates) certificates = kh_certificates_new();
    g_autoptr(KhAnchors) anchors = kh_anchors_new_amd();
    g_autoptr(KhPolicy) policy = kh_policy_new();
    const KhVerifierInput input = {anchors, certificates, policy, NULL, TIME};
    g_autoptr(KhVerification) result = NULL;
    g_autofree char *summary = NULL;

    if (size > KH_REPORT_SIZE)
        kh_certificates_add(certificates, data + length, size - length, "file", NULL);
    result = kh_verifier_run(data, length, &input);
    summary = kh_verifier_summary(result->checks);
    /* No root of AMD's is among them. */
    g_assert_cmpint(kh_verdict_decide(result->checks, result->simulated, NULL), ==,
                    KH_VERDICT_FAILED);
    g_assert_true(g_str_has_prefix(summary, "not shown to be authentic"));
    print(result);
    return 0;
}
