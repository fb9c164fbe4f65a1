/* SPDX-License-Identifier: MIT */
/*
 * Tests of the verifier with a processor of the test's own: one thing is made wrong at a time,
 * and the checks that must notice are named. Needs no data from elsewhere.
 */
#include <openssl/pem.h>
#include <openssl/sha.h>
#include <string.h>

#include "bytes.h"
#include "error.h"
#include "tee-chain.h"
#include "verifier.h"

/* Half a year after the certificates begin. */
#define NOW (KH_TEST_BEGIN + KH_TEST_YEAR / 2)

typedef struct {
    const KhTestKeys *keys;
    KhTestCertificate root, intermediate, leaf;
    KhTestCrl crl;
    gboolean no_root, no_intermediate, no_leaf, no_crl;
    gboolean untrusted, simulated;
    gboolean fetched_crl; /* the CRL is the key service's, not the verifier's */
    GBytes *other_crl;    /* instead of the one that is made */
    guint8 report[KH_REPORT_SIZE];
    EVP_PKEY *signer; /* of the report */
    gint64 time;
    const char *policy;
    guint8 after[KH_REPORT_SIZE]; /* xored into the signed report */
    GString *reasons;             /* of what failed, once it ran */
} World;

typedef void (*Change)(World *world);

static void
world_init(World *w, const KhTestKeys *keys, guint32 version, KhProduct product, gboolean vlek)
{
    memset(w, 0, sizeof *w);
    w->keys = keys;
    kh_test_root_init(&w->root, keys, product);
    kh_test_intermediate_init(&w->intermediate, keys, product, vlek);
    kh_test_leaf_init(&w->leaf, keys, product, vlek);
    kh_test_crl_init(&w->crl, keys, product);
    kh_test_report_init(w->report, version, product, vlek);
    w->signer = keys->chip;
    w->time = NOW;
    w->reasons = g_string_new(NULL);
}

static void
world_clear(World *w)
{
    kh_test_certificate_clear(&w->root);
    kh_test_certificate_clear(&w->intermediate);
    kh_test_certificate_clear(&w->leaf);
    g_free(w->crl.issuer);
    g_clear_pointer(&w->other_crl, g_bytes_unref);
    g_string_free(w->reasons, TRUE);
}

static void
add(KhCertificates *certificates, GBytes *der, const char *origin)
{
    g_autoptr(GError) error = NULL;
    gsize length;
    const guint8 *data = g_bytes_get_data(der, &length);

    kh_certificates_add(certificates, data, length, origin, &error);
    g_assert_no_error(error);
}

/* Hands over what the world has, and trusts its root. */
static void
collect(const World *w, KhCertificates *certificates, KhAnchors *anchors)
{
    g_autoptr(GBytes) root = kh_test_certificate_make(&w->root);
    g_autoptr(GBytes) intermediate = kh_test_certificate_make(&w->intermediate);
    g_autoptr(GBytes) leaf = kh_test_certificate_make(&w->leaf);
    guint8 sha256[KH_FINGERPRINT_SIZE];

    SHA256(g_bytes_get_data(root, NULL), g_bytes_get_size(root), sha256);
    if (!w->untrusted)
        kh_anchors_add_root(anchors, sha256);
    if (!w->no_root)
        add(certificates, root, "root");
    if (!w->no_intermediate)
        add(certificates, intermediate, "intermediate");
    if (!w->no_leaf)
        add(certificates, leaf, "leaf");
}

/* "FAILED C7": the verdict, and the checks that failed or, where none did, were skipped. */
static char *
outcome(const KhVerification *result, const GPtrArray *doubts)
{
    KhVerdict verdict = kh_verdict_decide(result->checks, result->simulated, doubts);
    g_autofree char *refusals = kh_verdict_refusals(result->checks);

    return g_strdup_printf("%s%s%s", kh_verdict_name(verdict), refusals[0] != '\0' ? " " : "",
                           refusals);
}

static char *
world_run(World *w)
{
    g_autoptr(KhCertificates) certificates = kh_certificates_new();
    g_autoptr(KhAnchors) anchors = kh_anchors_new_empty(w->simulated);
    g_autoptr(KhPolicy) policy = kh_policy_new();
    g_autoptr(GBytes) crl =
        w->other_crl != NULL ? g_bytes_ref(w->other_crl) : kh_test_crl_make(&w->crl);
    g_autoptr(KhVerification) result = NULL;
    g_autoptr(GError) error = NULL;
    const KhVerifierInput input = {
        .anchors = anchors,
        .certificates = certificates,
        .policy = policy,
        .crl = w->no_crl || w->fetched_crl ? NULL : crl,
        .newer_crl = w->fetched_crl ? crl : NULL,
        .time = w->time,
    };

    collect(w, certificates, anchors);
    kh_test_report_sign(w->report, w->signer);
    for (gsize i = 0; i < KH_REPORT_SIZE; i++)
        w->report[i] ^= w->after[i];
    if (w->policy != NULL)
        kh_policy_parse(policy, w->policy, strlen(w->policy), &error);
    g_assert_no_error(error);
    result = kh_verifier_run(w->report, KH_REPORT_SIZE, &input);
    for (guint i = 0; i < kh_checks_get_length(result->checks); i++)
        if (kh_checks_get(result->checks, i)->status == KH_CHECK_FAILED)
            g_string_append_printf(w->reasons, "%s\n", kh_checks_get(result->checks, i)->reason);
    return outcome(result, NULL);
}

static void
good(gconstpointer keys)
{
    static const KhProduct products[] = {KH_PRODUCT_MILAN, KH_PRODUCT_GENOA, KH_PRODUCT_TURIN};

    for (guint i = 0; i < G_N_ELEMENTS(products); i++)
        for (guint32 version = 2; version <= 5; version++)
            for (int vlek = 0; vlek <= 1; vlek++) {
                World w;
                g_autofree char *found = NULL;

                world_init(&w, keys, version, products[i], vlek);
                found = world_run(&w);
                g_assert_cmpstr(found, ==, "VERIFIED");
                world_clear(&w);
            }
}

/* Changes of the chain. */

static void
untrusted(World *w)
{
    w->untrusted = TRUE;
}

static void
simulated(World *w)
{
    w->simulated = TRUE;
}

static void
simulated_and_expired(World *w)
{
    w->simulated = TRUE;
    w->leaf.not_after = NOW - 1;
}

static void
no_root(World *w)
{
    w->no_root = TRUE;
}

static void
no_intermediate(World *w)
{
    w->no_intermediate = TRUE;
}

