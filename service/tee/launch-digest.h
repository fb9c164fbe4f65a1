/* SPDX-License-Identifier: MIT */
/*
 * The launch digest of SEV-SNP: each page that the monitor adds extends it, in the order in
 * which it does. Used by firmware.c, measurement.c and mismatch-search.c.
 */
#pragma once

#include <glib.h>

#include "vmsa.h"

G_BEGIN_DECLS

#define KH_LAUNCH_DIGEST_SIZE 48

/* PAGE_TYPE of SNP_LAUNCH_UPDATE (SEV-SNP firmware ABI, AMD publication 56860). */
typedef enum {
    KH_PAGE_NORMAL = 1,
    KH_PAGE_VMSA = 2,
    KH_PAGE_ZERO = 3,
    KH_PAGE_UNMEASURED = 4,
    KH_PAGE_SECRETS = 5,
    KH_PAGE_CPUID = 6,
} KhPageType;

typedef struct _KhLaunchDigest KhLaunchDigest;

/* A digest of no page yet. KH_ERROR_FAILED: libcrypto has no SHA-384. */
KhLaunchDigest *kh_launch_digest_new(GError **error);
void kh_launch_digest_free(KhLaunchDigest *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(KhLaunchDigest, kh_launch_digest_free)

/* Goes on from @value, as it was after earlier pages. */
void kh_launch_digest_set(KhLaunchDigest *self, const guint8 value[KH_LAUNCH_DIGEST_SIZE]);

/* The digest so far; owned by @self, changed by the next page. */
const guint8 *kh_launch_digest_peek(KhLaunchDigest *self);

/* Adds @size bytes, whole pages, as normal ones from the guest's address @gpa on. */
void kh_launch_digest_add_data(KhLaunchDigest *self, const guint8 *data, gsize size, guint64 gpa);

/* Adds the pages from @gpa on whose content is not measured. */
void kh_launch_digest_add_blank(KhLaunchDigest *self, KhPageType type, guint64 size, guint64 gpa);

/* Adds a processor's page by its digest. */
void kh_launch_digest_add_vmsa(KhLaunchDigest *self, const guint8 contents[KH_LAUNCH_DIGEST_SIZE]);

/* The digest of one page's content. */
void kh_launch_digest_of_page(KhLaunchDigest *self, const guint8 page[KH_PAGE_SIZE],
                              guint8 digest[KH_LAUNCH_DIGEST_SIZE]);

/* Whether every hash so far succeeded; KH_ERROR_FAILED: no value is to be trusted. */
gboolean kh_launch_digest_check(KhLaunchDigest *self, GError **error);

G_END_DECLS
