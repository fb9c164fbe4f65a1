/* SPDX-License-Identifier: MIT */
/*
 * Tests of reports: layout, products, security versions; and of the real reports that come with
 * report-facts.json, where they are there (KH_TEE_DATA).
 */
#include <json-glib/json-glib.h>
#include <openssl/core_names.h>
#include <string.h>

#include "bytes.h"
#include "error.h"
#include "signature.h"
#include "verifier.h"

/* A day on which all certificates but the VLEK are valid; and one on which that is. */
#define LATE G_GINT64_CONSTANT(1795564800)      /* 2026-11-25 */
#define VLEK_TIME G_GINT64_CONSTANT(1748736000) /* 2025-06-01 */
#define CRL_TIME G_GINT64_CONSTANT(1756684800)  /* 2025-09-01 */

static void
products(void)
{
    static const struct {
        guint8 family, model;
        KhProduct product;
    } rows[] = {
        {0x19, 0x00, KH_PRODUCT_MILAN},   {0x19, 0x01, KH_PRODUCT_MILAN},
        {0x19, 0x0f, KH_PRODUCT_MILAN},   {0x19, 0x10, KH_PRODUCT_GENOA},
        {0x19, 0x11, KH_PRODUCT_GENOA},   {0x19, 0x1f, KH_PRODUCT_GENOA},
        {0x19, 0x20, KH_PRODUCT_UNKNOWN}, {0x19, 0xa0, KH_PRODUCT_GENOA},
        {0x19, 0xaf, KH_PRODUCT_GENOA},   {0x19, 0xb0, KH_PRODUCT_UNKNOWN},
        {0x1a, 0x02, KH_PRODUCT_TURIN},   {0x1a, 0x11, KH_PRODUCT_TURIN},
        {0x1a, 0x12, KH_PRODUCT_UNKNOWN}, {0x1a, 0x50, KH_PRODUCT_VENICE},
        {0x1a, 0xc7, KH_PRODUCT_VENICE},  {0x1a, 0xc8, KH_PRODUCT_UNKNOWN},
        {0, 0, KH_PRODUCT_UNKNOWN},       {0x17, 0x31, KH_PRODUCT_UNKNOWN},
    };

    for (guint i = 0; i < G_N_ELEMENTS(rows); i++)
        g_assert_cmpint(kh_product_from_cpuid(rows[i].family, rows[i].model), ==, rows[i].product);
    g_assert_cmpint(kh_product_from_stepping("Milan-B0"), ==, KH_PRODUCT_MILAN);
    g_assert_cmpint(kh_product_from_stepping("Turin"), ==, KH_PRODUCT_TURIN);
    g_assert_cmpint(kh_product_from_stepping("Milano"), ==, KH_PRODUCT_UNKNOWN);
    g_assert_cmpint(kh_product_from_stepping("unknown"), ==, KH_PRODUCT_UNKNOWN);
    g_assert_cmpint(kh_product_from_stepping(""), ==, KH_PRODUCT_UNKNOWN);
}

static void
layouts(void)
{
    static const guint8 raw[] = {1, 2, 3, 4, 5, 6, 7, 8};
    KhTcb milan = kh_tcb_decode(raw, KH_PRODUCT_MILAN);
    KhTcb turin = kh_tcb_decode(raw, KH_PRODUCT_TURIN);
    g_autofree char *one = kh_tcb_format(&milan);
    g_autofree char *other = kh_tcb_format(&turin);

    g_assert_cmpstr(one, ==, "bootloader 1, tee 2, snp 7, microcode 8");
    g_assert_cmpstr(other, ==, "fmc 1, bootloader 2, tee 3, snp 4, microcode 8");
    g_assert_false(kh_tcb_equal(&milan, &turin));
    g_assert_true(kh_tcb_is_at_least(&milan, &milan));
    /* A Milan has no FMC that could be at least 1. */
    g_assert_false(kh_tcb_is_at_least(&milan, &turin));
}