static void
no_leaf(World *w)
{
    w->no_leaf = TRUE;
}

static void
root_signed_by_other(World *w)
{
    w->root.signer = w->keys->intermediate;
}

static void
intermediate_signed_by_itself(World *w)
{
    w->intermediate.signer = w->keys->intermediate;
}

static void
leaf_signed_by_root(World *w)
{
    w->leaf.signer = w->keys->root;
}

static void
root_salt(World *w)
{
    w->root.salt = 32;
}

static void
intermediate_salt(World *w)
{
    w->intermediate.salt = 47;
}

static void
leaf_salt(World *w)
{
    w->leaf.salt = 32;
}

static void
leaf_sha256(World *w)
{
    w->leaf.hash = EVP_sha256();
}

static void
leaf_mask_sha256(World *w)
{
    w->leaf.mask = EVP_sha256();
}

static void
leaf_sha512(World *w)
{
    w->leaf.hash = EVP_sha512();
}

static void
leaf_critical_extension(World *w)
{
    KhTestExtension *last;

    kh_test_extension_add(&w->leaf, "77", "x", 1);
    last = w->leaf.extensions->pdata[w->leaf.extensions->len - 1];
    last->critical = TRUE;
}

static void
leaf_unknown_extension(World *w)
{
    kh_test_extension_add(&w->leaf, "77", "x", 1);
}

static void
leaf_unknown_extension_twice(World *w)
{
    leaf_unknown_extension(w);
    leaf_unknown_extension(w);
}

static void
leaf_pkcs1(World *w)
{
    w->leaf.pkcs1 = TRUE;
    w->leaf.hash = EVP_sha256();
}

static void
intermediate_not_authority(World *w)
{
    w->intermediate.authority = FALSE;
}

static void
intermediate_no_crl_address(World *w)
{
    g_clear_pointer(&w->intermediate.crl_address, g_free);
}

/* Which nothing here understands. */
static void
add_critical(KhTestCertificate *certificate)
{
    KhTestExtension *extension = g_new0(KhTestExtension, 1);

    extension->oid = g_strdup("1.2.3.4");
    extension->value = g_bytes_new_static("\x05\x00", 2);
    extension->critical = TRUE;
    g_ptr_array_add(certificate->extensions, extension);
}

static void
intermediate_critical(World *w)
{
    add_critical(&w->intermediate);
}

static void
root_critical(World *w)
{
    add_critical(&w->root);
}

/* AMD's, a zero byte, and more: a distribution point of one URI. */
static void
root_crl_address_with_tail(World *w)
{
    static const char value[] = "\x30\x34\x30\x32\xa0\x30\xa0\x2e\x86\x2c"
                                "https://kdsintf.amd.com/vcek/v1/Milan/crl\0/x";
    KhTestExtension *extension = g_new0(KhTestExtension, 1);

    G_STATIC_ASSERT(sizeof value - 1 == 10 + 0x2c);
    extension->oid = g_strdup("2.5.29.31");
    extension->value = g_bytes_new_static(value, sizeof value - 1);
    g_ptr_array_add(w->root.extensions, extension);
    g_clear_pointer(&w->root.crl_address, g_free);
}

static void
root_foreign_crl_address(World *w)
{
    g_free(w->root.crl_address);
    w->root.crl_address = g_strdup("https://kdsintf.amd.com/vcek/v1/Genoa/crl");
}

static void
root_version_1(World *w)
{
    w->root.version = X509_VERSION_1;
}

static void
leaf_organization(World *w)
{
    w->leaf.organization = "Advanced Micro Devices\033[2J";
}

static void
leaf_foreign_name(World *w)
{
    g_free(w->leaf.common_name);
    w->leaf.common_name = g_strdup("SEV-VCEKX");
}

static void
leaf_is_authority(World *w)
{
    w->leaf.authority = TRUE;
}

static void
leaf_version_2(World *w)
{
    w->leaf.version = X509_VERSION_2;
}

static void
leaf_expired(World *w)
{
    w->leaf.not_after = NOW - 1;
}

static void
leaf_ends_now(World *w)
{
    w->leaf.not_after = NOW;
}

static void
leaf_too_early(World *w)
{
    w->leaf.not_before = NOW + 1;
}

static void
intermediate_expired(World *w)
{
    w->intermediate.not_after = NOW - 1;
}

static void
root_expired(World *w)
{
    w->root.not_after = NOW - 1;
}

static void
long_before(World *w)
{
    w->time = 0;
}

static void
far_future(World *w)
{
    w->time = G_GINT64_CONSTANT(253402300799);
}

/* Of the list of revoked ones. */

static void
no_crl(World *w)
{
    w->no_crl = TRUE;
}

static void
revoked(World *w)
{
    w->crl.revoked = w->intermediate.serial;
}

static void
root_revoked(World *w)
{
    w->crl.revoked = w->root.serial;
}

static void
other_revoked(World *w)
{
    w->crl.revoked = 0x12345;
}

static void
crl_of_other_issuer(World *w)
{
    g_free(w->crl.issuer);
    w->crl.issuer = g_strdup("ARK-Genoa");
}

static void
crl_signed_by_other(World *w)
{
    w->crl.signer = w->keys->intermediate;
}

static void
crl_outdated(World *w)
{
    w->crl.next_update = NOW - 24 * 60 * 60 - 1;
}

static void
crl_outdated_with_grace(World *w)
{
    crl_outdated(w);
    w->policy = "[report]\ncrl-grace-days=2\n";
}

static void
crl_outdated_beyond_grace(World *w)
{
    crl_outdated(w);
    w->policy = "[report]\ncrl-grace-days=1\n";
}

static void
crl_of_the_future(World *w)
{
    w->crl.last_update = NOW + 1;
}

static void
crl_fetched_of_the_future(World *w)
{
    crl_of_the_future(w);
    w->fetched_crl = TRUE;
}

static void
crl_fetched_unreadable(World *w)
{
    w->crl.unreadable = w->fetched_crl = TRUE;
}

static void
crl_without_end(World *w)
{
    w->crl.next_update = 0;
}

static void
crl_of_changes(World *w)
{
    w->crl.delta = TRUE;
}

