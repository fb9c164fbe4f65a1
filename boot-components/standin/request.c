/* SPDX-License-Identifier: MIT */
/* See request.h. */
#include "request.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

struct header {
    const char *name;
    size_t name_len;
    const char *value;
    size_t value_len;
};

struct state {
    struct parsed *parsed;
    size_t body_len;
    bool has_length;
};

static bool
is_word(const char *text, size_t len, const char *word)
{
    return len == strlen(word) && strncasecmp(text, word, len) == 0;
}

/* Two lengths that differ are how requests are smuggled. */
static void
take_length(struct state *state, const struct header *header)
{
    size_t length = 0;

    if (header->value_len < 1 || header->value_len > 9) {
        state->parsed->status = header->value_len < 1 ? 400 : 413;
        return;
    }
    for (size_t i = 0; i < header->value_len; i++) {
        if (header->value[i] < '0' || header->value[i] > '9') {
            state->parsed->status = 400;
            return;
        }
        length = length * 10 + (size_t)(header->value[i] - '0');
    }
    if (state->has_length && length != state->body_len)
        state->parsed->status = 400;
    else if (length > HTTP_MAX_BODY)
        state->parsed->status = 413;
    state->has_length = true;
    state->body_len = length;
}

static void
take_header(struct state *state, const struct header *header)
{
    struct parsed *parsed = state->parsed;

    if (is_word(header->name, header->name_len, "content-length"))
        take_length(state, header);
    else if (is_word(header->name, header->name_len, "transfer-encoding"))
        parsed->status = 501;
    else if (is_word(header->name, header->name_len, "expect"))
        parsed->expects = true;
    else if (is_word(header->name, header->name_len, "connection"))
        parsed->close = is_word(header->value, header->value_len, "close");
}

static bool
split_header(const char *line, size_t len, struct header *header)
{
    const char *colon = memchr(line, ':', len);

    if (colon == NULL || colon == line)
        return false;
    header->name = line;
    header->name_len = (size_t)(colon - line);
    header->value = colon + 1;
    header->value_len = len - header->name_len - 1;
    while (header->value_len > 0 && strchr(" \t", header->value[0]) != NULL) {
        header->value++;
        header->value_len--;
    }
    while (header->value_len > 0 && strchr(" \t", header->value[header->value_len - 1]) != NULL)
        header->value_len--;
    return memchr(header->name, ' ', header->name_len) == NULL;
}

/* METHOD TARGET HTTP/1.x; the words are ended by NUL. */
static void
take_request_line(struct parsed *parsed, char *line, size_t len)
{
    char *first = memchr(line, ' ', len);
    char *second = first == NULL ? NULL : memchr(first + 1, ' ', len - (size_t)(first + 1 - line));

    if (second == NULL || first == line || memchr(line, '\0', len) != NULL) {
        parsed->status = 400;
        return;
    }

    size_t version_len = len - (size_t)(second + 1 - line);

    if (is_word(second + 1, version_len, "HTTP/1.0"))
        parsed->close = true;
    else if (!is_word(second + 1, version_len, "HTTP/1.1"))
        parsed->status = 505;
    *first = *second = '\0';
    parsed->request.method = line;
    parsed->request.target = first + 1;
}

static void
take_lines(struct state *state, char *text, size_t len)
{
    char *line = text;
    char *end = text + len;

    while (line < end && state->parsed->status == 200) {
        char *next = memmem(line, (size_t)(end - line), "\r\n", 2);
        size_t line_len = (size_t)(next - line);
        struct header header;

        if (line == text)
            take_request_line(state->parsed, line, line_len);
        else if (split_header(line, line_len, &header))
            take_header(state, &header);
        else
            state->parsed->status = 400;
        line = next + 2;
    }
}

bool
request_parse(struct buf *in, struct parsed *parsed)
{
    *parsed = (struct parsed){.status = 200};

    size_t look = in->len < HTTP_MAX_HEADER ? in->len : HTTP_MAX_HEADER;
    char *end = look == 0 ? NULL : memmem(in->data, look, "\r\n\r\n", 4);

    if (end == NULL) {
        parsed->status = 431;
        return in->len >= HTTP_MAX_HEADER;
    }

    struct state state = {.parsed = parsed};
    size_t header_len = (size_t)(end - in->data) + 2;
    char *header = malloc(header_len);

    if (header == NULL) {
        parsed->status = 503;
        return true;
    }
    /* The first pass is over a copy: the request line must stay whole until the body is there. */
    memcpy(header, in->data, header_len);
    take_lines(&state, header, header_len);
    free(header);

    parsed->size = header_len + 2 + state.body_len;
    parsed->complete = in->len >= parsed->size;
    if (parsed->status == 200 && parsed->complete)
        take_request_line(parsed, in->data,
                          (size_t)((char *)memmem(in->data, header_len, "\r\n", 2) - in->data));
    parsed->request.body = in->data + header_len + 2;
    parsed->request.body_len = state.body_len;
    return true;
}
