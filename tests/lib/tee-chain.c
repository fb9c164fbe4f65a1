/* SPDX-License-Identifier: MIT */
/* Test certificates and reports; see tee-chain.h. */
#include "tee-chain.h"

#include <openssl/objects.h>
#include <openssl/rsa.h>
#include <string.h>

#include "certificates.h"

#define ARC "1.3.6.1.4.1.3704.1."

/* Of chip and TCB: bootloader 4, tee 0, snp 24, microcode 219, on Turin with fmc 1. */
static const guint8 chip_id[64] = {0x0a, 0x04, 0x40, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77};
static const guint8 milan_tcb[8] = {4, 0, 0, 0, 0, 0, 24, 219};
static const guint8 turin_tcb[8] = {1, 4, 0, 24, 0, 0, 0, 219};

/* Of AMD's size, but the product of four primes: found in a tenth of the time that two take. */
static EVP_PKEY *
rsa_key(void)
{
    g_autoptr(EVP_PKEY_CTX) context = EVP_PKEY_CTX_new_from_name(NULL, "RSA", NULL);
    EVP_PKEY *key = NULL;

    g_assert_cmpint(EVP_PKEY_keygen_init(context), ==, 1);
    g_assert_cmpint(EVP_PKEY_CTX_set_rsa_keygen_bits(context, 4096), ==, 1);
    g_assert_cmpint(EVP_PKEY_CTX_set_rsa_keygen_primes(context, 4), ==, 1);
    g_assert_cmpint(EVP_PKEY_generate(context, &key), ==, 1);
    return key;
}

void
kh_test_keys_make(KhTestKeys *keys)
{
    keys->root = rsa_key();
    keys->intermediate = rsa_key();
    keys->chip = EVP_EC_gen("P-384");
    keys->stranger = EVP_EC_gen("P-384");
}

void
kh_test_keys_clear(KhTestKeys *keys)
{
    EVP_PKEY_free(keys->root);
    EVP_PKEY_free(keys->intermediate);
    EVP_PKEY_free(keys->chip);
    EVP_PKEY_free(keys->stranger);
}

static void
free_extension(gpointer data)
{
    KhTestExtension *extension = data;

    g_free(extension->oid);
    g_bytes_unref(extension->value);
    g_free(extension);
}

static void
init(KhTestCertificate *self, char *common_name, char *issuer, EVP_PKEY *key, EVP_PKEY *signer)
{
    *self = (KhTestCertificate){
        .common_name = common_name,
        .issuer = issuer,
        .organization = "Advanced Micro Devices",
        .key = key,
        .signer = signer,
        .version = X509_VERSION_3,
        .not_before = KH_TEST_BEGIN,
        .not_after = KH_TEST_BEGIN + 10 * (gint64)KH_TEST_YEAR,
        .salt = 48,
        .hash = EVP_sha384(),
        .mask = EVP_sha384(),
        .extensions = g_ptr_array_new_with_free_func(free_extension),
    };
}

void
kh_test_certificate_clear(KhTestCertificate *self)
{
    g_free(self->common_name);
    g_free(self->issuer);
    g_free(self->crl_address);
    g_ptr_array_unref(self->extensions);
}

static char *
crl_address(KhProduct product, gboolean vlek)
{
    return g_strdup_printf("https://kdsintf.amd.com/%s/v1/%s/crl", vlek ? "vlek" : "vcek",
                           kh_product_name(product));
}

void
kh_test_root_init(KhTestCertificate *self, const KhTestKeys *keys, KhProduct product)
{
    init(self, kh_role_common_name(KH_ROLE_ARK, product), kh_role_common_name(KH_ROLE_ARK, product),
         keys->root, keys->root);
    self->serial = 0x70000;
    self->authority = TRUE;
    self->crl_address = crl_address(product, FALSE);
}

void
kh_test_intermediate_init(KhTestCertificate *self, const KhTestKeys *keys, KhProduct product,
                          gboolean vlek)
{
    init(self, kh_role_common_name(vlek ? KH_ROLE_ASVK : KH_ROLE_ASK, product),
         kh_role_common_name(KH_ROLE_ARK, product), keys->intermediate, keys->root);
    self->serial = vlek ? 0x70101 : 0x70001;
    self->authority = TRUE;
    self->crl_address = crl_address(product, vlek);
}