static void
crl_in_pem(World *w)
{
    g_autoptr(GBytes) der = kh_test_crl_make(&w->crl);
    const guint8 *data = g_bytes_get_data(der, NULL);
    g_autoptr(X509_CRL) crl = d2i_X509_CRL(NULL, &data, (long)g_bytes_get_size(der));
    g_autoptr(BIO) bio = BIO_new(BIO_s_mem());
    char *text;
    long length;

    PEM_write_bio_X509_CRL(bio, crl);
    length = BIO_get_mem_data(bio, &text);
    w->other_crl = g_bytes_new(text, (gsize)length);
}

/* The second one revokes. */
static void
crl_in_pem_twice(World *w)
{
    g_autoptr(GBytes) first = NULL;
    GByteArray *both = g_byte_array_new();
    gsize length;
    gconstpointer text;

    crl_in_pem(w);
    first = g_steal_pointer(&w->other_crl);
    w->crl.revoked = w->intermediate.serial;
    crl_in_pem(w);
    text = g_bytes_get_data(first, &length);
    g_byte_array_append(both, text, (guint)length);
    text = g_bytes_get_data(w->other_crl, &length);
    g_byte_array_append(both, text, (guint)length);
    g_bytes_unref(w->other_crl);
    w->other_crl = g_byte_array_free_to_bytes(both);
}

static void
crl_garbage(World *w)
{
    w->other_crl = g_bytes_new_static("garbage", 7);
}

static void
crl_empty(World *w)
{
    w->other_crl = g_bytes_new(NULL, 0);
}

static void
crl_with_tail(World *w)
{
    g_autoptr(GBytes) crl = kh_test_crl_make(&w->crl);
    gsize length;
    gconstpointer data = g_bytes_get_data(crl, &length);
    g_autofree guint8 *longer = g_malloc0(length + 1);

    memcpy(longer, data, length);
    w->other_crl = g_bytes_new_take(g_steal_pointer(&longer), length + 1);
}

static void
crl_too_large(World *w)
{
    w->other_crl = g_bytes_new_take(g_malloc0(1024 * 1024 + 1), 1024 * 1024 + 1);
}

static void
crl_required(World *w)
{
    w->policy = "[report]\nrequire-crl=true\n";
}

static void
crl_required_and_missing(World *w)
{
    crl_required(w);
    w->no_crl = TRUE;
}

/* Of report and chip. */

static void
signed_by_stranger(World *w)
{
    w->signer = w->keys->stranger;
}

static void
leaf_of_stranger(World *w)
{
    w->leaf.key = w->keys->stranger;
}

static void
leaf_key_rsa(World *w)
{
    w->leaf.key = w->keys->root;
}

static void
chip_differs(World *w)
{
    w->report[0x1a0 + 63] ^= 1;
}

static void
chip_masked(World *w)
{
    memset(w->report + 0x1a0, 0, 64);
}

static void
chip_masked_as_in_certificate(World *w)
{
    static const guint8 zeros[64] = {0};

    chip_masked(w);
    kh_test_extension_set(&w->leaf, "4", zeros, sizeof zeros);
}

static void
chip_masked_and_allowed(World *w)
{
    chip_masked(w);
    w->policy = "[report]\nallow-masked-chip=true\n";
}

static void
chip_masked_and_forbidden(World *w)
{
    chip_masked(w);
    w->policy = "[report]\nallow-masked-chip=false\n";
}

static void
chip_differs_though_masking_allowed(World *w)
{
    chip_differs(w);
    w->policy = "[report]\nallow-masked-chip=true\n";
}

static void
reported_older(World *w)
{
    w->report[0x180 + 6] = 23;
}

static void
reported_newer(World *w)
{
    w->report[0x180 + 7] = 220;
}

static void
committed_older(World *w)
{
    w->report[0x1e0 + 6] = 23;
}

static void
current_older(World *w)
{
    w->report[0x038] = 3;
}

static void
not_signed(World *w)
{
    w->report[0x048] = KH_SIGNING_KEY_NONE << 2;
}

static void
unknown_key(World *w)
{
    w->report[0x048] = 3 << 2;
}

static void
says_vlek(World *w)
{
    w->report[0x048] = KH_SIGNING_KEY_VLEK << 2;
}

static void
other_product(World *w)
{
    w->report[0x189] = 0x11;
}

static void
siena_says_milan(World *w)
{
    w->report[0x189] = 0xa0;
}

static void
unknown_product(World *w)
{
    w->report[0x188] = 0x1b;
}

static void
expects_other_product(World *w)
{
    w->policy = "[report]\nproduct=Genoa\n";
}

static void
algorithm(World *w)
{
    w->report[0x034] = 2;
}

static void
policy_bit_17(World *w)
{
    w->report[0x00a] = 0x01;
}

static void
policy_bit_26(World *w)
{
    w->report[0x00b] = 0x04;
}

static void
policy_bit_63(World *w)
{
    w->report[0x00f] = 0x80;
}

static void
policy_debug(World *w)
{
    w->report[0x00a] |= 0x08;
}

static void
policy_migrate(World *w)
{
    w->report[0x00a] |= 0x04;
}

static void
key_info_bit_5(World *w)
{
    w->report[0x048] |= 0x20;
}

static void
after_key_info(World *w)
{
    w->report[0x04f] = 1;
}

static void
reserved_18b(World *w)
{
    w->report[0x18b] = 1;
}

static void
reserved_19f(World *w)
{
    w->report[0x19f] = 1;
}

static void
reserved_1eb(World *w)
{
    w->report[0x1eb] = 1;
}

static void
reserved_1ef(World *w)
{
    w->report[0x1ef] = 1;
}

static void
reserved_29f(World *w)
{
    w->report[0x29f] = 1;
}

static void
mitigations_before_5(World *w)
{
    w->report[0x1f8] = 1;
}

static void
platform_bit_6(World *w)
{
    w->report[0x040] |= 0x40;
}

static void
version_0(World *w)
{
    w->report[0] = 0;
}

static void
version_1(World *w)
{
    w->report[0] = 1;
}

static void
version_6(World *w)
{
    w->report[0] = 6;
}

static void
version_huge(World *w)
{
    w->report[3] = 1;
}

static void
tail_set(World *w)
{
    w->after[KH_REPORT_SIZE - 1] = 1;
}

static void
r_too_large(World *w)
{
    w->after[0x2a0 + 71] = 1;
}

static void
s_too_large(World *w)
{
    w->after[0x2e8 + 48] = 1;
}

static void
r_altered(World *w)
{
    w->after[0x2a0] = 1;
}

static void
measurement_altered(World *w)
{
    w->after[0x090] = 1;
}

