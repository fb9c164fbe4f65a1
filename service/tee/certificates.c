/* SPDX-License-Identifier: MIT */
/* Certificates as they were handed over; see certificates.h. */
#include "certificates.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <string.h>

#include "auto-fd.h"
#include "bytes.h"
#include "error.h"
#include "names.h"

#define NAME_MAX_SHOWN 256

static const char pem_mark[] = "-----BEGIN CERTIFICATE-----";

struct _KhCertificates {
    GPtrArray *all;
    GPtrArray *ignored;
};

/* The start of a common name, and what it makes of a certificate; the longest first. */
static const struct {
    const char *prefix;
    KhRole role;
    gboolean has_product;
} roles[] = {
    {"SEV-VLEK-", KH_ROLE_ASVK, TRUE}, {"SEV-VCEK", KH_ROLE_VCEK, FALSE},
    {"SEV-VLEK", KH_ROLE_VLEK, FALSE}, {"ARK-", KH_ROLE_ARK, TRUE},
    {"SEV-", KH_ROLE_ASK, TRUE},
};

static void
free_certificate(gpointer data)
{
    KhCertificate *certificate = data;

    X509_free(certificate->x509);
    g_free(certificate->origin);
    g_free(certificate->subject);
    g_free(certificate);
}

KhCertificates *
kh_certificates_new(void)
{
    KhCertificates *certificates = g_new0(KhCertificates, 1);

    certificates->all = g_ptr_array_new_with_free_func(free_certificate);
    certificates->ignored = g_ptr_array_new_with_free_func(g_free);
    return certificates;
}

void
kh_certificates_free(KhCertificates *certificates)
{
    g_ptr_array_unref(certificates->all);
    g_ptr_array_unref(certificates->ignored);
    g_free(certificates);
}

char *
kh_certificate_format_name(const X509_NAME *name)
{
    g_autoptr(BIO) bio = BIO_new(BIO_s_mem());
    g_autofree char *text = NULL;
    char *data = NULL;
    long length;

    /* Escapes control characters, and whatever is not ASCII. */
    X509_NAME_print_ex(bio, name, 0, XN_FLAG_RFC2253 & ~XN_FLAG_DN_REV);
    length = BIO_get_mem_data(bio, &data);
    text = g_strndup(data, (gsize)CLAMP(length, 0, NAME_MAX_SHOWN));
    ERR_clear_error();
    return kh_text_sanitize(text, NAME_MAX_SHOWN);
}

/* The only common name, NULL where there is none, several, or one with a NUL in it. */
static char *
common_name(const X509_NAME *name)
{
    int index = X509_NAME_get_index_by_NID(name, NID_commonName, -1);
    const ASN1_STRING *value;

    if (index < 0 || X509_NAME_get_index_by_NID(name, NID_commonName, index) >= 0)
        return NULL;
    value = X509_NAME_ENTRY_get_data(X509_NAME_get_entry(name, index));
    if (memchr(ASN1_STRING_get0_data(value), 0, (size_t)ASN1_STRING_length(value)) != NULL)
        return NULL;
    return g_strndup((const char *)ASN1_STRING_get0_data(value), (gsize)ASN1_STRING_length(value));
}

static void
find_role(KhCertificate *certificate)
{
    g_autofree char *name = common_name(X509_get_subject_name(certificate->x509));

    for (guint i = 0; name != NULL && i < G_N_ELEMENTS(roles); i++) {
        const char *rest = name + strlen(roles[i].prefix);

        if (!g_str_has_prefix(name, roles[i].prefix) || (rest[0] != '\0') != roles[i].has_product)
            continue;
        certificate->role = roles[i].role;
        if (roles[i].has_product)
            certificate->product = kh_product_from_name(rest);
        return;
    }
}

static gboolean
contains(const KhCertificates *certificates, const guint8 *sha256)
{
    for (guint i = 0; i < certificates->all->len; i++)
        if (memcmp(kh_certificates_get(certificates, i)->sha256, sha256, KH_FINGERPRINT_SIZE) == 0)
            return TRUE;
    return FALSE;
}