void
kh_test_extension_add(KhTestCertificate *self, const char *oid, gconstpointer value, gsize length)
{
    KhTestExtension *extension = g_new0(KhTestExtension, 1);

    extension->oid = g_strconcat(ARC, oid, NULL);
    extension->value = g_bytes_new(value, length);
    g_ptr_array_add(self->extensions, extension);
}

void
kh_test_extension_set(KhTestCertificate *self, const char *oid, gconstpointer value, gsize length)
{
    g_autofree char *whole = g_strconcat(ARC, oid, NULL);

    for (guint i = 0; i < self->extensions->len; i++) {
        KhTestExtension *extension = self->extensions->pdata[i];

        if (g_str_equal(extension->oid, whole)) {
            g_ptr_array_remove_index(self->extensions, i);
            break;
        }
    }
    if (value != NULL)
        kh_test_extension_add(self, oid, value, length);
}

static void
add_number(KhTestCertificate *self, const char *oid, guint8 number)
{
    const guint8 small[] = {V_ASN1_INTEGER, 1, number};
    const guint8 large[] = {V_ASN1_INTEGER, 2, 0, number};

    if (number < 128)
        kh_test_extension_add(self, oid, small, sizeof small);
    else
        kh_test_extension_add(self, oid, large, sizeof large);
}

static void
add_text(KhTestCertificate *self, const char *oid, const char *text)
{
    g_autofree char *value = g_strdup_printf("%c%c%s", V_ASN1_IA5STRING, (int)strlen(text), text);

    kh_test_extension_add(self, oid, value, strlen(value));
}

void
kh_test_leaf_init(KhTestCertificate *self, const KhTestKeys *keys, KhProduct product, gboolean vlek)
{
    gboolean turin = product == KH_PRODUCT_TURIN;

    init(self, kh_role_common_name(vlek ? KH_ROLE_VLEK : KH_ROLE_VCEK, product),
         kh_role_common_name(vlek ? KH_ROLE_ASVK : KH_ROLE_ASK, product), keys->chip,
         keys->intermediate);
    add_number(self, "1", turin);
    add_text(self, "2",
             product == KH_PRODUCT_MILAN && !vlek ? "Milan-B0" : kh_product_name(product));
    add_number(self, "3.1", 4);
    add_number(self, "3.2", 0);
    add_number(self, "3.3", 24);
    add_number(self, "3.5", 0);
    add_number(self, "3.6", 0);
    add_number(self, "3.7", 0);
    add_number(self, "3.8", 219);
    if (turin)
        add_number(self, "3.9", 1);
    if (vlek)
        add_text(self, "5", "CN=cc-test.example.com");
    else
        kh_test_extension_add(self, "4", chip_id, turin ? 8 : 64);
}

static void
add_entry(X509_NAME *name, int nid, const char *text)
{
    X509_NAME_add_entry_by_NID(name, nid, MBSTRING_UTF8, (const guint8 *)text, -1, -1, 0);
}

static void
fill_name(X509_NAME *name, const char *organization, const char *common_name)
{
    add_entry(name, NID_organizationalUnitName, "Engineering");
    add_entry(name, NID_countryName, "US");
    add_entry(name, NID_localityName, "Santa Clara");
    add_entry(name, NID_stateOrProvinceName, "CA");
    add_entry(name, NID_organizationName, organization);
    add_entry(name, NID_commonName, common_name);
}

static void
add_standard(X509 *x509, int nid, const char *text)
{
    g_autoptr(X509_EXTENSION) extension = X509V3_EXT_conf_nid(NULL, NULL, nid, text);

    g_assert_nonnull(extension);
    X509_add_ext(x509, extension, -1);
}