/* With a VCEK of Milan and a report of version 3. */
static const struct {
    const char *name;
    Change change;
    const char *outcome;
} cases[] = {
    {"untrusted root", untrusted, "FAILED C2"},
    {"simulated root", simulated, "SIMULATED"},
    {"simulated root, expired leaf", simulated_and_expired, "FAILED C7"},
    {"no root", no_root, "FAILED C1"},
    {"no intermediate", no_intermediate, "FAILED C1"},
    {"no leaf", no_leaf, "FAILED C4"},
    {"root signed by another", root_signed_by_other, "FAILED C3"},
    {"intermediate signed by itself", intermediate_signed_by_itself, "FAILED C3"},
    {"leaf signed by the root", leaf_signed_by_root, "FAILED C3"},
    {"root with salt 32", root_salt, "FAILED C3"},
    {"intermediate with salt 47", intermediate_salt, "FAILED C3"},
    {"leaf with salt 32", leaf_salt, "FAILED C3, C4"},
    {"leaf with SHA-256", leaf_sha256, "FAILED C3, C4"},
    {"leaf with SHA-512", leaf_sha512, "FAILED C3, C4"},
    {"leaf with MGF1 of SHA-256", leaf_mask_sha256, "FAILED C3, C4"},
    {"leaf with a critical extension", leaf_critical_extension, "FAILED C5"},
    {"leaf with an unknown extension", leaf_unknown_extension, "VERIFIED"},
    {"leaf with an unknown extension twice", leaf_unknown_extension_twice, "FAILED C5"},
    {"leaf with PKCS#1", leaf_pkcs1, "FAILED C3, C4"},
    {"intermediate that may not sign", intermediate_not_authority, "FAILED C1"},
    {"intermediate without CRL address", intermediate_no_crl_address, "FAILED C1"},
    {"intermediate with a critical extension", intermediate_critical, "FAILED C1"},
    {"root with a critical extension", root_critical, "FAILED C1"},
    {"root whose CRL address goes on after a zero", root_crl_address_with_tail, "FAILED C1"},
    {"root with another CRL address", root_foreign_crl_address, "FAILED C1"},
    {"root of X.509 version 1", root_version_1, "FAILED C1"},
    {"leaf of another organization", leaf_organization, "FAILED C4"},
    {"leaf of another name", leaf_foreign_name, "FAILED C4"},
    {"leaf that may sign", leaf_is_authority, "FAILED C4"},
    {"leaf of X.509 version 2", leaf_version_2, "FAILED C4"},
    {"leaf expired", leaf_expired, "FAILED C7"},
    {"leaf that ends now", leaf_ends_now, "VERIFIED"},
    {"leaf not valid yet", leaf_too_early, "FAILED C7"},
    {"intermediate expired", intermediate_expired, "FAILED C7"},
    {"root expired", root_expired, "FAILED C7"},
    {"in 1970", long_before, "FAILED C7, C8"},
    {"in 9999", far_future, "FAILED C7, C8"},
    {"no CRL", no_crl, "FAILED C8"},
    {"intermediate revoked", revoked, "FAILED C8"},
    {"root revoked", root_revoked, "FAILED C8"},
    {"another one revoked", other_revoked, "VERIFIED"},
    {"CRL of another issuer", crl_of_other_issuer, "FAILED C8"},
    {"CRL signed by another", crl_signed_by_other, "FAILED C8"},
    {"CRL out of date", crl_outdated, "FAILED C8"},
    {"CRL out of date within grace", crl_outdated_with_grace, "VERIFIED"},
    {"CRL out of date beyond grace", crl_outdated_beyond_grace, "FAILED C8"},
    {"CRL of the future", crl_of_the_future, "FAILED C8"},
    {"fetched CRL of the future", crl_fetched_of_the_future, "VERIFIED"},
    {"fetched CRL of no time", crl_fetched_unreadable, "FAILED C8"},
    {"CRL without end", crl_without_end, "FAILED C8"},
    {"CRL of changes", crl_of_changes, "FAILED C8"},
    {"CRL in PEM", crl_in_pem, "VERIFIED"},
    {"two CRLs in PEM", crl_in_pem_twice, "FAILED C8"},
    {"CRL is garbage", crl_garbage, "FAILED C8"},
    {"CRL is empty", crl_empty, "FAILED C8"},
    {"CRL with a tail", crl_with_tail, "FAILED C8"},
    {"CRL too large", crl_too_large, "FAILED C8"},
    {"CRL required", crl_required, "VERIFIED"},
    {"CRL required and missing", crl_required_and_missing, "FAILED C8"},
    {"report signed by a stranger", signed_by_stranger, "FAILED B1"},
    {"leaf of a stranger", leaf_of_stranger, "FAILED B1"},
    {"leaf with an RSA key", leaf_key_rsa, "FAILED C4, B1"},
    {"another chip", chip_differs, "FAILED B3"},
    {"masked chip", chip_masked, "FAILED B3"},
    {"masked chip of a masked certificate", chip_masked_as_in_certificate, "FAILED B3"},
    {"masked chip allowed", chip_masked_and_allowed, "VERIFIED"},
    {"masked chip forbidden", chip_masked_and_forbidden, "FAILED B3"},
    {"another chip though masked ones are allowed", chip_differs_though_masking_allowed,
     "FAILED B3"},
    {"reported TCB older than the leaf's", reported_older, "FAILED B2, V13"},
    {"reported TCB newer than all", reported_newer, "FAILED B2, V13, V15a"},
    {"committed TCB older than reported", committed_older, "FAILED V15a"},
    {"current TCB older than all", current_older, "FAILED V14, V15a"},
    {"not signed", not_signed, "FAILED B4"},
    {"unknown kind of key", unknown_key, "FAILED B4"},
    {"VCEK for a report that names a VLEK", says_vlek, "FAILED C9"},
    {"another product", other_product, "FAILED C6"},
    {"Siena against Milan", siena_says_milan, "FAILED C6"},
    {"unknown product", unknown_product, "FAILED C6"},
    {"another product expected", expects_other_product, "FAILED C6"},
    {"another algorithm", algorithm, "FAILED S3"},
    {"policy bit 17", policy_bit_17, "FAILED S4"},
    {"policy bit 26", policy_bit_26, "FAILED S4"},
    {"policy bit 63", policy_bit_63, "FAILED S4"},
    {"policy with DEBUG", policy_debug, "FAILED V2"},
    {"policy with MIGRATE_MA", policy_migrate, "FAILED V2"},
    {"key info bit 5", key_info_bit_5, "FAILED S5"},
    {"after key info", after_key_info, "FAILED S5"},
    {"reserved 0x18b", reserved_18b, "FAILED S6"},
    {"reserved 0x19f", reserved_19f, "FAILED S6"},
    {"reserved 0x1eb", reserved_1eb, "FAILED S6"},
    {"reserved 0x1ef", reserved_1ef, "FAILED S6"},
    {"reserved 0x29f", reserved_29f, "FAILED S6"},
    {"mitigations before version 5", mitigations_before_5, "FAILED S6"},
    {"platform bit 6", platform_bit_6, "VERIFIED"},
    {"version 0", version_0, "FAILED S2"},
    {"version 1", version_1, "FAILED S2"},
    {"version 6", version_6, "FAILED S2"},
    {"version 2^24 + 3", version_huge, "FAILED S2"},
    {"bytes after the signature", tail_set, "FAILED S7"},
    {"r too large", r_too_large, "FAILED S7, B1"},
    {"s too large", s_too_large, "FAILED S7, B1"},
    {"r altered", r_altered, "FAILED B1"},
    {"measurement altered", measurement_altered, "FAILED B1"},
};

