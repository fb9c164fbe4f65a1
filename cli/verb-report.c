/* SPDX-License-Identifier: MIT */
/* katana-hypervisor report: shows and verifies attestation reports, without the service. */
#include <stdio.h>

#include "bytes.h"
#include "crl.h"
#include "error.h"
#include "output.h"
#include "report-output.h"
#include "values.h"
#include "verbs.h"

/* What the options say; all NULL where they are not there. */
typedef struct {
    char *certs, *crl, *at, *policy;
    char *measurement, *report_data, *product;
} Options;

static void
free_options(Options *options)
{
    g_free(options->certs);
    g_free(options->crl);
    g_free(options->at);
    g_free(options->policy);
    g_free(options->measurement);
    g_free(options->report_data);
    g_free(options->product);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Options, free_options)

/* An option is an expectation like a line of the policy file, and is not given in both. */
static gboolean
add_option(KhPolicy *policy, KhPolicyKey key, const char *value, GError **error)
{
    if (value == NULL || kh_policy_set(policy, key, value, KH_SOURCE_OPTION, error))
        return TRUE;
    g_prefix_error(error, "--%s: ", kh_policy_key_name(key));
    return FALSE;
}

static KhPolicy *
read_policy(const Options *options, GError **error)
{
    g_autoptr(KhPolicy) policy = kh_policy_new();

    if (options->policy != NULL && !kh_policy_read(policy, options->policy, error))
        return NULL;
    if (add_option(policy, KH_POLICY_MEASUREMENT, options->measurement, error) &&
        add_option(policy, KH_POLICY_REPORT_DATA, options->report_data, error) &&
        add_option(policy, KH_POLICY_PRODUCT, options->product, error))
        return g_steal_pointer(&policy);
    return NULL;
}

static GBytes *
read_report(const char *path, GError **error)
{
    return kh_bytes_read_file(path, KH_REPORT_SIZE, FALSE, error);
}

static void
print_json(const KhVerification *result, KhVerdict verdict, const char *summary)
{
    JsonObject *object = json_object_new();

    json_object_set_string_member(object, "verdict", kh_verdict_name(verdict));
    json_object_set_string_member(object, "summary", summary);
    json_object_set_array_member(object, "checks", kh_report_output_checks(result->checks));
    if (result->chain != NULL) {
        json_object_set_object_member(object, "report",
                                      kh_report_output_fields(result->report, result->product));
        json_object_set_array_member(object, "certificates", kh_report_output_path(result->chain));
        kh_report_output_add_provider(object, result->chain);
    }
    kh_output_json_object(object);
}

/* The verdict stands alone on the last line, and comes from no one else's text. */
static void
print_text(const KhVerification *result, KhVerdict verdict, const char *summary)
{
    printf("%s\n\n", summary);
    if (result->chain != NULL) {
        g_autoptr(JsonObject) fields = kh_report_output_fields(result->report, result->product);

        kh_report_output_text(fields);
        kh_report_output_path_text(result->chain);
        putchar('\n');
    }
    kh_report_output_checks_text(result->checks);
    printf("\n%s\n", kh_verdict_name(verdict));
}

static int
verify(KhCli *cli, GBytes *report, const KhVerifierInput *input)
{
    gsize length;
    const guint8 *data = g_bytes_get_data(report, &length);
    g_autoptr(KhVerification) result = kh_verifier_run(data, length, input);
    KhVerdict verdict = kh_verdict_decide(result->checks, result->simulated, NULL);
    g_autofree char *summary = kh_verifier_summary(result->checks);

    if (cli->json)
        print_json(result, verdict, summary);
    else
        print_text(result, verdict, summary);
    return kh_verdict_exit_code(verdict, FALSE);
}

static int
run_verify(KhCli *cli, const Options *options, const char *path)
{
    GError *error = NULL;
    g_autoptr(KhAnchors) anchors = kh_anchors_new_amd();
    g_autoptr(KhCertificates) certificates = kh_certificates_new();
    g_autoptr(KhPolicy) policy = read_policy(options, &error);
    g_autoptr(GBytes) report = NULL;
    g_autoptr(GBytes) crl = NULL;
    KhVerifierInput input = {.anchors = anchors, .certificates = certificates, .policy = policy};

    if (policy == NULL || !kh_time_parse(options->at, &input.time, &error))
        return kh_cli_fail(cli, error);
    if (options->certs == NULL) {
        kh_error_set(&error, KH_ERROR_INVALID_ARGUMENT,
                     "--certs DIR is missing; give the folder with the VCEK or VLEK, the ASK or "
                     "ASVK, and the ARK");
        return kh_cli_fail(cli, error);
    }
    report = read_report(path, &error);
    if (report == NULL || !kh_certificates_add_folder(certificates, options->certs, &error))
        return kh_cli_fail(cli, error);
    if (options->crl != NULL) {
        crl = kh_bytes_read_file(options->crl, KH_CRL_SIZE_MAX, FALSE, &error);
        if (crl == NULL)
            return kh_cli_fail(cli, error);
    }
    input.crl = crl;
    return verify(cli, report, &input);
}

