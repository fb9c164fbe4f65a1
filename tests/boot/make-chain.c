/* SPDX-License-Identifier: MIT */
/*
 * Makes a processor for the stand-in: in a folder ark.pem, ask.pem, vcek.pem, crl.der and, for
 * one Katana argument, "argument". Keys are made anew each time and nowhere else kept.
 *
 *   make-chain FOLDER MEASUREMENT [PRODUCT [POLICY]]
 */
#include <openssl/core_names.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <string.h>

#include "tee-chain.h"
#include "bytes.h"

#define KEY_SIZE 48
/* What QEMU gives a confidential guest here: SMT allowed, and the bit that is always set. */
#define POLICY 0x30000

static void
save(const char *folder, const char *name, const char *text, gssize length)
{
    g_autofree char *path = g_build_filename(folder, name, NULL);
    g_autoptr(GError) error = NULL;

    if (!g_file_set_contents_full(path, text, length, G_FILE_SET_CONTENTS_CONSISTENT, 0600, &error))
        g_error("%s", error->message);
}

static void
save_certificate(const char *folder, const char *name, KhTestCertificate *certificate)
{
    g_autoptr(GBytes) der = kh_test_certificate_make(certificate);
    const guint8 *data = g_bytes_get_data(der, NULL);
    g_autoptr(X509) x509 = d2i_X509(NULL, &data, (long)g_bytes_get_size(der));
    g_autoptr(BIO) bio = BIO_new(BIO_s_mem());
    char *text;
    long length;

    PEM_write_bio_X509(bio, x509);
    length = BIO_get_mem_data(bio, &text);
    save(folder, name, text, length);
    kh_test_certificate_clear(certificate);
}

static void
save_crl(const char *folder, const KhTestKeys *keys, KhProduct product)
{
    KhTestCrl crl;
    g_autoptr(GBytes) der = NULL;

    kh_test_crl_init(&crl, keys, product);
    /* As long as the certificates: a test runs on any day. */
    crl.next_update = KH_TEST_BEGIN + 10 * (gint64)KH_TEST_YEAR;
    der = kh_test_crl_make(&crl);
    save(folder, "crl.der", g_bytes_get_data(der, NULL), (gssize)g_bytes_get_size(der));
    g_free(crl.issuer);
}

static char *
format_key(EVP_PKEY *key)
{
    g_autoptr(BIGNUM) number = NULL;
    guint8 bytes[KEY_SIZE];
    BIGNUM *found = NULL;

    g_assert_true(EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_PRIV_KEY, &found));
    number = found;
    g_assert_cmpint(BN_bn2binpad(number, bytes, sizeof bytes), ==, sizeof bytes);
    return kh_bytes_to_hex(bytes, sizeof bytes);
}

/* The machine that the certificates are of; see boot-components/standin/attester.h. */
static void
save_argument(const char *folder, const KhTestKeys *keys, KhProduct product,
              const char *measurement, guint64 policy)
{
    guint8 raw[KH_REPORT_SIZE];
    g_autofree KhReport *report = NULL;
    g_autofree char *key = format_key(keys->chip);
    g_autofree char *name = g_ascii_strdown(kh_product_name(product), -1);
    g_autofree char *chip = NULL, *tcb = NULL, *argument = NULL;

    kh_test_report_init(raw, 3, product, FALSE);
    report = kh_report_new(raw, sizeof raw, NULL);
    chip =
        kh_bytes_to_hex(kh_report_field(report, KH_REPORT_CHIP_ID, NULL), KH_REPORT_CHIP_ID_SIZE);
    tcb = kh_bytes_to_hex(kh_report_tcb_raw(report, KH_REPORT_REPORTED_TCB), 8);
    argument = g_strdup_printf("--fake.attester=product=%s:key=%s:measurement=%s:chip=%s:tcb=%s:"
                               "policy=%016" G_GINT64_MODIFIER "x",
                               name, key, measurement, chip, tcb, policy);
    save(folder, "argument", argument, -1);
}

static KhProduct
read_product(const char *name)
{
    for (guint i = KH_PRODUCT_MILAN; i <= KH_PRODUCT_TURIN; i++)
        if (g_ascii_strcasecmp(name, kh_product_name(i)) == 0)
            return i;
    g_error("%s is none of Milan, Genoa and Turin", name);
}

int
main(int argc, char **argv)
{
    KhProduct product = argc > 3 ? read_product(argv[3]) : KH_PRODUCT_MILAN;
    guint64 policy = argc > 4 ? g_ascii_strtoull(argv[4], NULL, 0) : POLICY;
    KhTestCertificate root, intermediate, leaf;
    KhTestKeys keys;

    if (argc < 3 || argc > 5) {
        fputs("usage: make-chain FOLDER MEASUREMENT [PRODUCT [POLICY]]\n", stderr);
        return 2;
    }
    kh_test_keys_make(&keys);
    kh_test_root_init(&root, &keys, product);
    kh_test_intermediate_init(&intermediate, &keys, product, FALSE);
    kh_test_leaf_init(&leaf, &keys, product, FALSE);
    save_certificate(argv[1], "ark.pem", &root);
    save_certificate(argv[1], "ask.pem", &intermediate);
    save_certificate(argv[1], "vcek.pem", &leaf);
    save_crl(argv[1], &keys, product);
    save_argument(argv[1], &keys, product, argv[2], policy);
    kh_test_keys_clear(&keys);
    return 0;
}