static void
one_thing_wrong(gconstpointer keys)
{
    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        World w;
        g_autofree char *found = NULL;

        world_init(&w, keys, 3, KH_PRODUCT_MILAN, FALSE);
        cases[i].change(&w);
        found = world_run(&w);
        if (!g_str_equal(found, cases[i].outcome))
            g_test_message("%s: %s", cases[i].name, found);
        g_assert_cmpstr(found, ==, cases[i].outcome);
        world_clear(&w);
    }
}

/* Of AMD's extensions: what is done to one, and to which. */

static void
remove_extension(World *w, const char *oid)
{
    kh_test_extension_set(&w->leaf, oid, NULL, 0);
}

static void
double_extension(World *w, const char *oid)
{
    for (guint i = 0; i < w->leaf.extensions->len; i++) {
        const KhTestExtension *one = w->leaf.extensions->pdata[i];
        gsize length;
        gconstpointer data = g_bytes_get_data(one->value, &length);

        if (g_str_equal(one->oid + strlen("1.3.6.1.4.1.3704.1."), oid)) {
            kh_test_extension_add(&w->leaf, oid, data, length);
            return;
        }
    }
    g_assert_not_reached();
}

static void
enlarge_extension(World *w, const char *oid)
{
    guint8 data[4096];

    memset(data, 'x', sizeof data);
    kh_test_extension_set(&w->leaf, oid, data, sizeof data);
}

static void
empty_extension(World *w, const char *oid)
{
    kh_test_extension_set(&w->leaf, oid, "", 0);
}

/* What is wrong is named. */
static void
extensions(gconstpointer keys)
{
    static const char *const needed[] = {"1", "2", "3.1", "3.2", "3.3", "3.8", "4"};
    static const char *const names[] = {"structVersion", "productName1", "blSPL", "teeSPL",
                                        "snpSPL",        "ucodeSPL",     "hwID"};
    static void (*const faults[])(World *, const char *) = {remove_extension, double_extension,
                                                            enlarge_extension, empty_extension};

    for (guint i = 0; i < G_N_ELEMENTS(needed); i++)
        for (guint j = 0; j < G_N_ELEMENTS(faults); j++) {
            World w;
            g_autofree char *found = NULL;

            world_init(&w, keys, 3, KH_PRODUCT_MILAN, FALSE);
            faults[j](&w, needed[i]);
            found = world_run(&w);
            g_assert_cmpstr(found, ==, "FAILED C5");
            g_assert_nonnull(strstr(w.reasons->str, names[i]));
            world_clear(&w);
        }
}

#define VALUE(...) (const guint8[]){__VA_ARGS__}, sizeof((const guint8[]){__VA_ARGS__})

static void
extension_values(gconstpointer keys)
{
    static const guint8 id[66] = {0};
    const struct {
        KhProduct product;
        gboolean vlek;
        const char *oid;
        const guint8 *value;
        gsize length;
        const char *outcome;
    } rows[] = {
        {KH_PRODUCT_MILAN, FALSE, "3.3", VALUE(2, 2, 1, 0), "FAILED C5"},
        {KH_PRODUCT_MILAN, FALSE, "3.3", VALUE(2, 1, 0xff), "FAILED C5"},
        {KH_PRODUCT_MILAN, FALSE, "3.3", VALUE(2, 1, 24, 0), "FAILED C5"},
        {KH_PRODUCT_MILAN, FALSE, "3.3", VALUE(4, 1, 24), "FAILED C5"},
        {KH_PRODUCT_MILAN, FALSE, "3.3", VALUE(2, 1, 23), "FAILED B2, V13"},
        {KH_PRODUCT_MILAN, FALSE, "3.9", VALUE(2, 1, 0), "FAILED C5"},
        {KH_PRODUCT_TURIN, FALSE, "3.9", NULL, 0, "FAILED C5"},
        {KH_PRODUCT_TURIN, FALSE, "3.9", VALUE(2, 1, 2), "FAILED B2, V13, V14"},
        {KH_PRODUCT_MILAN, FALSE, "2", VALUE(12, 5, 'M', 'i', 'l', 'a', 'n'), "FAILED C5"},
        {KH_PRODUCT_MILAN, FALSE, "2", VALUE(0x16, 5, 'M', 0, 'l', 'a', 'n'), "FAILED C5"},
        {KH_PRODUCT_MILAN, FALSE, "2", VALUE(0x16, 5, 'G', 'e', 'n', 'o', 'a'), "FAILED C4, C6"},
        {KH_PRODUCT_MILAN, FALSE, "5", VALUE(0x16, 1, 'x'), "FAILED C5"},
        {KH_PRODUCT_MILAN, TRUE, "4", id, 64, "FAILED C5"},
        {KH_PRODUCT_MILAN, TRUE, "5", NULL, 0, "FAILED C5"},
        {KH_PRODUCT_MILAN, FALSE, "4", id, 8, "FAILED C5"},
        {KH_PRODUCT_MILAN, FALSE, "4", id, 63, "FAILED C5"},
        {KH_PRODUCT_MILAN, FALSE, "4", id, 66, "FAILED C5"},
        {KH_PRODUCT_MILAN, FALSE, "4", id, 64, "FAILED B3"},
        {KH_PRODUCT_TURIN, FALSE, "4", id, 64, "FAILED C5"},
        {KH_PRODUCT_TURIN, FALSE, "4", id, 8, "FAILED B3"},
    };

    for (guint i = 0; i < G_N_ELEMENTS(rows); i++) {
        World w;
        g_autofree char *found = NULL;

        world_init(&w, keys, 3, rows[i].product, rows[i].vlek);
        kh_test_extension_set(&w.leaf, rows[i].oid, rows[i].value, rows[i].length);
        found = world_run(&w);
        if (!g_str_equal(found, rows[i].outcome))
            g_test_message("row %u: %s", i, found);
        g_assert_cmpstr(found, ==, rows[i].outcome);
        world_clear(&w);
    }
}

