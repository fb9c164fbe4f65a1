/* SPDX-License-Identifier: MIT */
/* Hex digits, little-endian numbers and bounded files; see bytes.h. */
#include "bytes.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "auto-fd.h"
#include "error.h"
#include "names.h"

#define SHOWN_MAX 80

char *
kh_bytes_to_hex(const guint8 *data, gsize length)
{
    GString *hex = g_string_sized_new(2 * length + 1);

    for (gsize i = 0; i < length; i++)
        g_string_append_printf(hex, "%02x", data[i]);
    return g_string_free(hex, FALSE);
}

gboolean
kh_bytes_from_hex(const char *text, const char *what, guint8 *data, gsize length, GError **error)
{
    const char *digits = g_str_has_prefix(text, "0x") ? text + 2 : text;
    gsize n = strnlen(digits, 2 * length + 1);
    g_autofree char *shown = NULL;

    for (gsize i = 0; i < n && n == 2 * length; i++) {
        if (!g_ascii_isxdigit(digits[i]))
            n = 0;
        else if (i % 2 == 1)
            data[i / 2] = (guint8)(g_ascii_xdigit_value(digits[i - 1]) * 16 +
                                   g_ascii_xdigit_value(digits[i]));
    }
    if (n == 2 * length)
        return TRUE;
    shown = kh_text_sanitize(text, SHOWN_MAX);
    return kh_error_set(error, KH_ERROR_INVALID_ARGUMENT,
                        "%s is \"%s\"; it must be %" G_GSIZE_FORMAT " hex digits", what, shown,
                        2 * length);
}

gboolean
kh_bytes_are_zero(const guint8 *data, gsize length)
{
    for (gsize i = 0; i < length; i++)
        if (data[i] != 0)
            return FALSE;
    return TRUE;
}

guint16
kh_bytes_read16(const guint8 *data)
{
    guint16 number;

    memcpy(&number, data, sizeof number);
    return GUINT16_FROM_LE(number);
}

guint32
kh_bytes_read32(const guint8 *data)
{
    guint32 number;

    memcpy(&number, data, sizeof number);
    return GUINT32_FROM_LE(number);
}

guint64
kh_bytes_read64(const guint8 *data)
{
    guint64 number;

    memcpy(&number, data, sizeof number);
    return GUINT64_FROM_LE(number);
}

gssize
kh_bytes_read_fd(int fd, guint8 *data, gsize room)
{
    gsize have = 0;
    ssize_t n;

    while (have < room && (n = read(fd, data + have, room - have)) != 0) {
        if (n < 0 && errno != EINTR)
            return -1;
        have += n > 0 ? (gsize)n : 0;
    }
    return (gssize)have;
}

/* Opened without waiting for a FIFO's writer. */
static int
open_file(const char *path, gboolean regular)
{
    g_auto(KhFd) fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | (regular ? O_NONBLOCK : 0));
    struct stat info;

    if (fd < 0)
        return -1;
    if (fstat(fd, &info) == 0 && !S_ISDIR(info.st_mode) && (!regular || S_ISREG(info.st_mode)))
        return g_steal_fd(&fd);
    errno = EINVAL;
    return -1;
}

GBytes *
kh_bytes_read_file(const char *path, gsize max, gboolean regular, GError **error)
{
    g_autofree guint8 *data = g_malloc(max + 1);
    g_auto(KhFd) fd = open_file(path, regular);
    gssize have = fd < 0 ? -1 : kh_bytes_read_fd(fd, data, max + 1);

    if (have >= 0)
        return g_bytes_new_take(g_steal_pointer(&data), (gsize)have);
    kh_error_set(error, errno == ENOENT ? KH_ERROR_NOT_FOUND : KH_ERROR_FAILED,
                 "%s cannot be read: %s", path,
                 errno == EINVAL ? "it is not a file" : g_strerror(errno));
    return NULL;
}
