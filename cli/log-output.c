/* SPDX-License-Identifier: MIT */
/* A log on stdout; see log-output.h. */
#include "log-output.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "write-all.h"

#define CHUNK 65536
/* CRs in a row of which a line end may still become. */
#define RETURNS_MAX 16

void
kh_log_output_init(KhLogOutput *self)
{
    memset(self, 0, sizeof *self);
    self->terminal = isatty(STDOUT_FILENO);
}

/* Whoever has made stdout may have set it to not block. 0, or an errno. */
static int
put(const char *text, gsize length)
{
    return kh_write_all(STDOUT_FILENO, text, length) == length ? 0 : errno;
}

static void
remember(KhLogOutput *self, const char *bytes, gsize length)
{
    gsize kept;

    if (length >= KH_LOG_TAIL) {
        bytes += length - KH_LOG_TAIL;
        length = KH_LOG_TAIL;
    }
    kept = MIN(self->tail_length, KH_LOG_TAIL - length);
    memmove(self->tail, self->tail + self->tail_length - kept, kept);
    memcpy(self->tail + kept, bytes, length);
    self->tail_length = kept + length;
}

static void
release_returns(KhLogOutput *self, GString *out)
{
    for (; self->returns > 0; self->returns--)
        g_string_append_c(out, '\r');
}

/* @bytes with LF for CR LF. */
static GString *
take_line_ends(KhLogOutput *self, const char *bytes, gsize length)
{
    GString *out = g_string_sized_new(length + RETURNS_MAX);

    for (gsize i = 0; i < length; i++) {
        if (bytes[i] == '\r' && self->returns < RETURNS_MAX) {
            self->returns++;
            continue;
        }
        if (bytes[i] == '\n')
            self->returns = 0;
        release_returns(self, out);
        g_string_append_c(out, bytes[i]);
    }
    return out;
}

static int
print(KhLogOutput *self, const GString *text)
{
    GString *harmless;
    int failure;

    if (!self->terminal || text->len == 0)
        return put(text->str, text->len);
    harmless = kh_harmless_text(&self->harmless, text->str, text->len);
    failure = put(harmless->str, harmless->len);
    g_string_free(harmless, TRUE);
    return failure;
}

int
kh_log_output_write(KhLogOutput *self, const char *bytes, gsize length)
{
    g_autoptr(GString) text = take_line_ends(self, bytes, length);

    remember(self, bytes, length);
    self->passed += length;
    return print(self, text);
}

void
kh_log_output_forget(KhLogOutput *self)
{
    self->tail_length = 0;
}

int
kh_log_output_end(KhLogOutput *self)
{
    g_autoptr(GString) text = g_string_new(NULL);
    GString *rest;
    int failure;

    release_returns(self, text);
    failure = print(self, text);
    if (failure != 0 || !self->terminal)
        return failure;
    rest = kh_harmless_text(&self->harmless, "", 0);
    failure = put(rest->str, rest->len);
    g_string_free(rest, TRUE);
    return failure;
}

/* Waits until there is something to read; whether anybody reads what is written. */
static gboolean
wait_for_more(int fd)
{
    struct pollfd both[] = {{.fd = fd, .events = POLLIN}, {.fd = STDOUT_FILENO}};

    return poll(both, G_N_ELEMENTS(both), -1) < 0 || both[1].revents == 0;
}

int
kh_log_output_copy(KhLogOutput *self, int fd)
{
    g_autofree char *chunk = g_malloc(CHUNK);
    ssize_t n = -1;
    int failure = 0;

    while (failure == 0 && n != 0) {
        if (!wait_for_more(fd))
            return EPIPE;
        n = read(fd, chunk, CHUNK);
        if (n > 0)
            failure = kh_log_output_write(self, chunk, (gsize)n);
        else if (n < 0 && errno != EINTR)
            return 0;
    }
    return failure;
}

void
kh_log_search_init(KhLogSearch *self, const KhLogOutput *output)
{
    const char *tail = output->tail;

    self->output = output;
    self->borders = g_new0(gsize, KH_LOG_TAIL + 1);
    self->matched = 0;
    self->seen = 0;
    self->limit = G_MAXUINT64;
    self->found = 0;
    /* Nothing has been printed: it goes on at the beginning. */
    self->end = output->tail_length == 0 ? 0 : -1;
    for (gsize i = 1, border = 0; i < output->tail_length; i++) {
        while (border > 0 && tail[i] != tail[border])
            border = self->borders[border];
        border += tail[i] == tail[border];
        self->borders[i + 1] = border;
    }
}

void
kh_log_search_clear(KhLogSearch *self)
{
    g_clear_pointer(&self->borders, g_free);
}

void
kh_log_search_feed(KhLogSearch *self, const char *bytes, gsize length)
{
    const KhLogOutput *output = self->output;

    for (gsize i = 0; i < length && output->tail_length > 0; i++) {
        self->seen++;
        if (self->matched == output->tail_length)
            self->matched = self->borders[self->matched];
        while (self->matched > 0 && bytes[i] != output->tail[self->matched])
            self->matched = self->borders[self->matched];
        self->matched += bytes[i] == output->tail[self->matched];
        if (self->matched == output->tail_length && self->seen <= self->limit) {
            self->end = (gint64)self->seen;
            self->found++;
        }
    }
}
