/* SPDX-License-Identifier: MIT */
/* Bounded reading and hashing of foreign files; see input-file.h. */
#include "input-file.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "auto-fd.h"
#include "bytes.h"
#include "error.h"
#include "openssl-autoptr.h"
#include "sizes.h"

/* Large enough for few system calls, small enough to stay in the processor's cache. */
#define CHUNK (128 * 1024)

void
kh_file_hash_clear(KhFileHash *self)
{
    g_clear_pointer(&self->path, g_free);
    self->size = 0;
}

static gboolean
set_error(GError **error, KhError code, const char *what, const char *path, const char *found)
{
    g_autofree char *name = g_filename_display_name(path);

    return kh_error_set(error, code, "The %s %s %s", what, name, found);
}

static gboolean
is_dev_null(const struct stat *info)
{
    return S_ISCHR(info->st_mode) && info->st_rdev == makedev(1, 3);
}

static gboolean
check_kind(const struct stat *info, const char *what, const char *path, guint64 max, GError **error)
{
    g_autofree char *found = NULL, *limit = NULL;

    if (is_dev_null(info))
        return TRUE;
    if (!S_ISREG(info->st_mode))
        return set_error(error, KH_ERROR_NOT_SUPPORTED, what, path,
                         "is not a regular file; give one");
    if ((guint64)info->st_size <= max)
        return TRUE;
    limit = kh_size_format(max);
    found = g_strdup_printf("has %" G_GUINT64_FORMAT " bytes; at most %s are accepted",
                            (guint64)info->st_size, limit);
    return set_error(error, KH_ERROR_NOT_SUPPORTED, what, path, found);
}

/* Never waits for the other end of a pipe, never becomes a controlling terminal's. */
static int
open_checked(const char *path, int flags, const char *what, guint64 max, guint64 *size,
             GError **error)
{
    g_auto(KhFd) fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY | flags);
    g_autofree char *found = NULL;
    struct stat info;

    if (fd < 0 || fstat(fd, &info) < 0) {
        gboolean missing = errno == ENOENT || errno == ENOTDIR;

        found = g_strdup_printf("cannot be opened: %s", g_strerror(errno));
        set_error(error, missing ? KH_ERROR_NOT_FOUND : KH_ERROR_FAILED, what, path, found);
        return -1;
    }
    if (!check_kind(&info, what, path, max, error))
        return -1;
    *size = is_dev_null(&info) ? 0 : (guint64)info.st_size;
    return g_steal_fd(&fd);
}

/* Hashes until the end; the bytes, -1 and errno. Stops behind @size: the file grows. */
static gint64
pump(int fd, guint64 size, EVP_MD_CTX *context)
{
    g_autofree guint8 *buffer = g_malloc(CHUNK);
    guint64 total = 0;
    ssize_t n;

    while (total <= size && (n = read(fd, buffer, CHUNK)) != 0) {
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -1;
        if (!EVP_DigestUpdate(context, buffer, (gsize)n)) {
            errno = ENOTSUP;
            return -1;
        }
        total += (guint64)n;
    }
    return (gint64)total;
}

/* Whether @total bytes could be read (-1 and errno), and are all of @size. */
static gboolean
check_total(gint64 total, guint64 size, const char *what, const char *path, GError **error)
{
    g_autofree char *found = NULL;

    if (total < 0)
        found = g_strdup_printf("cannot be read: %s", g_strerror(errno));
    else if ((guint64)total != size)
        found = g_strdup("changed while it was being read; try again");
    if (found != NULL)
        set_error(error, KH_ERROR_FAILED, what, path, found);
    return found == NULL;
}

static GBytes *
read_file(const char *path, int flags, const char *what, guint64 max, GError **error)
{
    g_autofree guint8 *content = NULL;
    g_auto(KhFd) fd = -1;
    guint64 size;

    g_return_val_if_fail(max < G_MAXUINT, NULL);
    fd = open_checked(path, flags, what, max, &size, error);
    if (fd < 0)
        return NULL;
    /* One byte more, to see that it ends there. */
    content = g_malloc(size + 1);
    return check_total(kh_bytes_read_fd(fd, content, size + 1), size, what, path, error)
               ? g_bytes_new_take(g_steal_pointer(&content), size)
               : NULL;
}

GBytes *
kh_input_file_read(const char *path, const char *what, guint64 max, GError **error)
{
    return read_file(path, 0, what, max, error);
}

GBytes *
kh_input_file_read_own(const char *path, const char *what, guint64 max, GError **error)
{
    return read_file(path, O_NOFOLLOW, what, max, error);
}

static gboolean
no_sha256(GError **error)
{
    return kh_error_set(error, KH_ERROR_FAILED,
                        "libcrypto cannot compute SHA-256; look at its configuration");
}

gboolean
kh_input_file_hash(const char *path, const char *what, guint64 max, KhFileHash *hash,
                   GError **error)
{
    g_autoptr(EVP_MD_CTX) context = EVP_MD_CTX_new();
    g_auto(KhFd) fd = -1;

    if (context == NULL || !EVP_DigestInit_ex(context, EVP_sha256(), NULL))
        return no_sha256(error);
    fd = open_checked(path, 0, what, max, &hash->size, error);
    if (fd < 0 || !check_total(pump(fd, hash->size, context), hash->size, what, path, error))
        return FALSE;
    if (!EVP_DigestFinal_ex(context, hash->sha256, NULL))
        return no_sha256(error);
    g_free(hash->path);
    hash->path = g_strdup(path);
    return TRUE;
}

gboolean
kh_sha256(const void *bytes, gsize n, guint8 digest[KH_SHA256_SIZE], GError **error)
{
    return EVP_Digest(bytes, n, digest, NULL, EVP_sha256(), NULL) || no_sha256(error);
}