static void
least_tcb(void)
{
    static const char *const bad[] = {
        "",       "snp",         "snp=", "snp=256",   "snp=-1", "snp=0x1", "what=1", "snp=1,snp=1",
        "snp=1,", "snp=1;tee=1", ",",    "snp=1 tee", "=1"};
    KhTcb tcb;
    g_autoptr(GError) error = NULL;

    g_assert_true(kh_tcb_parse("bootloader=4, snp = 24", "x", &tcb, &error));
    g_assert_no_error(error);
    g_assert_cmpint(tcb.part[KH_TCB_SNP], ==, 24);
    g_assert_cmpint(tcb.part[KH_TCB_TEE], ==, KH_TCB_NONE);
    for (guint i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_autoptr(GError) failure = NULL;

        g_assert_false(kh_tcb_parse(bad[i], "x", &tcb, &failure));
        g_assert_error(failure, KH_ERROR, KH_ERROR_INVALID_ARGUMENT);
    }
}

static void
sizes(void)
{
    static const gsize lengths[] = {0, 72, 793, 1183, 1185};
    g_autofree guint8 *data = g_malloc0(2000);

    memcpy(data, "MOCK", 4);
    for (guint i = 0; i < G_N_ELEMENTS(lengths); i++) {
        g_autoptr(GError) error = NULL;

        g_assert_null(kh_report_new(data, lengths[i], &error));
        g_assert_error(error, KH_ERROR, KH_ERROR_FAILED);
        g_assert_true((strstr(error->message, "mock") != NULL) == (lengths[i] == 72));
    }
}

static void
bits(void)
{
    g_autofree char *debug = kh_report_policy_bit_name(19);
    g_autofree char *nameless = kh_report_platform_bit_name(6);

    g_assert_cmpstr(debug, ==, "debug");
    g_assert_cmpstr(nameless, ==, "bit6");
    g_assert_cmpint(kh_report_policy_bit("debug"), ==, 19);
    g_assert_cmpint(kh_report_policy_bit("bit15"), ==, -1);
    g_assert_cmpint(kh_report_policy_bit("bit63"), ==, 63);
    g_assert_cmpint(kh_report_policy_bit("bit64"), ==, -1);
    g_assert_cmpint(kh_report_policy_bit("bit"), ==, -1);
    g_assert_cmpint(kh_report_platform_bit("tio"), ==, 7);
    g_assert_cmpint(kh_report_platform_bit("TIO"), ==, -1);
}

/* The product of a report that names none. */
static void
version_2(void)
{
    guint8 raw[KH_REPORT_SIZE] = {2};
    g_autoptr(KhPolicy) policy = kh_policy_new();
    g_autofree KhReport *milan = kh_report_new(raw, sizeof raw, NULL);
    g_autofree KhReport *turin = NULL;

    /* A masked chip id looks like no Turin's. */
    g_assert_cmpint(kh_verifier_product(milan, policy, NULL), ==, KH_PRODUCT_MILAN);
    raw[0x1a7] = 1;
    turin = kh_report_new(raw, sizeof raw, NULL);
    g_assert_cmpint(kh_verifier_product(turin, policy, NULL), ==, KH_PRODUCT_TURIN);
    kh_policy_set(policy, KH_POLICY_PRODUCT, "Genoa", KH_SOURCE_OPTION, NULL);
    g_assert_cmpint(kh_verifier_product(turin, policy, NULL), ==, KH_PRODUCT_GENOA);
}

/* The real ones. */

/* Skips the test where they are not there. */
static char *
data_path(const char *name)
{
    const char *folder = g_getenv("KH_TEE_DATA");
    g_autofree char *path = folder == NULL ? NULL : g_build_filename(folder, name, NULL);

    if (path != NULL && g_file_test(path, G_FILE_TEST_EXISTS))
        return g_steal_pointer(&path);
    g_test_skip("the real reports are not there (KH_TEE_DATA)");
    return NULL;
}

static JsonParser *
read_facts(void)
{
    g_autofree char *path = data_path("report-facts.json");
    JsonParser *parser;

    if (path == NULL)
        return NULL;
    parser = json_parser_new();
    g_assert_true(json_parser_load_from_file(parser, path, NULL));
    return parser;
}

static JsonArray *
facts_of(JsonParser *parser)
{
    return json_node_get_array(json_parser_get_root(parser));
}