/* Takes @x509. */
static gboolean
append(KhCertificates *certificates, X509 *taken, const char *origin, GError **error)
{
    g_autoptr(X509) x509 = taken;
    KhCertificate *certificate;
    guint8 sha256[EVP_MAX_MD_SIZE];

    if (X509_digest(x509, EVP_sha256(), sha256, NULL) != 1)
        return kh_error_set(error, KH_ERROR_FAILED, "%s cannot be hashed", origin);
    if (contains(certificates, sha256))
        return TRUE;
    if (certificates->all->len == KH_CERTIFICATES_MAX)
        return kh_error_set(
            error, KH_ERROR_LIMIT_EXCEEDED,
            "There are more than %d certificates; take away those that do not belong to "
            "the report",
            KH_CERTIFICATES_MAX);
    certificate = g_new0(KhCertificate, 1);
    memcpy(certificate->sha256, sha256, KH_FINGERPRINT_SIZE);
    certificate->origin = kh_text_sanitize(origin, NAME_MAX_SHOWN);
    certificate->subject = kh_certificate_format_name(X509_get_subject_name(x509));
    certificate->x509 = g_steal_pointer(&x509);
    find_role(certificate);
    g_ptr_array_add(certificates->all, certificate);
    return TRUE;
}

static gboolean
refuse(const char *origin, const char *what, GError **error)
{
    ERR_clear_error();
    return kh_error_set(error, KH_ERROR_FAILED, "%s %s", origin, what);
}

int
kh_certificate_no_password(char *buffer, int size, int writing, void *data)
{
    return -1;
}

static gboolean
add_pem(KhCertificates *certificates, const guint8 *data, gsize length, const char *origin,
        GError **error)
{
    g_autoptr(BIO) bio = BIO_new_mem_buf(data, (int)length);
    guint found = 0;
    X509 *x509;

    while ((x509 = PEM_read_bio_X509(bio, NULL, kh_certificate_no_password, NULL)) != NULL) {
        if (!append(certificates, x509, origin, error))
            return FALSE;
        found++;
    }
    /* The end is reached where no further block begins. */
    if (ERR_GET_REASON(ERR_peek_last_error()) != PEM_R_NO_START_LINE || found == 0)
        return refuse(origin, "has a certificate in PEM that is damaged", error);
    ERR_clear_error();
    return TRUE;
}

static gboolean
add_der(KhCertificates *certificates, const guint8 *data, gsize length, const char *origin,
        GError **error)
{
    const guint8 *end = data;
    g_autoptr(X509) x509 = d2i_X509(NULL, &end, (long)length);

    if (x509 == NULL)
        return refuse(origin, "is not a certificate", error);
    if (end != data + length)
        return refuse(origin, "has bytes after its certificate", error);
    return append(certificates, g_steal_pointer(&x509), origin, error);
}

gboolean
kh_certificates_add(KhCertificates *certificates, const guint8 *data, gsize length,
                    const char *origin, GError **error)
{
    gboolean good;

    if (length > KH_CERTIFICATE_FILE_MAX)
        return refuse(origin, "has more than 64 KiB; a certificate has less", error);
    if (length == 0)
        return refuse(origin, "is empty", error);
    if (g_strstr_len((const char *)data, (gssize)length, pem_mark) != NULL)
        good = add_pem(certificates, data, length, origin, error);
    else
        good = add_der(certificates, data, length, origin, error);
    ERR_clear_error();
    return good;
}

gboolean
kh_certificates_add_from(KhCertificates *certificates, const KhCertificates *from, GError **error)
{
    for (guint i = 0; i < kh_certificates_get_length(from); i++) {
        const KhCertificate *one = kh_certificates_get(from, i);
        guint8 *der = NULL;
        int length = i2d_X509(one->x509, &der);
        gboolean good =
            length > 0 && kh_certificates_add(certificates, der, (gsize)length, one->origin, error);

        OPENSSL_free(der);
        if (length <= 0)
            return refuse(one->origin, "cannot be written", error);
        if (!good)
            return FALSE;
    }
    return TRUE;
}

