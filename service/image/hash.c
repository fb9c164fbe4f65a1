/* SPDX-License-Identifier: MIT */
/* SHA-256; see hash.h. */
#include "hash.h"

#include <errno.h>
#include <openssl/evp.h>
#include <string.h>
#include <unistd.h>

#include "error.h"

#define CHUNK (256 * 1024)

G_DEFINE_AUTOPTR_CLEANUP_FUNC(EVP_MD_CTX, EVP_MD_CTX_free)

static char *
hex_of(EVP_MD_CTX *context)
{
    guint8 digest[EVP_MAX_MD_SIZE];
    GString *hex = g_string_new(NULL);
    guint length = 0;

    EVP_DigestFinal_ex(context, digest, &length);
    for (guint i = 0; i < length; i++)
        g_string_append_printf(hex, "%02x", digest[i]);
    return g_string_free(hex, FALSE);
}

char *
kh_hash_fd(int fd, guint64 *size, GError **error)
{
    g_autoptr(EVP_MD_CTX) context = EVP_MD_CTX_new();
    g_autofree guint8 *buffer = g_malloc(CHUNK);
    guint64 offset = 0;
    ssize_t n;

    EVP_DigestInit_ex(context, EVP_sha256(), NULL);
    while ((n = pread(fd, buffer, CHUNK, (off_t)offset)) != 0) {
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            g_set_error(error, KH_ERROR, KH_ERROR_FAILED, "cannot be read: %s", g_strerror(errno));
            return NULL;
        }
        EVP_DigestUpdate(context, buffer, (size_t)n);
        offset += (guint64)n;
    }
    *size = offset;
    return hex_of(context);
}

char *
kh_hash_text(const char *text)
{
    g_autoptr(EVP_MD_CTX) context = EVP_MD_CTX_new();

    EVP_DigestInit_ex(context, EVP_sha256(), NULL);
    EVP_DigestUpdate(context, text, strlen(text));
    return hex_of(context);
}