static GBytes *
read_data(const char *name)
{
    g_autofree char *path = data_path(name);
    g_autoptr(GError) error = NULL;
    GBytes *bytes = kh_bytes_read_file(path, 2 * KH_REPORT_SIZE, TRUE, &error);

    g_assert_no_error(error);
    return bytes;
}

static void
compare_bytes(const KhReport *report, JsonObject *fact)
{
    for (int i = 0; i < KH_N_REPORT_FIELDS; i++) {
        gsize length;
        const guint8 *data = kh_report_field(report, (KhReportField)i, &length);
        g_autofree char *hex = kh_bytes_to_hex(data, length);

        g_assert_cmpstr(
            hex, ==, json_object_get_string_member(fact, kh_report_field_name((KhReportField)i)));
    }
}

static void
compare_tcbs(const KhReport *report, JsonObject *fact, KhProduct product)
{
    static const char *const names[] = {"fmc", "bl", "tee", "snp", "ucode"};

    for (int i = 0; i < KH_N_REPORT_TCBS; i++) {
        JsonObject *wanted =
            json_object_get_object_member(fact, kh_report_tcb_name((KhReportTcb)i));
        KhTcb tcb = kh_report_tcb(report, (KhReportTcb)i, product);

        for (int j = 0; j < KH_N_TCB_PARTS; j++)
            g_assert_cmpint(json_object_get_int_member_with_default(wanted, names[j], KH_TCB_NONE),
                            ==, tcb.part[j]);
    }
}

static void
compare(const KhReport *report, JsonObject *fact)
{
    g_autofree char *current = kh_report_version_format(report->current_version);
    g_autofree char *committed = kh_report_version_format(report->committed_version);
    const char *product =
        json_object_get_string_member_with_default(fact, "product_from_report", NULL);

    g_assert_cmpint(report->version, ==, json_object_get_int_member(fact, "version"));
    g_assert_cmpint(report->guest_svn, ==, json_object_get_int_member(fact, "guest_svn"));
    g_assert_cmpint((gint64)report->policy, ==, json_object_get_int_member(fact, "policy"));
    g_assert_cmpint(report->vmpl, ==, json_object_get_int_member(fact, "vmpl"));
    g_assert_cmpint(report->key_info, ==, json_object_get_int_member(fact, "key_info"));
    g_assert_cmpint((gint64)report->platform_info, ==,
                    json_object_get_int_member(fact, "platform_info"));
    g_assert_cmpint((gint64)report->launch_mitigations, ==,
                    json_object_get_int_member(fact, "launch_mit_vector"));
    g_assert_cmpint((gint64)report->current_mitigations, ==,
                    json_object_get_int_member(fact, "current_mit_vector"));
    g_assert_cmpstr(current, ==, json_object_get_string_member(fact, "current_ver"));
    g_assert_cmpstr(committed, ==, json_object_get_string_member(fact, "committed_ver"));
    g_assert_cmpstr(kh_product_name(kh_report_product(report)), ==,
                    product != NULL ? product : "unknown");
    compare_bytes(report, fact);
    compare_tcbs(report, fact, product != NULL ? kh_product_from_name(product) : KH_PRODUCT_MILAN);
}

static void
fields(void)
{
    g_autoptr(JsonParser) parser = read_facts();
    JsonArray *facts = parser == NULL ? NULL : facts_of(parser);

    for (guint i = 0; facts != NULL && i < json_array_get_length(facts); i++) {
        JsonObject *fact = json_array_get_object_element(facts, i);
        g_autoptr(GBytes) bytes = read_data(json_object_get_string_member(fact, "file"));
        g_autoptr(GError) error = NULL;
        gsize length;
        const guint8 *data = g_bytes_get_data(bytes, &length);
        g_autofree KhReport *report = kh_report_new(data, length, &error);

        if (json_object_has_member(fact, "error")) {
            g_assert_error(error, KH_ERROR, KH_ERROR_FAILED);
            continue;
        }
        g_assert_no_error(error);
        compare(report, fact);
    }
}