static void
print_fields(KhCli *cli, const KhReport *report, KhProduct product)
{
    g_autoptr(JsonObject) fields = kh_report_output_fields(report, product);

    if (cli->json)
        kh_output_json_object(g_steal_pointer(&fields));
    else
        kh_report_output_text(fields);
}

static int
run_show(KhCli *cli, const Options *options, const char *path)
{
    GError *error = NULL;
    g_autoptr(KhPolicy) policy = read_policy(options, &error);
    g_autoptr(GBytes) bytes = policy == NULL ? NULL : read_report(path, &error);
    g_autofree KhReport *report = NULL;
    gconstpointer data;
    gsize length;
    KhProduct product;

    if (bytes == NULL)
        return kh_cli_fail(cli, error);
    data = g_bytes_get_data(bytes, &length);
    report = kh_report_new(data, length, &error);
    if (report != NULL && !kh_report_version_is_known(report))
        error = g_error_new(KH_ERROR, KH_ERROR_FAILED,
                            "The report's version is %u, which is unknown: 2 to 5 are known",
                            report->version);
    if (error != NULL)
        return kh_cli_fail(cli, error);
    product = kh_verifier_product(report, policy, NULL);
    print_fields(cli, report, product);
    if (product != KH_PRODUCT_UNKNOWN)
        return 0;
    return kh_cli_fail(cli, g_error_new(KH_ERROR, KH_ERROR_FAILED,
                                        "The report's product is unknown: CPUID family 0x%02x, "
                                        "model 0x%02x",
                                        report->family, report->model));
}

/* What belongs to the other word is refused rather than passed over. */
static gboolean
check_show_options(const Options *options, GError **error)
{
    if (options->certs == NULL && options->crl == NULL && options->at == NULL &&
        options->policy == NULL && options->measurement == NULL && options->report_data == NULL)
        return TRUE;
    return kh_error_set(
        error, KH_ERROR_INVALID_ARGUMENT,
        "report show takes no option but --product; the others are for report verify");
}

/* For --help: the keys that a policy file may have. */
static char *
describe_policy(void)
{
    g_autoptr(GString) text =
        g_string_new("The file of --policy has one group, [" KH_POLICY_GROUP "], with any of:\n");

    for (int i = 0; i < KH_N_POLICY_KEYS; i++)
        g_string_append_printf(text, "  %s\n", kh_policy_key_name((KhPolicyKey)i));
    return g_strdup(text->str);
}

int
kh_verb_report(KhCli *cli)
{
    g_auto(Options) o = {NULL};
    const GOptionEntry entries[] = {
        {"certs", 0, 0, G_OPTION_ARG_FILENAME, &o.certs, "Folder with certificates, as PEM or DER",
         "DIR"},
        {"crl", 0, 0, G_OPTION_ARG_FILENAME, &o.crl, "AMD's certificate revocation list", "FILE"},
        {"at", 0, 0, G_OPTION_ARG_STRING, &o.at, "Verify as of this time instead of now", "TIME"},
        {"measurement", 0, 0, G_OPTION_ARG_STRING, &o.measurement, "Expected launch measurement",
         "HEX"},
        {"report-data", 0, 0, G_OPTION_ARG_STRING, &o.report_data, "Expected report data", "HEX"},
        {"policy", 0, 0, G_OPTION_ARG_FILENAME, &o.policy, "File with expected values", "FILE"},
        {"product", 0, 0, G_OPTION_ARG_STRING, &o.product, "Processor: Milan, Genoa or Turin",
         "NAME"},
        {NULL, 0, 0, G_OPTION_ARG_NONE, NULL, NULL, NULL},
    };
    GError *error = NULL;
    g_auto(GStrv) words = NULL;

    cli->details = describe_policy();
    cli->paths_from = 1;
    words = kh_cli_parse(cli, entries, "show|verify FILE", 2, 2, &error);

    if (words == NULL)
        return kh_cli_fail(cli, error);
    if (g_str_equal(words[0], "verify"))
        return run_verify(cli, &o, words[1]);
    if (!g_str_equal(words[0], "show"))
        kh_error_set(&error, KH_ERROR_INVALID_ARGUMENT,
                     "report must be followed by show or verify");
    else if (check_show_options(&o, &error))
        return run_show(cli, &o, words[1]);
    return kh_cli_fail(cli, error);
}
