/* SPDX-License-Identifier: MIT */
/* Tests of how certificates are taken in: forms, folders, bounds, roles. */
#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/pem.h>

#include "error.h"
#include "tee-chain.h"
#include "certificates.h"

typedef struct {
    char *folder;
    GBytes *root, *leaf; /* DER */
    char *pem;           /* of both */
} Fixture;

static void
append_pem(GString *text, GBytes *der)
{
    gsize length;
    const guint8 *data = g_bytes_get_data(der, &length);
    g_autoptr(X509) x509 = d2i_X509(NULL, &data, (long)length);
    g_autoptr(BIO) bio = BIO_new(BIO_s_mem());
    char *written;
    long n;

    PEM_write_bio_X509(bio, x509);
    n = BIO_get_mem_data(bio, &written);
    g_string_append_len(text, written, n);
}

static void
set_up(Fixture *f, gconstpointer keys)
{
    KhTestCertificate root, leaf;
    GString *pem = g_string_new("Bag attributes\n");

    kh_test_root_init(&root, keys, KH_PRODUCT_GENOA);
    kh_test_leaf_init(&leaf, keys, KH_PRODUCT_GENOA, TRUE);
    f->root = kh_test_certificate_make(&root);
    f->leaf = kh_test_certificate_make(&leaf);
    kh_test_certificate_clear(&root);
    kh_test_certificate_clear(&leaf);
    append_pem(pem, f->root);
    append_pem(pem, f->leaf);
    f->pem = g_string_free(pem, FALSE);
    f->folder = g_dir_make_tmp("kh-certs-XXXXXX", NULL);
}

static void
tear_down(Fixture *f, gconstpointer keys)
{
    g_autoptr(GDir) dir = g_dir_open(f->folder, 0, NULL);
    const char *name;

    while ((name = g_dir_read_name(dir)) != NULL) {
        g_autofree char *path = g_build_filename(f->folder, name, NULL);

        g_remove(path);
    }
    g_rmdir(f->folder);
    g_free(f->folder);
    g_free(f->pem);
    g_bytes_unref(f->root);
    g_bytes_unref(f->leaf);
}

static void
write_file(Fixture *f, const char *name, gconstpointer data, gsize length)
{
    g_autofree char *path = g_build_filename(f->folder, name, NULL);

    g_assert_true(g_file_set_contents(path, data, (gssize)length, NULL));
}

static void
write_der(Fixture *f, const char *name, GBytes *der)
{
    write_file(f, name, g_bytes_get_data(der, NULL), g_bytes_get_size(der));
}

/* Any names, DER and PEM, one file with several, one certificate twice. */
static void
folder(Fixture *f, gconstpointer keys)
{
    g_autoptr(KhCertificates) certificates = kh_certificates_new();
    g_autoptr(GError) error = NULL;

    write_der(f, "z", f->root);
    write_file(f, "bundle", f->pem, strlen(f->pem));
    g_assert_true(kh_certificates_add_folder(certificates, f->folder, &error));
    g_assert_no_error(error);
    g_assert_cmpuint(kh_certificates_get_length(certificates), ==, 2);
    g_assert_cmpint(kh_certificates_get(certificates, 0)->role, ==, KH_ROLE_ARK);
    g_assert_cmpint(kh_certificates_get(certificates, 0)->product, ==, KH_PRODUCT_GENOA);
    g_assert_cmpint(kh_certificates_get(certificates, 1)->role, ==, KH_ROLE_VLEK);
    g_assert_cmpuint(kh_certificates_get_ignored(certificates)->len, ==, 0);
}

/* Whatever else lies there is left out, and told. */
static void
strange_files(Fixture *f, gconstpointer keys)
{
    g_autoptr(KhCertificates) certificates = kh_certificates_new();
    g_autofree guint8 *large = g_malloc0(KH_CERTIFICATE_FILE_MAX + 1);
    g_autofree char *fifo = g_build_filename(f->folder, "fifo", NULL);
    g_autofree char *link = g_build_filename(f->folder, "link", NULL);
    g_autofree char *sub = g_build_filename(f->folder, "sub", NULL);
    g_autofree char *cut = g_strndup(f->pem, strlen(f->pem) - 200);
    g_autoptr(GError) error = NULL;
    const GPtrArray *ignored;

    write_der(f, "good", f->leaf);
    write_file(f, "empty", "", 0);
    write_file(f, "large", large, KH_CERTIFICATE_FILE_MAX + 1);
    write_file(f, "text\033[2J", "hello", 5);
    write_file(f, "cut", cut, strlen(cut));
    g_assert_cmpint(mkfifo(fifo, 0600), ==, 0);
    g_assert_cmpint(symlink("/nonexistent", link), ==, 0);
    g_assert_cmpint(g_mkdir(sub, 0700), ==, 0);
    g_assert_true(kh_certificates_add_folder(certificates, f->folder, &error));
    g_assert_no_error(error);
    ignored = kh_certificates_get_ignored(certificates);
    g_assert_cmpuint(ignored->len, ==, 7);
    for (guint i = 0; i < ignored->len; i++)
        g_assert_null(strchr(ignored->pdata[i], '\033'));
}