/* The six chains' files, and @leaf. */
static KhCertificates *
collect(const char *leaf)
{
    g_autofree char *roots = data_path("roots");
    KhCertificates *certificates = kh_certificates_new();
    g_autoptr(GBytes) bytes = read_data(leaf);
    g_autoptr(GError) error = NULL;
    gsize length;
    const guint8 *data = g_bytes_get_data(bytes, &length);

    kh_certificates_add_folder(certificates, roots, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(kh_certificates_get_length(certificates), ==, 9);
    kh_certificates_add(certificates, data, length, leaf, &error);
    g_assert_no_error(error);
    return certificates;
}

/* "" for verified, else what refused. */
static char *
refusals(const char *report, const KhCertificates *certificates, gint64 time, const char *crl)
{
    g_autoptr(GBytes) bytes = read_data(report);
    g_autoptr(GBytes) list = crl == NULL ? NULL : read_data(crl);
    g_autoptr(KhAnchors) anchors = kh_anchors_new_amd();
    g_autoptr(KhPolicy) policy = kh_policy_new();
    const KhVerifierInput input = {anchors, certificates, policy, list, time};
    gsize length;
    const guint8 *data = g_bytes_get_data(bytes, &length);
    g_autoptr(KhVerification) result = kh_verifier_run(data, length, &input);
    g_autofree char *text = kh_verdict_refusals(result->checks);
    KhVerdict verdict = kh_verdict_decide(result->checks, result->simulated, NULL);

    g_assert_cmpint(text[0] == '\0', ==, verdict == KH_VERDICT_VERIFIED);
    return g_steal_pointer(&text);
}

static gboolean
is_among(JsonObject *fact, const char *certificate)
{
    JsonArray *good = json_object_has_member(fact, "sig_ok_with")
                          ? json_object_get_array_member(fact, "sig_ok_with")
                          : NULL;

    for (guint i = 0; good != NULL && i < json_array_get_length(good); i++)
        if (g_str_equal(json_array_get_string_element(good, i), certificate))
            return TRUE;
    return FALSE;
}

/* Reports of one leaf against all others: how many verify. */
static guint
try_leaf(JsonArray *facts, const char *leaf)
{
    g_autoptr(KhCertificates) certificates = collect(leaf);
    guint verified = 0;

    for (guint i = 0; i < json_array_get_length(facts); i++) {
        JsonObject *fact = json_array_get_object_element(facts, i);
        const char *file = json_object_get_string_member(fact, "file");
        gint64 time = strstr(leaf, "vlek") != NULL ? VLEK_TIME : LATE;
        g_autofree char *found = refusals(file, certificates, time, NULL);
        /* What is signed as it should be, and refused for its DEBUG bit. */
        gboolean debug = strstr(file, "gosevguest") != NULL && g_str_equal(found, "V2");
        gboolean good = found[0] == '\0' || debug;

        if (good != is_among(fact, leaf))
            g_test_message("%s with %s: %s", file, leaf, found);
        g_assert_true(good == is_among(fact, leaf));
        g_assert_false(found[0] == '\0' && strstr(file, "gosevguest") != NULL);
        verified += good;
    }
    return verified;
}

/* Of all pairs exactly those of the facts, and the one with DEBUG refused by V2. */
static void
pairs(void)
{
    g_autoptr(JsonParser) parser = read_facts();
    g_autofree char *folder = parser == NULL ? NULL : data_path("certs");
    g_autoptr(GDir) dir = folder == NULL ? NULL : g_dir_open(folder, 0, NULL);
    const char *name;
    guint verified = 0, leaves = 0;

    if (dir == NULL)
        return;
    while ((name = g_dir_read_name(dir)) != NULL) {
        g_autofree char *leaf = g_build_filename("certs", name, NULL);

        verified += try_leaf(facts_of(parser), leaf);
        leaves++;
    }
    g_assert_cmpuint(leaves, ==, 11);
    g_assert_cmpuint(verified, ==, 9);
}

/* What other days and lists make of it. */
static void
days(void)
{
    static const struct {
        const char *report, *leaf, *crl;
        gint64 time;
        const char *refusals;
    } rows[] = {
        {"milan_vlek_trustee", "milan_vlek_trustee", NULL, VLEK_TIME, ""},
        {"milan_vlek_trustee", "milan_vlek_trustee", NULL, LATE, "C7"},
        {"milan_vlek_trustee", "milan_vlek_trustee", "milan", VLEK_TIME, ""},
        {"milan_vlek_trustee", "milan_vlek_trustee", "milan", LATE, "C7, C8"},
        {"genoa_oc_oak", "genoa_oc_vcek_oak", "genoa", CRL_TIME, ""},
        {"genoa_oc_oak", "genoa_oc_vcek_oak", "genoa", LATE, "C8"},
        {"genoa_oc_oak", "genoa_oc_vcek_oak", "milan", CRL_TIME, "C8"},
        {"genoa_oc_oak", "genoa_oc_vcek_oak", NULL, VLEK_TIME, "C7"},
        {"azure_cartridge", "azure_cartridge_vcek", "milan", VLEK_TIME, ""},
        {"milan_v2_gosevguest", "milan_vcek_gosevguest", NULL, LATE, "V2"},
        {"turin_oc_oak", "milan_vlek_trustee", NULL, VLEK_TIME, "C6, C9, B1, B2, V13, V14"},
        {"milan_lit_bad_sig", "milan_vcek_mstav", NULL, LATE, "S1"},
        {"milan_lit_corrupt", "milan_vcek_mstav", NULL, LATE, "S1"},
    };
    g_autofree char *there = data_path("reports");

    for (guint i = 0; there != NULL && i < G_N_ELEMENTS(rows); i++) {
        g_autofree char *report = g_strdup_printf("reports/%s.bin", rows[i].report);
        g_autofree char *leaf = g_strdup_printf("certs/%s.der", rows[i].leaf);
        g_autofree char *crl =
            rows[i].crl == NULL ? NULL : g_strdup_printf("crl/%s.der", rows[i].crl);
        g_autoptr(KhCertificates) certificates = collect(leaf);
        g_autofree char *found = refusals(report, certificates, rows[i].time, crl);

        if (!g_str_equal(found, rows[i].refusals))
            g_test_message("row %u: %s", i, found);
        g_assert_cmpstr(found, ==, rows[i].refusals);
    }
}

/* Each byte that was signed, one at a time. */
static void
flip_bytes(JsonObject *fact)
{
    const char *leaf = json_object_get_string_member(fact, "paired_cert");
    g_autoptr(GBytes) bytes = read_data(json_object_get_string_member(fact, "file"));
    g_autofree guint8 *data = g_memdup2(g_bytes_get_data(bytes, NULL), KH_REPORT_SIZE);
    g_autoptr(KhCertificates) certificates = collect(leaf);
    g_autoptr(KhAnchors) anchors = kh_anchors_new_amd();
    g_autoptr(KhPolicy) policy = kh_policy_new();
    const KhVerifierInput input = {anchors, certificates, policy, NULL,
                                   strstr(leaf, "vlek") != NULL ? VLEK_TIME : LATE};

    for (gsize i = 0; i < KH_REPORT_SIGNED_SIZE; i++) {
        g_autoptr(KhVerification) result = NULL;

        data[i] ^= (guint8)(1 << i % 8);
        result = kh_verifier_run(data, KH_REPORT_SIZE, &input);
        g_assert_cmpint(kh_verdict_decide(result->checks, FALSE, NULL), ==, KH_VERDICT_FAILED);
        /* Another known version is read in another way, but its signature is none. */
        g_assert_true(kh_checks_find(result->checks, "B1")->status == KH_CHECK_FAILED ||
                      (i < 4 && kh_checks_find(result->checks, "S2")->status == KH_CHECK_FAILED));
        data[i] ^= (guint8)(1 << i % 8);
    }
}

static void
each_byte(void)
{
    g_autoptr(JsonParser) parser = read_facts();
    JsonArray *facts = parser == NULL ? NULL : facts_of(parser);

    for (guint i = 0; facts != NULL && i < json_array_get_length(facts); i++) {
        JsonObject *fact = json_array_get_object_element(facts, i);

        if (json_object_has_member(fact, "paired_cert"))
            flip_bytes(fact);
    }
}

/* A folder with everything in it at once: the right leaf is found. */
static void
one_folder(void)
{
    g_autoptr(JsonParser) parser = read_facts();
    g_autofree char *leaves = parser == NULL ? NULL : data_path("certs");
    g_autofree char *roots = parser == NULL ? NULL : data_path("roots");
    g_autoptr(KhCertificates) certificates = kh_certificates_new();

    if (leaves == NULL)
        return;
    g_assert_true(kh_certificates_add_folder(certificates, leaves, NULL));
    g_assert_true(kh_certificates_add_folder(certificates, roots, NULL));
    for (guint i = 0; i < json_array_get_length(facts_of(parser)); i++) {
        JsonObject *fact = json_array_get_object_element(facts_of(parser), i);
        const char *file = json_object_get_string_member(fact, "file");
        g_autofree char *found = NULL;

        if (!json_object_has_member(fact, "paired_cert"))
            continue;
        found = refusals(file, certificates, strstr(file, "vlek") != NULL ? VLEK_TIME : LATE, NULL);
        g_assert_cmpstr(found, ==, strstr(file, "gosevguest") != NULL ? "V2" : "");
    }
}

/* Of @point, on P-384. */
static EVP_PKEY *
key_of_point(const char *point)
{
    g_autoptr(EVP_PKEY_CTX) context = EVP_PKEY_CTX_new_from_name(NULL, "EC", NULL);
    guint8 data[97];
    char group[] = "P-384";
    OSSL_PARAM params[] = {
        OSSL_PARAM_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, group, sizeof group - 1),
        OSSL_PARAM_octet_string(OSSL_PKEY_PARAM_PUB_KEY, data, sizeof data),
        OSSL_PARAM_END,
    };
    EVP_PKEY *key = NULL;

    g_assert_true(kh_bytes_from_hex(point, "key", data, sizeof data, NULL));
    g_assert_cmpint(EVP_PKEY_fromdata_init(context), ==, 1);
    g_assert_cmpint(EVP_PKEY_fromdata(context, &key, EVP_PKEY_PUBLIC_KEY, params), ==, 1);
    return key;
}

