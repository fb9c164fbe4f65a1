/* SPDX-License-Identifier: MIT */
/* See buf.h. */
#include "buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static bool
buf_reserve(struct buf *buf, size_t more)
{
    if (buf->failed || more > buf->max - buf->len) {
        buf->failed = true;
        return false;
    }
    if (buf->len + more <= buf->cap)
        return true;

    size_t cap = buf->cap > 0 ? buf->cap : 512;

    while (cap < buf->len + more)
        cap *= 2;

    char *data = realloc(buf->data, cap);

    if (data == NULL) {
        buf->failed = true;
        return false;
    }
    buf->data = data;
    buf->cap = cap;
    return true;
}

void
buf_add(struct buf *buf, const char *data, size_t len)
{
    if (len == 0 || !buf_reserve(buf, len))
        return;
    memcpy(buf->data + buf->len, data, len);
    buf->len += len;
}

void
buf_puts(struct buf *buf, const char *text)
{
    buf_add(buf, text, strlen(text));
}

void
buf_printf(struct buf *buf, const char *format, ...)
{
    char text[1024];
    va_list args;

    va_start(args, format);
    int len = vsnprintf(text, sizeof text, format, args);
    va_end(args);

    if (len < 0 || (size_t)len >= sizeof text)
        buf->failed = true;
    else
        buf_add(buf, text, (size_t)len);
}

void
buf_drop(struct buf *buf, size_t len)
{
    if (len > buf->len)
        len = buf->len;
    if (len > 0)
        memmove(buf->data, buf->data + len, buf->len - len);
    buf->len -= len;
}

void
buf_free(struct buf *buf)
{
    free(buf->data);
    *buf = (struct buf){.max = buf->max};
}

int64_t
now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

void
say(const char *format, ...)
{
    char line[1024] = "stand-in: ";
    size_t prefix = strlen(line);
    va_list args;

    va_start(args, format);
    vsnprintf(line + prefix, sizeof line - prefix - 1, format, args);
    va_end(args);
    strcat(line, "\n");

    /* A console that takes no line is no reason to stop serving. */
    if (write(STDOUT_FILENO, line, strlen(line)) < 0)
        return;
}