static void
add_extensions(X509 *x509, const KhTestCertificate *self)
{
    if (self->authority) {
        add_standard(x509, NID_basic_constraints, "critical,CA:TRUE");
        add_standard(x509, NID_key_usage, "critical,keyCertSign,cRLSign");
    }
    if (self->crl_address != NULL) {
        g_autofree char *text = g_strconcat("URI:", self->crl_address, NULL);

        add_standard(x509, NID_crl_distribution_points, text);
    }
    for (guint i = 0; i < self->extensions->len; i++) {
        const KhTestExtension *one = self->extensions->pdata[i];
        g_autoptr(ASN1_OBJECT) object = OBJ_txt2obj(one->oid, TRUE);
        g_autoptr(ASN1_OCTET_STRING) value = ASN1_OCTET_STRING_new();
        g_autoptr(X509_EXTENSION) extension = NULL;
        gsize length;
        const guint8 *data = g_bytes_get_data(one->value, &length);

        ASN1_OCTET_STRING_set(value, data, (int)length);
        extension = X509_EXTENSION_create_by_OBJ(NULL, object, one->critical, value);
        X509_add_ext(x509, extension, -1);
    }
}

static EVP_MD_CTX *
signing_context(EVP_PKEY *signer, const EVP_MD *hash, const EVP_MD *mask, int salt, gboolean pkcs1)
{
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    EVP_PKEY_CTX *key_context = NULL;

    EVP_DigestSignInit(context, &key_context, hash, NULL, signer);
    if (!pkcs1) {
        EVP_PKEY_CTX_set_rsa_padding(key_context, RSA_PKCS1_PSS_PADDING);
        EVP_PKEY_CTX_set_rsa_mgf1_md(key_context, mask);
        EVP_PKEY_CTX_set_rsa_pss_saltlen(key_context, salt);
    }
    return context;
}

GBytes *
kh_test_certificate_make(const KhTestCertificate *self)
{
    g_autoptr(X509) x509 = X509_new();
    g_autoptr(X509_NAME) subject = X509_NAME_new();
    g_autoptr(X509_NAME) issuer = X509_NAME_new();
    g_autoptr(EVP_MD_CTX) context =
        signing_context(self->signer, self->hash, self->mask, self->salt, self->pkcs1);
    guint8 *der = NULL;
    GBytes *bytes;
    int length;

    X509_set_version(x509, self->version);
    ASN1_INTEGER_set(X509_get_serialNumber(x509), self->serial);
    ASN1_TIME_set(X509_getm_notBefore(x509), (time_t)self->not_before);
    ASN1_TIME_set(X509_getm_notAfter(x509), (time_t)self->not_after);
    fill_name(subject, self->organization, self->common_name);
    fill_name(issuer, "Advanced Micro Devices", self->issuer);
    X509_set_subject_name(x509, subject);
    X509_set_issuer_name(x509, issuer);
    X509_set_pubkey(x509, self->key);
    add_extensions(x509, self);
    g_assert_cmpint(X509_sign_ctx(x509, context), >, 0);
    length = i2d_X509(x509, &der);
    bytes = g_bytes_new(der, (gsize)length);
    OPENSSL_free(der);
    return bytes;
}

void
kh_test_crl_init(KhTestCrl *self, const KhTestKeys *keys, KhProduct product)
{
    *self = (KhTestCrl){
        .issuer = kh_role_common_name(KH_ROLE_ARK, product),
        .signer = keys->root,
        .last_update = KH_TEST_BEGIN,
        .next_update = KH_TEST_BEGIN + KH_TEST_YEAR,
    };
}

static void
add_revoked(X509_CRL *crl, glong serial, const ASN1_TIME *time)
{
    g_autoptr(ASN1_INTEGER) number = ASN1_INTEGER_new();
    X509_REVOKED *revoked = X509_REVOKED_new();

    ASN1_INTEGER_set(number, serial);
    X509_REVOKED_set_serialNumber(revoked, number);
    X509_REVOKED_set_revocationDate(revoked, (ASN1_TIME *)time);
    X509_CRL_add0_revoked(crl, revoked);
}