/* The chip id may begin like a tag, and may stand in one. */
static void
hardware_id(gconstpointer keys)
{
    guint8 id[66] = {V_ASN1_OCTET_STRING, 64, V_ASN1_OCTET_STRING, 64, 1, 2, 3};

    for (int tagged = 0; tagged <= 1; tagged++) {
        World w;
        g_autofree char *found = NULL;

        world_init(&w, keys, 3, KH_PRODUCT_MILAN, FALSE);
        kh_test_extension_set(&w.leaf, "4", tagged ? id : id + 2, tagged ? 66 : 64);
        memcpy(w.report + 0x1a0, id + 2, 64);
        found = world_run(&w);
        g_assert_cmpstr(found, ==, "VERIFIED");
        world_clear(&w);
    }
}

/* Neither kind of key stands in for the other. */
static void
vlek_against_vcek(gconstpointer keys)
{
    World w;
    g_autofree char *vlek = NULL;
    g_autofree char *crossed = NULL;
    g_autofree char *provider = NULL;

    world_init(&w, keys, 3, KH_PRODUCT_MILAN, TRUE);
    w.report[0x048] = 0;
    vlek = world_run(&w);
    g_assert_cmpstr(vlek, ==, "FAILED C9");
    world_clear(&w);

    /* A VCEK below the intermediate for VLEKs. */
    world_init(&w, keys, 3, KH_PRODUCT_MILAN, FALSE);
    kh_test_certificate_clear(&w.intermediate);
    kh_test_intermediate_init(&w.intermediate, keys, KH_PRODUCT_MILAN, TRUE);
    g_free(w.leaf.issuer);
    w.leaf.issuer = g_strdup("SEV-VLEK-Milan");
    crossed = world_run(&w);
    g_assert_cmpstr(crossed, ==, "FAILED C4, C9");
    world_clear(&w);

    world_init(&w, keys, 3, KH_PRODUCT_MILAN, FALSE);
    w.policy = "[report]\ncsp-id=CN=cc-test.example.com\n";
    provider = world_run(&w);
    g_assert_cmpstr(provider, ==, "FAILED CSP");
    world_clear(&w);
}

static void
revoked_genoa(gconstpointer keys)
{
    World w;
    g_autofree char *found = NULL;

    world_init(&w, keys, 5, KH_PRODUCT_GENOA, FALSE);
    w.intermediate.serial = 0x20001;
    found = world_run(&w);
    g_assert_cmpstr(found, ==, "FAILED C8");
    world_clear(&w);
}

/* Another curve than the report's is refused, whatever it signed. */
static void
other_curve(gconstpointer data)
{
    g_autoptr(EVP_PKEY) other = EVP_EC_gen("P-256");
    World w;
    g_autofree char *found = NULL;

    world_init(&w, data, 3, KH_PRODUCT_MILAN, FALSE);
    w.leaf.key = other;
    found = world_run(&w);
    g_assert_cmpstr(found, ==, "FAILED C4, B1");
    world_clear(&w);
}

/* A key of 2048 bits is no authority's. */
static void
small_key(gconstpointer data)
{
    g_autoptr(EVP_PKEY) small = EVP_RSA_gen(2048);
    KhTestKeys keys = *(const KhTestKeys *)data;
    World w;
    g_autofree char *found = NULL;

    keys.intermediate = small;
    world_init(&w, &keys, 3, KH_PRODUCT_MILAN, FALSE);
    found = world_run(&w);
    g_assert_cmpstr(found, ==, "FAILED C1, C3");
    world_clear(&w);
}

