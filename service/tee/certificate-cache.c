/* SPDX-License-Identifier: MIT */
/* The folder of what was verified; see certificate-cache.h. */
#include "certificate-cache.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "auto-fd.h"
#include "bytes.h"
#include "crl.h"
#include "error.h"
#include "folders.h"

#define FOLDER_MODE 0700
#define FILE_MODE 0600
#define LOCK_NAME "lock"

struct _KhCertificateCache {
    char *folder;
    int lock; /* -1: not held */
};

char *
kh_certificate_cache_place(const char *below)
{
    g_autofree char *caches = kh_folder_path(KH_FOLDER_CACHE);

    return g_build_filename(caches, "katana-hypervisor", below, NULL);
}

KhCertificateCache *
kh_certificate_cache_new(const char *folder)
{
    KhCertificateCache *cache = g_new0(KhCertificateCache, 1);

    cache->folder = folder != NULL ? g_strdup(folder) : kh_certificate_cache_place(NULL);
    cache->lock = -1;
    return cache;
}

void
kh_certificate_cache_free(KhCertificateCache *cache)
{
    if (cache == NULL)
        return;
    kh_certificate_cache_unlock(cache);
    g_free(cache->folder);
    g_free(cache);
}

const char *
kh_certificate_cache_get_folder(const KhCertificateCache *cache)
{
    return cache->folder;
}

static gboolean
is_usable(int fd, gsize *size)
{
    struct stat info;

    if (fstat(fd, &info) < 0 || !S_ISREG(info.st_mode) || info.st_uid != geteuid() ||
        info.st_size <= 0 || info.st_size > KH_CRL_SIZE_MAX) /* the largest there is */
        return FALSE;
    *size = (gsize)info.st_size;
    return TRUE;
}

static GBytes *
read_file(int fd)
{
    g_autofree guint8 *data = NULL;
    gsize size = 0;

    if (!is_usable(fd, &size))
        return NULL;
    data = g_malloc(size);
    return kh_bytes_read_fd(fd, data, size) == (gssize)size
               ? g_bytes_new_take(g_steal_pointer(&data), size)
               : NULL;
}

GBytes *
kh_certificate_cache_get(KhCertificateCache *cache, const char *name)
{
    g_autofree char *path = g_build_filename(cache->folder, name, NULL);
    g_auto(KhFd) fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);

    return fd < 0 ? NULL : read_file(fd);
}

static gboolean
make_folder(KhCertificateCache *cache)
{
    return g_mkdir_with_parents(cache->folder, FOLDER_MODE) == 0;
}

gboolean
kh_certificate_cache_put(KhCertificateCache *cache, const char *name, GBytes *bytes, GError **error)
{
    g_autofree char *path = g_build_filename(cache->folder, name, NULL);
    GError *failure = NULL;

    if (!make_folder(cache))
        return kh_error_set(error, KH_ERROR_FAILED, "The folder %s cannot be made: %s",
                            cache->folder, g_strerror(errno));
    if (g_file_set_contents_full(path, g_bytes_get_data(bytes, NULL),
                                 (gssize)g_bytes_get_size(bytes), G_FILE_SET_CONTENTS_CONSISTENT,
                                 FILE_MODE, &failure))
        return TRUE;
    g_propagate_error(error, kh_error_import(failure, KH_ERROR_FAILED, "The cache"));
    return FALSE;
}

gboolean
kh_certificate_cache_try_lock(KhCertificateCache *cache)
{
    g_autofree char *path = g_build_filename(cache->folder, LOCK_NAME, NULL);
    g_auto(KhFd) fd = -1;

    if (!make_folder(cache))
        return TRUE;
    fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY, FILE_MODE);
    if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) < 0 && errno == EWOULDBLOCK)
        return FALSE;
    cache->lock = g_steal_fd(&fd);
    return TRUE;
}

void
kh_certificate_cache_unlock(KhCertificateCache *cache)
{
    if (cache->lock >= 0)
        close(cache->lock);
    cache->lock = -1;
}
