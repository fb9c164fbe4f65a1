/* SPDX-License-Identifier: MIT */
/* Bounded queues of bytes for descriptors that never block. */
#include "shim-buffer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static KhShimIo
outcome(ssize_t n)
{
    if (n > 0)
        return KH_SHIM_IO_SOME;
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return KH_SHIM_IO_LATER;
    return KH_SHIM_IO_ENDED;
}

bool
kh_shim_buffer_init(KhShimBuffer *buffer, size_t capacity)
{
    *buffer = (KhShimBuffer){.data = malloc(capacity), .capacity = capacity};
    return buffer->data != NULL;
}

void
kh_shim_buffer_clear(KhShimBuffer *buffer)
{
    free(buffer->data);
    *buffer = (KhShimBuffer){0};
}

void
kh_shim_buffer_append(KhShimBuffer *buffer, const char *data, size_t length)
{
    size_t room = buffer->capacity - buffer->length;
    size_t taken = length < room ? length : room;
    if (taken > 0)
        memcpy(buffer->data + buffer->length, data, taken);
    buffer->length += taken;
}

KhShimIo
kh_shim_read(int fd, char *data, size_t *length)
{
    ssize_t n = read(fd, data, *length);
    KhShimIo result = outcome(n);
    *length = n > 0 ? n : 0;
    return result;
}

KhShimIo
kh_shim_buffer_read(KhShimBuffer *buffer, int fd, size_t limit)
{
    if (buffer->length >= limit)
        return KH_SHIM_IO_LATER;
    size_t length = limit - buffer->length;
    KhShimIo result = kh_shim_read(fd, buffer->data + buffer->length, &length);
    buffer->length += length;
    return result;
}

KhShimIo
kh_shim_buffer_write(KhShimBuffer *buffer, int fd, size_t length)
{
    if (length == 0)
        return KH_SHIM_IO_LATER;
    ssize_t n = write(fd, buffer->data, length);
    KhShimIo result = outcome(n);
    if (n > 0) {
        buffer->length -= n;
        memmove(buffer->data, buffer->data + n, buffer->length);
    }
    return result;
}