/* Expectations, of a report of version 5 signed by a VLEK or VCEK of Turin. */
static void
expectations(gconstpointer keys)
{
    static const struct {
        const char *policy, *outcome;
        gboolean vlek;
    } rows[] = {
        {"min-guest-svn=7", "VERIFIED", FALSE},
        {"min-guest-svn=8", "FAILED V1", FALSE},
        {"max-abi=0.31", "VERIFIED", FALSE},
        {"max-abi=1.0", "VERIFIED", FALSE},
        {"max-abi=0.30", "FAILED V2", FALSE},
        {"policy-require=smt", "VERIFIED", FALSE},
        {"policy-require=single-socket", "FAILED V2", FALSE},
        {"policy-forbid=smt;cxl", "FAILED V2", FALSE},
        {"policy-forbid=cxl", "VERIFIED", FALSE},
        {"report-data=%050:40", "VERIFIED", FALSE},
        {"report-data=%051:40", "FAILED V3", FALSE},
        {"host-data=%0c0:20", "VERIFIED", FALSE},
        {"host-data=%0c1:20", "FAILED V4", FALSE},
        {"family-id=%010:10", "VERIFIED", FALSE},
        {"family-id=%050:10", "FAILED V5", FALSE},
        {"image-id=%020:10", "VERIFIED", FALSE},
        {"image-id=%050:10", "FAILED V6", FALSE},
        {"report-id=%140:20", "VERIFIED", FALSE},
        {"report-id=%0c0:20", "FAILED V7", FALSE},
        {"report-id-ma=%160:20", "VERIFIED", FALSE},
        {"report-id-ma=%140:20", "FAILED V8", FALSE},
        {"measurement=%090:30", "VERIFIED", FALSE},
        {"measurement=%091:30;%090:30", "VERIFIED", FALSE},
        {"measurement=%091:30", "FAILED V9", FALSE},
        {"chip-id=%1a0:40", "VERIFIED", FALSE},
        {"chip-id=%1a0:08", "VERIFIED", FALSE},
        {"chip-id=%1a1:08", "FAILED V10", FALSE},
        {"chip-id=%050:40", "FAILED V10", TRUE},
        {"committed-tcb=equal", "VERIFIED", FALSE},
        {"min-launch-tcb=fmc=1,snp=24", "VERIFIED", FALSE},
        {"min-launch-tcb=microcode=220", "FAILED V12", FALSE},
        {"min-reported-tcb=fmc=1,bootloader=4,tee=0,snp=24,microcode=219", "VERIFIED", FALSE},
        {"min-reported-tcb=tee=1", "FAILED V15", FALSE},
        {"min-committed-version=1.55.29", "VERIFIED", FALSE},
        {"min-committed-version=1.55.30", "FAILED V16", FALSE},
        {"committed-version=equal", "VERIFIED", FALSE},
        {"platform-require=ecc;alias-check", "VERIFIED", FALSE},
        {"platform-require=tsme", "FAILED V17", FALSE},
        {"platform-forbid=smt", "FAILED V17", FALSE},
        {"platform-forbid=bit6;tio", "VERIFIED", FALSE},
        {"id-key-digest=%0e0:30", "VERIFIED", FALSE},
        {"id-key-digest=%0d0:30", "FAILED V18", FALSE},
        {"author-key-digest=%110:30", "FAILED V18", FALSE},
        {"launch-mitigations=0x3", "VERIFIED", FALSE},
        {"launch-mitigations=0x4", "FAILED V19", FALSE},
        {"current-mitigations=0xb", "VERIFIED", FALSE},
        {"launch-mitigations=0x1\ncurrent-mitigations=0x1b", "FAILED V19", FALSE},
        {"vmpl=1", "VERIFIED", FALSE},
        {"vmpl=0", "FAILED V20", FALSE},
        {"csp-id=CN=cc-test.example.com", "VERIFIED", TRUE},
        {"csp-id=CN=cc-other.example.com", "FAILED CSP", TRUE},
        {"product=Turin", "VERIFIED", FALSE},
        {"vmpl=1\nmin-guest-svn=9\nmeasurement=%091:30", "FAILED V1, V9", FALSE},
    };

    for (guint i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(GString) text = g_string_new("[report]\n");
        g_autofree char *found = NULL;
        World w;

        world_init(&w, keys, 5, KH_PRODUCT_TURIN, rows[i].vlek);
        /* %OFFSET:LENGTH, three and two hex digits, is what stands in the report. */
        for (const char *c = rows[i].policy; *c != '\0'; c++)
            if (*c == '%') {
                guint offset = (guint)g_ascii_strtoull(c + 1, NULL, 16);
                guint length = (guint)g_ascii_strtoull(c + 5, NULL, 16);
                g_autofree char *hex = kh_bytes_to_hex(w.report + offset, length);

                g_string_append(text, hex);
                c += 6;
            } else {
                g_string_append_c(text, *c);
            }
        w.policy = text->str;
        found = world_run(&w);
        if (!g_str_equal(found, rows[i].outcome))
            g_test_message("%s: %s", rows[i].policy, found);
        g_assert_cmpstr(found, ==, rows[i].outcome);
        world_clear(&w);
    }
}

/* A provisional firmware: committed older than current. */
static void
provisional(gconstpointer keys)
{
    static const struct {
        const char *policy, *outcome;
    } rows[] = {
        {NULL, "VERIFIED"},
        {"[report]\ncommitted-tcb=equal", "FAILED V11"},
        {"[report]\ncommitted-tcb=at-most-current", "VERIFIED"},
        {"[report]\ncommitted-version=equal", "FAILED V16"},
        {"[report]\nmin-committed-version=1.55.29", "FAILED V16"},
        {"[report]\nmin-committed-version=1.55.29\ncommitted-version=at-most-current", "VERIFIED"},
    };

    for (guint i = 0; i < G_N_ELEMENTS(rows); i++) {
        World w;
        g_autofree char *found = NULL;

        world_init(&w, keys, 3, KH_PRODUCT_GENOA, FALSE);
        w.report[0x038 + 6]++;
        w.report[0x1e8]++;
        w.policy = rows[i].policy;
        found = world_run(&w);
        g_assert_cmpstr(found, ==, rows[i].outcome);
        world_clear(&w);
    }
}

/* Every byte that is signed, one at a time. */
static void
each_byte(gconstpointer keys)
{
    g_autoptr(KhCertificates) certificates = kh_certificates_new();
    g_autoptr(KhAnchors) anchors = kh_anchors_new_empty(FALSE);
    g_autoptr(KhPolicy) policy = kh_policy_new();
    World w;
    g_autoptr(GBytes) crl = NULL;
    KhVerifierInput input = {anchors, certificates, policy, NULL, NOW};

    world_init(&w, keys, 5, KH_PRODUCT_GENOA, FALSE);
    crl = input.crl = kh_test_crl_make(&w.crl);
    collect(&w, certificates, anchors);
    kh_test_report_sign(w.report, w.signer);
    for (gsize i = 0; i < KH_REPORT_SIGNED_SIZE; i++) {
        g_autoptr(KhVerification) result = NULL;

        w.report[i] ^= 0x10;
        result = kh_verifier_run(w.report, KH_REPORT_SIZE, &input);
        g_assert_cmpint(kh_verdict_decide(result->checks, FALSE, NULL), ==, KH_VERDICT_FAILED);
        g_assert_cmpint(kh_checks_find(result->checks, i < 4 ? "S2" : "B1")->status, ==,
                        KH_CHECK_FAILED);
        w.report[i] ^= 0x10;
    }
    world_clear(&w);
}

static void
sizes(gconstpointer keys)
{
    static const gsize lengths[] = {0, 1, 72, 793, 1183, 1185, 100000000};
    g_autoptr(KhCertificates) certificates = kh_certificates_new();
    g_autoptr(KhAnchors) anchors = kh_anchors_new_amd();
    g_autoptr(KhPolicy) policy = kh_policy_new();
    g_autofree guint8 *data = g_malloc0(100000000);
    const KhVerifierInput input = {anchors, certificates, policy, NULL, NOW};

    for (guint i = 0; i < G_N_ELEMENTS(lengths); i++) {
        g_autoptr(KhVerification) result = kh_verifier_run(data, lengths[i], &input);
        g_autofree char *found = outcome(result, NULL);

        g_assert_cmpstr(found, ==, "FAILED S1");
    }
}