static int
by_name(gconstpointer a, gconstpointer b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* NULL and @error, which GLib would word without the name of a folder that is not UTF-8. */
static GDir *
open_folder(const char *path, GError **error)
{
    g_auto(KhFd) fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int number = fd < 0 ? errno : EIO;
    g_autofree char *shown = NULL;
    GDir *dir = fd < 0 ? NULL : g_dir_open(path, 0, NULL);

    if (dir != NULL)
        return dir;
    shown = g_filename_display_name(path);
    g_set_error(error, KH_ERROR, number == ENOENT ? KH_ERROR_NOT_FOUND : KH_ERROR_FAILED,
                "The folder of certificates %s cannot be read: %s", shown, g_strerror(number));
    return NULL;
}

/* The names in @path, sorted, at most so many. */
static GPtrArray *
list_folder(const char *path, GError **error)
{
    g_autoptr(GDir) dir = open_folder(path, error);
    g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
    const char *name;

    if (dir == NULL)
        return NULL;
    while ((name = g_dir_read_name(dir)) != NULL) {
        if (names->len == KH_CERTIFICATE_FILES_MAX) {
            g_set_error(error, KH_ERROR, KH_ERROR_LIMIT_EXCEEDED,
                        "%s holds more than %d files; it should hold certificates only", path,
                        KH_CERTIFICATE_FILES_MAX);
            return NULL;
        }
        g_ptr_array_add(names, g_strdup(name));
    }
    g_ptr_array_sort(names, by_name);
    return g_steal_pointer(&names);
}

/* FALSE for a failure that is the folder's. */
static gboolean
add_file(KhCertificates *certificates, const char *folder, const char *name, GError **error)
{
    g_autofree char *path = g_build_filename(folder, name, NULL);
    g_autofree char *shown = kh_text_sanitize(name, NAME_MAX_SHOWN);
    g_autoptr(GError) failure = NULL;
    g_autoptr(GBytes) bytes = kh_bytes_read_file(path, KH_CERTIFICATE_FILE_MAX, TRUE, &failure);
    gconstpointer data;
    gsize length;

    if (bytes != NULL) {
        data = g_bytes_get_data(bytes, &length);
        if (kh_certificates_add(certificates, data, length, shown, &failure))
            return TRUE;
    }
    if (g_error_matches(failure, KH_ERROR, KH_ERROR_LIMIT_EXCEEDED)) {
        g_propagate_error(error, g_steal_pointer(&failure));
        return FALSE;
    }
    g_ptr_array_add(certificates->ignored, kh_text_sanitize(failure->message, 2 * NAME_MAX_SHOWN));
    return TRUE;
}

gboolean
kh_certificates_add_folder(KhCertificates *certificates, const char *path, GError **error)
{
    g_autoptr(GPtrArray) names = list_folder(path, error);

    for (guint i = 0; names != NULL && i < names->len; i++)
        if (!add_file(certificates, path, names->pdata[i], error))
            return FALSE;
    return names != NULL;
}

guint
kh_certificates_get_length(const KhCertificates *certificates)
{
    return certificates->all->len;
}

const KhCertificate *
kh_certificates_get(const KhCertificates *certificates, guint i)
{
    return certificates->all->pdata[i];
}

const GPtrArray *
kh_certificates_get_ignored(const KhCertificates *certificates)
{
    return certificates->ignored;
}

gboolean
kh_certificate_names_issuer(const KhCertificate *certificate, const KhCertificate *issuer)
{
    const unsigned char *named = NULL, *subject = NULL;
    size_t named_length = 0, subject_length = 0;

    if (!X509_NAME_get0_der(X509_get_issuer_name(certificate->x509), &named, &named_length) ||
        !X509_NAME_get0_der(X509_get_subject_name(issuer->x509), &subject, &subject_length))
        return FALSE;
    return named_length == subject_length && memcmp(named, subject, named_length) == 0;
}

const char *
kh_role_name(KhRole role)
{
    static const char *const names[] = {"other", "ARK", "ASK", "ASVK", "VCEK", "VLEK"};

    return names[role];
}

char *
kh_role_common_name(KhRole role, KhProduct product)
{
    for (guint i = 0; i < G_N_ELEMENTS(roles); i++)
        if (roles[i].role == role)
            return g_strconcat(roles[i].prefix,
                               roles[i].has_product ? kh_product_name(product) : NULL, NULL);
    return g_strdup("");
}