static void
too_many(Fixture *f, gconstpointer keys)
{
    g_autoptr(KhCertificates) certificates = kh_certificates_new();
    g_autoptr(GError) many = NULL;
    g_autoptr(GError) missing = NULL;

    for (int i = 0; i <= KH_CERTIFICATE_FILES_MAX; i++) {
        g_autofree char *name = g_strdup_printf("%d", i);

        write_file(f, name, "x", 1);
    }
    g_assert_false(kh_certificates_add_folder(certificates, f->folder, &many));
    g_assert_error(many, KH_ERROR, KH_ERROR_LIMIT_EXCEEDED);
    g_assert_false(kh_certificates_add_folder(certificates, "/nonexistent/x", &missing));
    g_assert_error(missing, KH_ERROR, KH_ERROR_NOT_FOUND);
}

/* One file with more certificates than there may be. */
static void
too_many_in_one(Fixture *f, gconstpointer data)
{
    const KhTestKeys *keys = data;
    g_autoptr(KhCertificates) certificates = kh_certificates_new();
    g_autoptr(GError) error = NULL;
    gboolean good = TRUE;

    for (int i = 0; good && i <= KH_CERTIFICATES_MAX; i++) {
        KhTestCertificate leaf;
        g_autoptr(GBytes) der = NULL;

        kh_test_leaf_init(&leaf, keys, KH_PRODUCT_MILAN, FALSE);
        leaf.serial = i;
        der = kh_test_certificate_make(&leaf);
        kh_test_certificate_clear(&leaf);
        good = kh_certificates_add(certificates, g_bytes_get_data(der, NULL), g_bytes_get_size(der),
                                   "x", &error);
    }
    g_assert_error(error, KH_ERROR, KH_ERROR_LIMIT_EXCEEDED);
    g_assert_cmpuint(kh_certificates_get_length(certificates), ==, KH_CERTIFICATES_MAX);
}

/* Cut short anywhere, or with a byte too many, it is none. */
static void
cut_short(Fixture *f, gconstpointer keys)
{
    gsize length;
    const guint8 *data = g_bytes_get_data(f->leaf, &length);
    g_autofree guint8 *longer = g_malloc0(length + 1);

    memcpy(longer, data, length);
    for (gsize n = 0; n <= length + 1; n++) {
        g_autoptr(KhCertificates) certificates = kh_certificates_new();
        g_autoptr(GError) error = NULL;

        if (n == length)
            continue;
        g_assert_false(kh_certificates_add(certificates, longer, n, "x", &error));
        g_assert_error(error, KH_ERROR, KH_ERROR_FAILED);
    }
}

static void
roles(Fixture *f, gconstpointer data)
{
    static const struct {
        const char *name;
        KhRole role;
        KhProduct product;
    } rows[] = {
        {"ARK-Milan", KH_ROLE_ARK, KH_PRODUCT_MILAN},
        {"SEV-Turin", KH_ROLE_ASK, KH_PRODUCT_TURIN},
        {"SEV-VLEK-Turin", KH_ROLE_ASVK, KH_PRODUCT_TURIN},
        {"SEV-VCEK", KH_ROLE_VCEK, KH_PRODUCT_UNKNOWN},
        {"SEV-VLEK", KH_ROLE_VLEK, KH_PRODUCT_UNKNOWN},
        {"SEV-VCEK-Milan", KH_ROLE_ASK, KH_PRODUCT_UNKNOWN},
        {"SEV-Rome", KH_ROLE_ASK, KH_PRODUCT_UNKNOWN},
        {"SEV", KH_ROLE_OTHER, KH_PRODUCT_UNKNOWN},
        {"ARK-", KH_ROLE_OTHER, KH_PRODUCT_UNKNOWN},
    };

    for (guint i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(KhCertificates) certificates = kh_certificates_new();
        KhTestCertificate leaf;
        g_autoptr(GBytes) der = NULL;

        kh_test_leaf_init(&leaf, data, KH_PRODUCT_MILAN, FALSE);
        g_free(leaf.common_name);
        leaf.common_name = g_strdup(rows[i].name);
        der = kh_test_certificate_make(&leaf);
        kh_test_certificate_clear(&leaf);
        g_assert_true(kh_certificates_add(certificates, g_bytes_get_data(der, NULL),
                                          g_bytes_get_size(der), "x", NULL));
        g_assert_cmpint(kh_certificates_get(certificates, 0)->role, ==, rows[i].role);
        g_assert_cmpint(kh_certificates_get(certificates, 0)->product, ==, rows[i].product);
    }
}

#define ADD(path, function) g_test_add(path, Fixture, &keys, set_up, function, tear_down)

int
main(int argc, char **argv)
{
    KhTestKeys keys;
    int result;

    g_test_init(&argc, &argv, NULL);
    kh_test_keys_make(&keys);
    ADD("/certificates/folder", folder);
    ADD("/certificates/strange-files", strange_files);
    ADD("/certificates/too-many", too_many);
    ADD("/certificates/too-many-in-one", too_many_in_one);
    ADD("/certificates/cut-short", cut_short);
    ADD("/certificates/roles", roles);
    result = g_test_run();
    kh_test_keys_clear(&keys);
    return result;
}
