/* SPDX-License-Identifier: MIT */
/*
 * A folder of files that were fetched and verified. Used by the key service's client, in the
 * command line: it reads and writes at once, without a thread.
 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

typedef struct _KhCertificateCache KhCertificateCache;

/*
 * katana-hypervisor in XDG_CACHE_HOME, and @below (or NULL) in it. A relative XDG_CACHE_HOME counts
 * as none (XDG Base Directory Specification 0.8, "Basics"). Transfer full.
 */
char *kh_certificate_cache_place(const char *below);

/* In @folder, which is made when it is needed; NULL: kh_certificate_cache_place(NULL). */
KhCertificateCache *kh_certificate_cache_new(const char *folder);
void kh_certificate_cache_free(KhCertificateCache *cache);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(KhCertificateCache, kh_certificate_cache_free)

const char *kh_certificate_cache_get_folder(const KhCertificateCache *cache);

/* NULL if there is no such file, or none that could have been put there. Transfer full. */
GBytes *kh_certificate_cache_get(KhCertificateCache *cache, const char *name);

/* Replaces the file at once or not at all. KH_ERROR_FAILED names the folder. */
gboolean kh_certificate_cache_put(KhCertificateCache *cache, const char *name, GBytes *bytes,
                                  GError **error);

/*
 * Keeps other processes from fetching at the same time. FALSE if one does; TRUE too where the
 * folder cannot be had, for then there is nothing to share.
 */
gboolean kh_certificate_cache_try_lock(KhCertificateCache *cache);
void kh_certificate_cache_unlock(KhCertificateCache *cache);

G_END_DECLS