/* What the host claims, and what is no check, keep it from being verified. */
static void
consistent(gconstpointer keys)
{
    g_autoptr(KhChecks) checks = kh_checks_new();
    g_autoptr(GPtrArray) doubts = g_ptr_array_new();
    static const KhCheckRow rows[] = {{"X1", "one", TRUE}, {"X2", "two", FALSE}};

    g_assert_cmpint(kh_verdict_decide(checks, FALSE, NULL), ==, KH_VERDICT_FAILED);
    kh_checks_add(checks, rows, G_N_ELEMENTS(rows));
    g_assert_cmpint(kh_verdict_decide(checks, FALSE, NULL), ==, KH_VERDICT_FAILED);
    kh_checks_exempt(checks, "X1", "because");
    g_assert_cmpint(kh_verdict_decide(checks, FALSE, NULL), ==, KH_VERDICT_VERIFIED);
    kh_checks_pass(checks, "X2", "a", "a");
    kh_checks_set_source(checks, "X2", KH_SOURCE_HOST);
    g_assert_cmpint(kh_verdict_decide(checks, FALSE, NULL), ==, KH_VERDICT_CONSISTENT);
    g_assert_cmpint(kh_verdict_decide(checks, TRUE, NULL), ==, KH_VERDICT_SIMULATED);
    kh_checks_set_source(checks, "X2", KH_SOURCE_OPTION);
    g_assert_cmpint(kh_verdict_decide(checks, FALSE, doubts), ==, KH_VERDICT_VERIFIED);
    g_ptr_array_add(doubts, (gpointer) "a legacy schema");
    g_assert_cmpint(kh_verdict_decide(checks, FALSE, doubts), ==, KH_VERDICT_CONSISTENT);
    kh_checks_fail(checks, "X2", NULL, NULL, "now it %s", "fails");
    kh_checks_pass(checks, "X2", NULL, NULL);
    g_assert_cmpint(kh_verdict_decide(checks, TRUE, doubts), ==, KH_VERDICT_FAILED);
    g_assert_cmpint(kh_verdict_exit_code(KH_VERDICT_VERIFIED, FALSE), ==, 0);
    g_assert_cmpint(kh_verdict_exit_code(KH_VERDICT_CONSISTENT, FALSE), ==, 1);
    g_assert_cmpint(kh_verdict_exit_code(KH_VERDICT_CONSISTENT, TRUE), ==, 0);
    g_assert_cmpint(kh_verdict_exit_code(KH_VERDICT_SIMULATED, TRUE), ==, 1);
    g_assert_cmpint(kh_verdict_exit_code(KH_VERDICT_FAILED, TRUE), ==, 1);
}

/* What a caller requires must have been asked. */
static void
required(gconstpointer keys)
{
    g_autoptr(KhChecks) checks = kh_checks_new();
    static const KhCheckRow rows[] = {{"X1", "one", FALSE}};
    g_autofree char *refusals = NULL;

    kh_checks_add(checks, rows, G_N_ELEMENTS(rows));
    kh_checks_skip(checks, "X1", "not asked");
    g_assert_cmpint(kh_verdict_decide(checks, FALSE, NULL), ==, KH_VERDICT_VERIFIED);
    kh_checks_require(checks, "X1");
    g_assert_cmpint(kh_verdict_decide(checks, FALSE, NULL), ==, KH_VERDICT_FAILED);
    refusals = kh_verdict_refusals(checks);
    g_assert_cmpstr(refusals, ==, "X1");
}

/* A leaf among those of others, in one bundle with its chain, is found. */
static void
choice(gconstpointer keys)
{
    g_autoptr(KhCertificates) certificates = kh_certificates_new();
    g_autoptr(KhAnchors) anchors = kh_anchors_new_empty(FALSE);
    g_autoptr(KhPolicy) policy = kh_policy_new();
    g_autoptr(KhVerification) result = NULL;
    g_autoptr(GBytes) crl = NULL;
    g_autofree char *found = NULL;
    KhVerifierInput input = {anchors, certificates, policy, NULL, NOW};
    World others, w;

    world_init(&others, keys, 3, KH_PRODUCT_MILAN, FALSE);
    others.leaf.key = others.keys->stranger;
    others.intermediate.signer = others.keys->intermediate;
    others.root.signer = others.keys->intermediate;
    others.untrusted = TRUE;
    collect(&others, certificates, anchors);
    world_init(&w, keys, 3, KH_PRODUCT_MILAN, FALSE);
    collect(&w, certificates, anchors);
    g_assert_cmpuint(kh_certificates_get_length(certificates), ==, 6);
    crl = input.crl = kh_test_crl_make(&w.crl);
    kh_test_report_sign(w.report, w.signer);
    result = kh_verifier_run(w.report, KH_REPORT_SIZE, &input);
    found = outcome(result, NULL);
    g_assert_cmpstr(found, ==, "VERIFIED");
    world_clear(&w);
    world_clear(&others);
}

/* What a certificate says of itself reaches no terminal as it is. */
static void
harmless_names(gconstpointer keys)
{
    g_autoptr(KhCertificates) certificates = kh_certificates_new();
    KhTestCertificate leaf;
    g_autoptr(GBytes) der = NULL;
    const KhCertificate *certificate;

    kh_test_leaf_init(&leaf, keys, KH_PRODUCT_MILAN, FALSE);
    leaf.organization = "x\033[2J\nVERIFIED\342\200\256y";
    der = kh_test_certificate_make(&leaf);
    add(certificates, der, "a\033b");
    certificate = kh_certificates_get(certificates, 0);
    for (const char *c = certificate->subject; *c != '\0'; c++)
        g_assert_true(*c >= ' ' && *c < 0x7f);
    g_assert_null(strchr(certificate->origin, '\033'));
    kh_test_certificate_clear(&leaf);
}

#define ADD(path, function) g_test_add_data_func(path, &keys, function)

int
main(int argc, char **argv)
{
    KhTestKeys keys;
    int result;

    g_test_init(&argc, &argv, NULL);
    kh_test_keys_make(&keys);
    ADD("/verifier/good", good);
    ADD("/verifier/one-thing-wrong", one_thing_wrong);
    ADD("/verifier/extensions", extensions);
    ADD("/verifier/extension-values", extension_values);
    ADD("/verifier/hardware-id", hardware_id);
    ADD("/verifier/vlek-against-vcek", vlek_against_vcek);
    ADD("/verifier/revoked-genoa", revoked_genoa);
    ADD("/verifier/other-curve", other_curve);
    ADD("/verifier/small-key", small_key);
    ADD("/verifier/expectations", expectations);
    ADD("/verifier/provisional", provisional);
    ADD("/verifier/each-byte", each_byte);
    ADD("/verifier/sizes", sizes);
    ADD("/verifier/consistent", consistent);
    ADD("/verifier/required", required);
    ADD("/verifier/choice", choice);
    ADD("/verifier/harmless-names", harmless_names);
    result = g_test_run();
    kh_test_keys_clear(&keys);
    return result;
}
