/* SPDX-License-Identifier: MIT */
/*
 * Writes the seeds in corpus/report, corpus/certificate, corpus/key-answer and corpus/firmware
 * anew. Not a test; run by hand when the form of a target's input changes. Usage: make-corpus
 * FOLDER
 */
#include <string.h>

#include <glib.h>

#include "firmware-tail.h"
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

static void
write_bytes(const char *folder, const char *name, GBytes *bytes)
{
    g_autoptr(GByteArray) data = g_byte_array_new();

    append(data, bytes);
    write_seed(folder, "key-answer", name, data);
}

static void
append_pem(GByteArray *all, KhTestCertificate *certificate)
{
    g_autoptr(GBytes) der = kh_test_certificate_make(certificate);
    g_autofree char *base64 = g_base64_encode(g_bytes_get_data(der, NULL), g_bytes_get_size(der));
    g_autoptr(GString) text = g_string_new("-----BEGIN CERTIFICATE-----\n");

    for (const char *at = base64; *at != '\0'; at += strnlen(at, 64))
        g_string_append_printf(text, "%.64s\n", at);
    g_string_append(text, "-----END CERTIFICATE-----\n");
    g_byte_array_append(all, (const guint8 *)text->str, (guint)text->len);
    kh_test_certificate_clear(certificate);
}

static void
write_leaf_answer(const char *folder, const KhTestKeys *keys, KhProduct product, const char *name)
{
    KhTestCertificate leaf;
    g_autoptr(GBytes) der = NULL;

    kh_test_leaf_init(&leaf, keys, product, FALSE);
    der = kh_test_certificate_make(&leaf);
    kh_test_certificate_clear(&leaf);
    write_bytes(folder, name, der);
}

/* What AMD's key service gives: a VCEK, a chain, a CRL. */
static void
write_key_answers(const char *folder, const KhTestKeys *keys)
{
    g_autoptr(GByteArray) chain = g_byte_array_new();
    KhTestCertificate one;
    KhTestCrl crl;
    g_autoptr(GBytes) list = NULL;

    write_leaf_answer(folder, keys, KH_PRODUCT_MILAN, "vcek-milan.der");
    write_leaf_answer(folder, keys, KH_PRODUCT_TURIN, "vcek-turin.der");
    kh_test_intermediate_init(&one, keys, KH_PRODUCT_MILAN, FALSE);
    append_pem(chain, &one);
    kh_test_root_init(&one, keys, KH_PRODUCT_MILAN);
    append_pem(chain, &one);
    write_seed(folder, "key-answer", "chain-milan.pem", chain);
    kh_test_crl_init(&crl, keys, KH_PRODUCT_MILAN);
    crl.revoked = 0x10001;
    list = kh_test_crl_make(&crl);
    g_free(crl.issuer);
    write_bytes(folder, "crl-milan.der", list);
}

/* The tables of @tail, which it takes, behind a byte of choices; see fuzz-firmware.c. */
static void
write_firmware(const char *folder, const char *name, guint8 choice, guint8 *tail)
{
    g_autoptr(GByteArray) data = g_byte_array_new();
    g_autofree guint8 *owned = tail;

    g_byte_array_append(data, &choice, 1);
    g_byte_array_append(data, owned + TAIL_METADATA, TAIL_SIZE - TAIL_METADATA);
    write_seed(folder, "firmware", name, data);
}

/* The metadata is @offset bytes before the image's end and has @n sections, as far as they fit. */
static void
write_sections(const char *folder, const char *name, guint32 offset, guint32 n)
{
    guint8 *tail = tail_new(TAIL_AMDSEV);
    guint8 *place = tail + TAIL_SIZE - offset;

    tail_put32(tail + TAIL_ENTRY_METADATA, offset);
    memmove(place, tail + TAIL_METADATA, 16);
    tail_put32(place + 4, 16 + 12 * n);
    tail_put32(place + 12, n);
    for (guint32 i = 0; i < n && 16 + 12 * (i + 1) <= offset; i++) {
        tail_put32(place + 16 + 12 * i, 0x800000 + 0x1000 * i);
        tail_put32(place + 20 + 12 * i, 0x1000);
        tail_put32(place + 24 + 12 * i, 1);
    }
    write_firmware(folder, name, 0x00, tail);
}

static void
write_firmwares(const char *folder)
{
    static const struct {
        const char *name;
        guint8 choice;
        guint bytes, place;
        guint32 value;
    } wrong[] = {
        {"table-outside", 0x01, 2, TAIL_FOOTER, 0xffff},
        {"entry-outside", 0x01, 2, TAIL_ENTRY_HASHES + 8, 0x7fff},
        {"metadata-outside", 0x01, 4, TAIL_ENTRY_METADATA, 0xfffff000},
        /* Times 12 it is 8 in 32 bits. */
        {"many-sections", 0x01, 4, TAIL_METADATA + 12, 0x15555556},
        {"large-section", 0x01, 4, TAIL_METADATA + 20, 0xfffff000},
        /* Up to 4 GiB, which a section may reach; and as much as is measured at all. */
        {"section-to-4-gib", 0x01, 4, TAIL_METADATA + 20, 0xff800000},
        {"sections-of-64-mib", 0x01, 4, TAIL_METADATA + 20, 0x3fea000},
        {"hashes-at-the-edge", 0x01, 4, TAIL_ENTRY_HASHES, 0x810fff},
        {"hashes-twice", 0x01, 4, TAIL_METADATA + 24 + 2 * 12, 0x10},
    };

    write_firmware(folder, "amdsev", 0x07, tail_new(TAIL_AMDSEV));
    write_firmware(folder, "amdsev-ec2", 0x11, tail_new(TAIL_AMDSEV));
    write_firmware(folder, "amdsev-gce", 0x21, tail_new(TAIL_AMDSEV));
    write_firmware(folder, "generic", 0x04, tail_new(TAIL_GENERIC));
    write_firmware(folder, "generic-kernel", 0x01, tail_new(TAIL_GENERIC));
    write_firmware(folder, "no-whole-pages", 0x87, tail_new(TAIL_AMDSEV));
    write_sections(folder, "most-sections", TAIL_SIZE - TAIL_METADATA, 64);
    write_sections(folder, "too-many-sections", TAIL_SIZE - TAIL_METADATA, 100);
    write_sections(folder, "sections-behind-the-end", 16, 64);
    for (guint i = 0; i < G_N_ELEMENTS(wrong); i++) {
        guint8 *tail = tail_new(TAIL_AMDSEV);

        if (wrong[i].bytes == 2)
            tail_put16(tail + wrong[i].place, (guint16)wrong[i].value);
        else
            tail_put32(tail + wrong[i].place, wrong[i].value);
        write_firmware(folder, wrong[i].name, wrong[i].choice, tail);
    }
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
    write_key_answers(argv[1], &keys);
    write_firmwares(argv[1]);
    kh_test_keys_clear(&keys);
    return 0;
}
