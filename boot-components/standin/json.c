/* SPDX-License-Identifier: MIT */
/* See json.h. Each read_ function takes one production off the front of the text. */
#include "json.h"

#include <string.h>

struct reader {
    const char *at;
    const char *end;
    unsigned depth;
};

static bool read_value(struct reader *reader);

static void
skip_blanks(struct reader *reader)
{
    while (reader->at < reader->end && *reader->at != '\0' &&
           strchr(" \t\r\n", *reader->at) != NULL)
        reader->at++;
}

static bool
read_char(struct reader *reader, char wanted)
{
    if (reader->at == reader->end || *reader->at != wanted)
        return false;
    reader->at++;
    return true;
}

static bool
read_word(struct reader *reader, const char *word)
{
    size_t len = strlen(word);

    if ((size_t)(reader->end - reader->at) < len || memcmp(reader->at, word, len) != 0)
        return false;
    reader->at += len;
    return true;
}

static bool
read_digits(struct reader *reader)
{
    const char *start = reader->at;

    while (reader->at < reader->end && *reader->at >= '0' && *reader->at <= '9')
        reader->at++;
    return reader->at > start;
}

static bool
read_number(struct reader *reader)
{
    read_char(reader, '-');
    if (!read_char(reader, '0') && !read_digits(reader))
        return false;
    if (read_char(reader, '.') && !read_digits(reader))
        return false;
    if (read_char(reader, 'e') || read_char(reader, 'E')) {
        if (!read_char(reader, '+'))
            read_char(reader, '-');
        return read_digits(reader);
    }
    return true;
}

static bool
read_escape(struct reader *reader)
{
    if (reader->at == reader->end)
        return false;

    char kind = *reader->at++;

    if (kind != 'u')
        return kind != '\0' && strchr("\"\\/bfnrt", kind) != NULL;
    for (unsigned i = 0; i < 4; i++) {
        if (reader->at == reader->end || *reader->at == '\0' ||
            strchr("0123456789abcdefABCDEF", *reader->at) == NULL)
            return false;
        reader->at++;
    }
    return true;
}

/* The rest of a UTF-8 sequence whose first byte was taken. */
static bool
read_utf8_tail(struct reader *reader, unsigned char first)
{
    unsigned more = first >= 0xf0 ? 3 : first >= 0xe0 ? 2 : 1;

    if (first < 0xc2 || first > 0xf4 || (size_t)(reader->end - reader->at) < more)
        return false;

    unsigned char second = (unsigned char)*reader->at;

    /* Overlong forms, surrogates and what lies above U+10FFFF. */
    if ((first == 0xe0 && second < 0xa0) || (first == 0xed && second > 0x9f) ||
        (first == 0xf0 && second < 0x90) || (first == 0xf4 && second > 0x8f))
        return false;
    for (unsigned i = 0; i < more; i++)
        if (((unsigned char)*reader->at++ & 0xc0) != 0x80)
            return false;
    return true;
}

static bool
read_string(struct reader *reader)
{
    if (!read_char(reader, '"'))
        return false;
    while (reader->at < reader->end) {
        unsigned char c = (unsigned char)*reader->at++;
        bool fine = c >= 0x20;

        if (c == '"')
            return true;
        if (c == '\\')
            fine = read_escape(reader);
        else if (c >= 0x80)
            fine = read_utf8_tail(reader, c);
        if (!fine)
            return false;
    }
    return false;
}

static bool
read_key(struct reader *reader)
{
    skip_blanks(reader);
    if (!read_string(reader))
        return false;
    skip_blanks(reader);
    return read_char(reader, ':');
}

/* What follows [ or {, to the bracket that closes it. */
static bool
read_container(struct reader *reader, char close)
{
    if (++reader->depth > JSON_MAX_DEPTH)
        return false;
    skip_blanks(reader);
    if (!read_char(reader, close)) {
        do {
            if (close == '}' && !read_key(reader))
                return false;
            skip_blanks(reader);
            if (!read_value(reader))
                return false;
            skip_blanks(reader);
        } while (read_char(reader, ','));
        if (!read_char(reader, close))
            return false;
    }
    reader->depth--;
    return true;
}

static bool
read_value(struct reader *reader)
{
    if (reader->at == reader->end)
        return false;
    switch (*reader->at) {
    case '{':
        reader->at++;
        return read_container(reader, '}');
    case '[':
        reader->at++;
        return read_container(reader, ']');
    case '"':
        return read_string(reader);
    case 't':
        return read_word(reader, "true");
    case 'f':
        return read_word(reader, "false");
    case 'n':
        return read_word(reader, "null");
    default:
        return read_number(reader);
    }
}

bool
json_parse(const char *text, size_t len, struct json_span *value)
{
    struct reader reader = {.at = text, .end = text + len};

    skip_blanks(&reader);
    value->data = reader.at;
    if (!read_value(&reader))
        return false;
    value->len = (size_t)(reader.at - value->data);
    skip_blanks(&reader);
    return reader.at == reader.end;
}

char
json_kind(struct json_span value)
{
    return value.data == NULL || value.len == 0 ? '\0' : value.data[0];
}

static struct json_span
take(struct reader *reader, bool (*read)(struct reader *))
{
    skip_blanks(reader);

    const char *start = reader->at;

    if (!read(reader))
        return (struct json_span){0};
    return (struct json_span){start, (size_t)(reader->at - start)};
}

struct json_span
json_member(struct json_span object, const char *name)
{
    struct json_span found = {0};

    if (json_kind(object) != '{')
        return found;

    struct reader reader = {.at = object.data + 1, .end = object.data + object.len};

    do {
        struct json_span key = take(&reader, read_string);

        skip_blanks(&reader);
        read_char(&reader, ':');

        struct json_span value = take(&reader, read_value);

        if (json_is_string(key, name))
            found = value;
        skip_blanks(&reader);
    } while (read_char(&reader, ','));
    return found;
}

bool
json_next(struct json_span array, const char **cursor, struct json_span *element)
{
    if (json_kind(array) != '[')
        return false;

    struct reader reader = {
        .at = *cursor == NULL ? array.data + 1 : *cursor,
        .end = array.data + array.len,
    };

    skip_blanks(&reader);
    read_char(&reader, ',');
    *element = take(&reader, read_value);
    *cursor = reader.at;
    return element->data != NULL;
}

bool
json_is_string(struct json_span value, const char *text)
{
    size_t len = strlen(text);

    return json_kind(value) == '"' && value.len == len + 2 &&
           memcmp(value.data + 1, text, len) == 0;
}
