/* SPDX-License-Identifier: MIT */
/*
 * A processor for tests: root, intermediate and chip certificates with AMD's names, extensions
 * and serial number 0, a revocation list, and reports that the chip's key has signed. Nothing
 * of it is anybody's secret: keys are made anew each time.
 */
#pragma once

#include "report.h"
#include "openssl-autoptr.h"

G_BEGIN_DECLS

/* 2025-01-01, from which on the certificates are valid for ten years. */
#define KH_TEST_BEGIN G_GINT64_CONSTANT(1735689600)
#define KH_TEST_YEAR (365 * 24 * 60 * 60)

/* The RSA keys of root and intermediate, and two of chips. */
typedef struct {
    EVP_PKEY *root, *intermediate, *chip, *stranger;
} KhTestKeys;

typedef struct {
    char *oid;
    GBytes *value;
    gboolean critical;
} KhTestExtension;

/* What a certificate is made of; every part may be changed before it is. */
typedef struct {
    char *common_name, *issuer;
    const char *organization;
    EVP_PKEY *key, *signer;
    glong serial;
    long version; /* 2 is X.509 version 3 */
    gint64 not_before, not_after;
    gboolean authority; /* with what an authority's has */
    char *crl_address;  /* of an authority; NULL: none */
    int salt;
    const EVP_MD *hash, *mask; /* of the signature, and of its MGF1 */
    gboolean pkcs1;            /* signed in the old way */
    GPtrArray *extensions;     /* of KhTestExtension */
} KhTestCertificate;

typedef struct {
    char *issuer;
    EVP_PKEY *signer;
    gint64 last_update, next_update; /* 0: none */
    glong revoked;                   /* a serial number; 0: none */
    gboolean delta;                  /* with the mark of a list of changes */
    gboolean unreadable;             /* its first time is in a 13th month */
} KhTestCrl;

void kh_test_keys_make(KhTestKeys *keys);
void kh_test_keys_clear(KhTestKeys *keys);

/* As AMD makes them for @product; the kind of leaf that @vlek says. */
void kh_test_root_init(KhTestCertificate *self, const KhTestKeys *keys, KhProduct product);
void kh_test_intermediate_init(KhTestCertificate *self, const KhTestKeys *keys, KhProduct product,
                               gboolean vlek);
void kh_test_leaf_init(KhTestCertificate *self, const KhTestKeys *keys, KhProduct product,
                       gboolean vlek);
void kh_test_certificate_clear(KhTestCertificate *self);

/* Replaces the extension, takes it away (@value NULL), or adds one more. */
void kh_test_extension_set(KhTestCertificate *self, const char *oid, gconstpointer value,
                           gsize length);
void kh_test_extension_add(KhTestCertificate *self, const char *oid, gconstpointer value,
                           gsize length);

/* DER; transfer full. */
GBytes *kh_test_certificate_make(const KhTestCertificate *self);

void kh_test_crl_init(KhTestCrl *self, const KhTestKeys *keys, KhProduct product);
/* DER; transfer full. */
GBytes *kh_test_crl_make(const KhTestCrl *self);

/*
 * A report of @version that the leaf of kh_test_leaf_init() belongs to, not signed yet; version 2
 * to 5.
 */
void kh_test_report_init(guint8 raw[KH_REPORT_SIZE], guint32 version, KhProduct product,
                         gboolean vlek);

/* Signs what stands in @raw. */
void kh_test_report_sign(guint8 raw[KH_REPORT_SIZE], EVP_PKEY *key);

G_END_DECLS
