/* SPDX-License-Identifier: MIT */
/*
 * The certificates that somebody handed over, trusted by nobody yet: parsed, bounded, and
 * sorted into roles by their names. Used by the CLI and the key service's client to collect
 * them, by the chain to choose among them.
 */
#pragma once

#include "anchors.h"
#include "openssl-autoptr.h"
#include "product.h"

G_BEGIN_DECLS

#define KH_CERTIFICATE_FILE_MAX (64 * 1024)
#define KH_CERTIFICATE_FILES_MAX 64
#define KH_CERTIFICATES_MAX 64

/* What a certificate says that it is, by its common name. */
typedef enum {
    KH_ROLE_OTHER,
    KH_ROLE_ARK,  /* ARK-<P>, the root */
    KH_ROLE_ASK,  /* SEV-<P>, above a VCEK */
    KH_ROLE_ASVK, /* SEV-VLEK-<P>, above a VLEK */
    KH_ROLE_VCEK,
    KH_ROLE_VLEK,
} KhRole;

typedef struct {
    X509 *x509;
    guint8 sha256[KH_FINGERPRINT_SIZE]; /* of its DER */
    char *origin;                       /* the file's name, harmless for a terminal */
    char *subject;                      /* harmless as well */
    KhRole role;
    KhProduct product; /* of the common name; KH_PRODUCT_UNKNOWN for leaves */
} KhCertificate;

typedef struct _KhCertificates KhCertificates;

/* For PEM_read_bio_…: nothing of AMD's is encrypted, and nobody is asked. */
int kh_certificate_no_password(char *buffer, int size, int writing, void *data);

KhCertificates *kh_certificates_new(void);
void kh_certificates_free(KhCertificates *certificates);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(KhCertificates, kh_certificates_free)

/*
 * Adds the certificates in @data, DER or one or several in PEM; one that is there already is
 * left out. KH_ERROR_FAILED for what holds none, KH_ERROR_LIMIT_EXCEEDED beyond the bounds;
 * @origin names it.
 */
gboolean kh_certificates_add(KhCertificates *certificates, const guint8 *data, gsize length,
                             const char *origin, GError **error);

/* Adds all of @from, as above. */
gboolean kh_certificates_add_from(KhCertificates *certificates, const KhCertificates *from,
                                  GError **error);

/*
 * Adds those of each file in the folder @path, in the order of their names. What is none is
 * left out, and told by kh_certificates_get_ignored(). KH_ERROR_NOT_FOUND, KH_ERROR_FAILED for
 * the folder, KH_ERROR_LIMIT_EXCEEDED beyond 64 files or certificates.
 */
gboolean kh_certificates_add_folder(KhCertificates *certificates, const char *path, GError **error);

guint kh_certificates_get_length(const KhCertificates *certificates);
const KhCertificate *kh_certificates_get(const KhCertificates *certificates, guint i);

/* Why files of a folder were left out, one sentence each, of char *. */
const GPtrArray *kh_certificates_get_ignored(const KhCertificates *certificates);

/* Whether @issuer's subject is, byte for byte, the issuer that @certificate names. */
gboolean kh_certificate_names_issuer(const KhCertificate *certificate, const KhCertificate *issuer);

/* @name as one line, harmless for a terminal; transfer full. */
char *kh_certificate_format_name(const X509_NAME *name);

/* "ARK", "ASK", "ASVK", "VCEK", "VLEK", "other"; static. */
const char *kh_role_name(KhRole role);

/* "SEV-VLEK-Milan": the common name that @role has for @product; transfer full. */
char *kh_role_common_name(KhRole role, KhProduct product);

G_END_DECLS
