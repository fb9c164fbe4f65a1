/* SPDX-License-Identifier: MIT */
/* See json.h. What is read here comes from any RPC client. */
#include "json.h"

#include <ctype.h>
#include <string.h>

struct cursor {
    const char *at;
    const char *end;
};

static bool skip_value(struct cursor *cursor, int depth);

static void
skip_blanks(struct cursor *cursor)
{
    while (cursor->at < cursor->end && strchr(" \t\r\n", *cursor->at) != NULL &&
           *cursor->at != '\0')
        cursor->at++;
}

static bool
take(struct cursor *cursor, char c)
{
    if (cursor->at == cursor->end || *cursor->at != c)
        return false;
    cursor->at++;
    return true;
}

static bool
skip_escape(struct cursor *cursor)
{
    if (take(cursor, 'u')) {
        for (int i = 0; i < 4; i++, cursor->at++) {
            if (cursor->at == cursor->end || !isxdigit((unsigned char)*cursor->at))
                return false;
        }
        return true;
    }
    if (cursor->at == cursor->end || *cursor->at == '\0' ||
        strchr("\"\\/bfnrt", *cursor->at) == NULL)
        return false;
    cursor->at++;
    return true;
}

static bool
skip_string(struct cursor *cursor)
{
    if (!take(cursor, '"'))
        return false;
    while (cursor->at < cursor->end && (unsigned char)*cursor->at >= 0x20) {
        if (take(cursor, '"'))
            return true;
        if (!take(cursor, '\\'))
            cursor->at++;
        else if (!skip_escape(cursor))
            return false;
    }
    return false;
}

static bool
skip_digits(struct cursor *cursor)
{
    const char *first = cursor->at;

    while (cursor->at < cursor->end && isdigit((unsigned char)*cursor->at))
        cursor->at++;
    return cursor->at > first;
}

static bool
skip_number(struct cursor *cursor)
{
    take(cursor, '-');
    if (!take(cursor, '0') && !skip_digits(cursor))
        return false;
    if (take(cursor, '.') && !skip_digits(cursor))
        return false;
    if (take(cursor, 'e') || take(cursor, 'E')) {
        if (!take(cursor, '+'))
            take(cursor, '-');
        return skip_digits(cursor);
    }
    return true;
}

static bool
skip_word(struct cursor *cursor, const char *word)
{
    size_t length = strlen(word);

    if ((size_t)(cursor->end - cursor->at) < length || memcmp(cursor->at, word, length) != 0)
        return false;
    cursor->at += length;
    return true;
}

static bool
skip_item(struct cursor *cursor, bool object, int depth)
{
    skip_blanks(cursor);
    if (object) {
        if (!skip_string(cursor))
            return false;
        skip_blanks(cursor);
        if (!take(cursor, ':'))
            return false;
        skip_blanks(cursor);
    }
    if (!skip_value(cursor, depth))
        return false;
    skip_blanks(cursor);
    return true;
}

static bool
skip_container(struct cursor *cursor, int depth)
{
    bool object = *cursor->at++ == '{';
    char close = object ? '}' : ']';

    if (depth >= JSON_MAX_DEPTH)
        return false;
    skip_blanks(cursor);
    if (take(cursor, close))
        return true;
    do {
        if (!skip_item(cursor, object, depth + 1))
            return false;
    } while (take(cursor, ','));
    return take(cursor, close);
}

static bool
skip_value(struct cursor *cursor, int depth)
{
    if (cursor->at == cursor->end)
        return false;
    switch (*cursor->at) {
    case '{':
    case '[':
        return skip_container(cursor, depth);
    case '"':
        return skip_string(cursor);
    case 't':
        return skip_word(cursor, "true");
    case 'f':
        return skip_word(cursor, "false");
    case 'n':
        return skip_word(cursor, "null");
    default:
        return skip_number(cursor);
    }
}

static bool
take_value(struct cursor *cursor, struct json_span *value)
{
    skip_blanks(cursor);

    const char *first = cursor->at;

    if (!skip_value(cursor, 0))
        return false;
    *value = (struct json_span){first, (size_t)(cursor->at - first)};
    skip_blanks(cursor);
    return true;
}

bool
json_parse(const char *text, size_t len, struct json_span *value)
{
    if (len == 0)
        return false;

    struct cursor cursor = {text, text + len};

    return take_value(&cursor, value) && cursor.at == cursor.end;
}

char
json_kind(struct json_span value)
{
    return value.data == NULL || value.len == 0 ? '\0' : value.data[0];
}

bool
json_is_string(struct json_span value, const char *text)
{
    size_t len = strlen(text);

    return json_kind(value) == '"' && value.len == len + 2 &&
           memcmp(value.data + 1, text, len) == 0;
}

struct json_span
json_member(struct json_span object, const char *key)
{
    const struct json_span none = {NULL, 0};
    struct cursor cursor = {object.data, object.data + object.len};
    struct json_span name;
    struct json_span value;

    if (json_kind(object) != '{')
        return none;
    cursor.at++;
    while (take_value(&cursor, &name) && take(&cursor, ':') && take_value(&cursor, &value)) {
        if (json_is_string(name, key))
            return value;
        if (!take(&cursor, ','))
            break;
    }
    return none;
}

bool
json_next(struct json_span array, const char **cursor, struct json_span *item)
{
    if (json_kind(array) != '[')
        return false;

    struct cursor here = {*cursor == NULL ? array.data : *cursor, array.data + array.len};

    if (!take(&here, *cursor == NULL ? '[' : ',') || !take_value(&here, item))
        return false;
    *cursor = here.at;
    return true;
}
