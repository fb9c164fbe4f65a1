/* SPDX-License-Identifier: MIT */
/*
 * A bounded queue of bytes between two descriptors that never block. Used by the console
 * and the control relay.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

typedef struct {
    char *data;
    size_t capacity;
    size_t length;
} KhShimBuffer;

typedef enum {
    KH_SHIM_IO_SOME,  /* bytes went */
    KH_SHIM_IO_LATER, /* none now */
    KH_SHIM_IO_ENDED, /* never again */
} KhShimIo;

bool kh_shim_buffer_init(KhShimBuffer *buffer, size_t capacity);
void kh_shim_buffer_clear(KhShimBuffer *buffer);

/* Takes what there is room for; the rest is dropped. */
void kh_shim_buffer_append(KhShimBuffer *buffer, const char *data, size_t length);

/* Reads once, until the buffer holds `limit` bytes (at most its capacity). */
KhShimIo kh_shim_buffer_read(KhShimBuffer *buffer, int fd, size_t limit);

/* Writes once, the first `length` bytes at most. */
KhShimIo kh_shim_buffer_write(KhShimBuffer *buffer, int fd, size_t length);

/* Reads once into `data`; `*length` is room and then the number of bytes. */
KhShimIo kh_shim_read(int fd, char *data, size_t *length);