GBytes *
kh_test_crl_make(const KhTestCrl *self)
{
    g_autoptr(X509_CRL) crl = X509_CRL_new();
    g_autoptr(X509_NAME) issuer = X509_NAME_new();
    g_autoptr(EVP_MD_CTX) context =
        signing_context(self->signer, EVP_sha384(), EVP_sha384(), 48, FALSE);
    ASN1_TIME *time = ASN1_TIME_set(NULL, (time_t)self->last_update);
    guint8 *der = NULL;
    GBytes *bytes;
    int length;

    X509_CRL_set_version(crl, X509_CRL_VERSION_2);
    fill_name(issuer, "Advanced Micro Devices", self->issuer);
    X509_CRL_set_issuer_name(crl, issuer);
    if (self->revoked != 0)
        add_revoked(crl, self->revoked, time);
    if (self->unreadable)
        ASN1_STRING_set(time, "251301000000Z", -1);
    X509_CRL_set1_lastUpdate(crl, time);
    if (self->next_update != 0) {
        ASN1_TIME_set(time, (time_t)self->next_update);
        X509_CRL_set1_nextUpdate(crl, time);
    }
    ASN1_TIME_free(time);
    if (self->delta) {
        g_autoptr(ASN1_INTEGER) base = ASN1_INTEGER_new();

        ASN1_INTEGER_set(base, 1);
        X509_CRL_add1_ext_i2d(crl, NID_delta_crl, base, TRUE, 0);
    }
    g_assert_cmpint(X509_CRL_sign_ctx(crl, context), >, 0);
    length = i2d_X509_CRL(crl, &der);
    bytes = g_bytes_new(der, (gsize)length);
    OPENSSL_free(der);
    return bytes;
}

static void
fill_product(guint8 *raw, guint32 version, KhProduct product)
{
    static const guint8 cpuid[][2] = {[KH_PRODUCT_MILAN] = {0x19, 0x01},
                                      [KH_PRODUCT_GENOA] = {0x19, 0x11},
                                      [KH_PRODUCT_TURIN] = {0x1a, 0x02}};
    const guint8 *tcb = product == KH_PRODUCT_TURIN ? turin_tcb : milan_tcb;
    static const guint16 places[] = {0x038, 0x180, 0x1e0, 0x1f0};

    if (version >= 3)
        memcpy(raw + 0x188, cpuid[product], 2);
    for (guint i = 0; i < G_N_ELEMENTS(places); i++)
        memcpy(raw + places[i], tcb, 8);
}

void
kh_test_report_init(guint8 raw[KH_REPORT_SIZE], guint32 version, KhProduct product, gboolean vlek)
{
    static const guint8 firmware[] = {29, 55, 1};

    memset(raw, 0, KH_REPORT_SIZE);
    raw[0] = (guint8)version;
    raw[0x004] = 7;    /* guest SVN */
    raw[0x008] = 0x1f; /* ABI 0.31, SMT allowed, the bit that is always set */
    raw[0x00a] = 0x03;
    raw[0x030] = 1; /* VMPL */
    raw[0x034] = 1;
    raw[0x040] = 0x25;
    raw[0x048] = vlek ? KH_SIGNING_KEY_VLEK << 2 : 0;
    for (int i = 0x050; i < 0x110; i++)
        raw[i] = (guint8)i;
    memset(raw + 0x140, 0x5a, 32);
    memset(raw + 0x160, 0xff, 32);
    fill_product(raw, version, product);
    if (!vlek)
        memcpy(raw + 0x1a0, chip_id, product == KH_PRODUCT_TURIN ? 8 : 64);
    memcpy(raw + 0x1e8, firmware, 3);
    memcpy(raw + 0x1ec, firmware, 3);
    if (version >= 5)
        raw[0x1f8] = raw[0x200] = 0x0b;
}

void
kh_test_report_sign(guint8 raw[KH_REPORT_SIZE], EVP_PKEY *key)
{
    g_autoptr(EVP_MD_CTX) context = EVP_MD_CTX_new();
    g_autoptr(ECDSA_SIG) signature = NULL;
    guint8 der[256];
    const guint8 *end = der;
    size_t length = sizeof der;

    EVP_DigestSignInit(context, NULL, EVP_sha384(), NULL, key);
    g_assert_cmpint(EVP_DigestSign(context, der, &length, raw, KH_REPORT_SIGNED_SIZE), ==, 1);
    signature = d2i_ECDSA_SIG(NULL, &end, (long)length);
    BN_bn2lebinpad(ECDSA_SIG_get0_r(signature), raw + 0x2a0, 72);
    BN_bn2lebinpad(ECDSA_SIG_get0_s(signature), raw + 0x2e8, 72);
}