/* Quotes of Katana nodes, under the key that all quotes of their chip share. */
static void
katana(void)
{
    g_autofree char *path = data_path("katana/recovered_vcek_pubkeys.json");
    g_autoptr(JsonParser) parser = json_parser_new();
    g_autoptr(GBytes) quote = NULL;
    g_autoptr(GBytes) other = NULL;
    g_autoptr(EVP_PKEY) key = NULL;
    g_autofree KhReport *report = NULL;
    g_autofree KhReport *later = NULL;

    if (path == NULL)
        return;
    g_assert_true(json_parser_load_from_file(parser, path, NULL));
    key = key_of_point(json_object_get_string_member(
        json_array_get_object_element(facts_of(parser), 0), "public_key_sec1"));
    quote = read_data("katana/readme_quote.bin");
    other = read_data("katana/block_0_report.bin");
    report = kh_report_new(g_bytes_get_data(quote, NULL), g_bytes_get_size(quote), NULL);
    later = kh_report_new(g_bytes_get_data(other, NULL), g_bytes_get_size(other), NULL);
    g_assert_true(kh_signature_verify_report(report, key, NULL));
    g_assert_true(kh_signature_verify_report(later, key, NULL));
    g_assert_cmpuint(report->vmpl, ==, 1);
    later->raw[0x050] ^= 1;
    g_assert_false(kh_signature_verify_report(later, key, NULL));
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/report/products", products);
    g_test_add_func("/report/layouts", layouts);
    g_test_add_func("/report/least-tcb", least_tcb);
    g_test_add_func("/report/sizes", sizes);
    g_test_add_func("/report/bits", bits);
    g_test_add_func("/report/version-2", version_2);
    g_test_add_func("/report/real/fields", fields);
    g_test_add_func("/report/real/pairs", pairs);
    g_test_add_func("/report/real/days", days);
    if (g_test_thorough())
        g_test_add_func("/report/real/each-byte", each_byte);
    g_test_add_func("/report/real/one-folder", one_folder);
    g_test_add_func("/report/real/katana", katana);
    return g_test_run();
}
