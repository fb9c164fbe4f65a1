/* SPDX-License-Identifier: MIT */
/*
 * A text buffer that grows up to a bound, and the monotonic clock. Used by every part of the
 * stand-in.
 */
#ifndef STANDIN_BUF_H
#define STANDIN_BUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Zero-initialized but for max it is ready to use. failed: the bound was reached or memory
 * ran out, and what was added since is lost. */
struct buf {
    char *data;
    size_t len;
    size_t cap;
    size_t max;
    bool failed;
};

void buf_add(struct buf *buf, const char *data, size_t len);
void buf_puts(struct buf *buf, const char *text);
void buf_printf(struct buf *buf, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Removes the first len bytes. */
void buf_drop(struct buf *buf, size_t len);
void buf_free(struct buf *buf);

/* Milliseconds of the monotonic clock. */
int64_t now_ms(void);

/* Prints one line to the console, whole, with the stand-in's prefix. */
void say(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
