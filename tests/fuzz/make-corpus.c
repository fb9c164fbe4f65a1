/* SPDX-License-Identifier: MIT */
/*
 * Writes the seeds in corpus/report and corpus/certificate anew. Not a test; run by hand when
 * the form of a target's input changes. Usage: make-corpus FOLDER
 */
#include <glib.h>

#include "tee-chain.h"

static void
append(GByteArray *all, GBytes *part)
{
    g_byte_array_append(all, g_bytes_get_data(part, NULL), (guint)g_bytes_get_size(part));
}

static void
write_seed(const char *folder, const char *target, const char *name, const GByteArray *data)
{
    g_autofree char *path = g_build_filename(folder, target, name, NULL);

    g_assert_true(g_file_set_contents(path, (const char *)data->data, data->len, NULL));
}

static void
write_report(const char *folder, const KhTestKeys *keys, guint32 version, KhProduct product,
             gboolean vlek)
{
    g_autofree char *name =
        g_strdup_printf("%s-%u-%s", kh_product_name(product), version, vlek ? "vlek" : "vcek");
    g_autoptr(GByteArray) data = g_byte_array_new();
    guint8 raw[KH_REPORT_SIZE];
    KhTestCertificate leaf;
    g_autoptr(GBytes) der = NULL;

    kh_test_leaf_init(&leaf, keys, product, vlek);
    der = kh_test_certificate_make(&leaf);
    kh_test_certificate_clear(&leaf);
    kh_test_report_init(raw, version, product, vlek);
    kh_test_report_sign(raw, keys->chip);
    g_byte_array_append(data, raw, sizeof raw);
    append(data, der);
    write_seed(folder, "report", name, data);
}

static void
write_certificate(const char *folder, const char *name, KhTestCertificate *certificate,
                  const KhTestCrl *crl)
{
    g_autoptr(GByteArray) data = g_byte_array_new();
    g_autoptr(GBytes) der = kh_test_certificate_make(certificate);
    g_autoptr(GBytes) list = kh_test_crl_make(crl);
    const guint8 length[] = {(guint8)g_bytes_get_size(der), (guint8)(g_bytes_get_size(der) >> 8)};

    g_byte_array_append(data, length, sizeof length);
    append(data, der);
    append(data, list);
    write_seed(folder, "certificate", name, data);
    kh_test_certificate_clear(certificate);
}

static void
write_certificates(const char *folder, const KhTestKeys *keys)
{
    KhTestCertificate one;
    KhTestCrl crl;

    kh_test_crl_init(&crl, keys, KH_PRODUCT_MILAN);
    crl.revoked = 0x70001;
    kh_test_root_init(&one, keys, KH_PRODUCT_MILAN);
    write_certificate(folder, "root", &one, &crl);
    kh_test_intermediate_init(&one, keys, KH_PRODUCT_MILAN, TRUE);
    write_certificate(folder, "intermediate", &one, &crl);
    kh_test_leaf_init(&one, keys, KH_PRODUCT_MILAN, FALSE);
    write_certificate(folder, "vcek", &one, &crl);
    kh_test_leaf_init(&one, keys, KH_PRODUCT_TURIN, TRUE);
    write_certificate(folder, "vlek", &one, &crl);
    g_free(crl.issuer);
}

int
main(int argc, char **argv)
{
    KhTestKeys keys;

    if (argc != 2)
        return 2;
    kh_test_keys_make(&keys);
    write_report(argv[1], &keys, 2, KH_PRODUCT_MILAN, FALSE);
    write_report(argv[1], &keys, 3, KH_PRODUCT_MILAN, TRUE);
    write_report(argv[1], &keys, 4, KH_PRODUCT_GENOA, FALSE);
    write_report(argv[1], &keys, 5, KH_PRODUCT_TURIN, FALSE);
    write_certificates(argv[1], &keys);
    kh_test_keys_clear(&keys);
    return 0;
}
