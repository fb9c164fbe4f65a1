/* SPDX-License-Identifier: MIT */
/* Reads JSON in place. rpc.c is the only caller; what it reads comes from any RPC client. */
#include "json.h"

#include <ctype.h>
#include <string.h>

enum { MAX_DEPTH = 32 };

typedef struct {
    const char *at;
    const char *end;
} Cursor;

static bool skip_value(Cursor *cursor, int depth);

static void
skip_blanks(Cursor *cursor)
{
    while (cursor->at < cursor->end && strchr(" \t\r\n", *cursor->at) != NULL &&
           *cursor->at != '\0')
        cursor->at++;
}

static bool
take(Cursor *cursor, char c)
{
    if (cursor->at == cursor->end || *cursor->at != c)
        return false;
    cursor->at++;
    return true;
}

static bool
skip_escape(Cursor *cursor)
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
skip_string(Cursor *cursor)
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
skip_digits(Cursor *cursor)
{
    const char *first = cursor->at;

    while (cursor->at < cursor->end && isdigit((unsigned char)*cursor->at))
        cursor->at++;
    return cursor->at > first;
}

static bool
skip_number(Cursor *cursor)
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
skip_word(Cursor *cursor, const char *word)
{
    size_t length = strlen(word);

    if ((size_t)(cursor->end - cursor->at) < length || memcmp(cursor->at, word, length) != 0)
        return false;
    cursor->at += length;
    return true;
}

static bool
skip_item(Cursor *cursor, bool object, int depth)
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
skip_container(Cursor *cursor, int depth)
{
    bool object = *cursor->at++ == '{';
    char close = object ? '}' : ']';

    if (depth >= MAX_DEPTH)
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
skip_value(Cursor *cursor, int depth)
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
take_value(Cursor *cursor, KhJson *value)
{
    const char *first;

    skip_blanks(cursor);
    first = cursor->at;
    if (!skip_value(cursor, 0))
        return false;
    value->text = first;
    value->length = (size_t)(cursor->at - first);
    skip_blanks(cursor);
    return true;
}

bool
kh_json_parse(const char *text, size_t length, KhJson *value)
{
    Cursor cursor = {text, text + length};

    return take_value(&cursor, value) && cursor.at == cursor.end;
}

bool
kh_json_is_string(KhJson value, const char *text)
{
    size_t length = strlen(text);

    return value.length == length + 2 && value.text[0] == '"' &&
           memcmp(value.text + 1, text, length) == 0;
}

bool
kh_json_member(KhJson object, const char *key, KhJson *value)
{
    Cursor cursor = {object.text, object.text + object.length};
    KhJson name;

    if (!take(&cursor, '{'))
        return false;
    skip_blanks(&cursor);
    while (take_value(&cursor, &name) && take(&cursor, ':') && take_value(&cursor, value)) {
        if (kh_json_is_string(name, key))
            return true;
        if (!take(&cursor, ','))
            return false;
    }
    return false;
}

bool
kh_json_next(KhJson array, size_t *offset, KhJson *item)
{
    Cursor cursor = {array.text + *offset, array.text + array.length};

    if (*offset == 0 ? !take(&cursor, '[') : !take(&cursor, ','))
        return false;
    if (!take_value(&cursor, item))
        return false;
    *offset = (size_t)(cursor.at - array.text);
    return true;
}

bool
kh_json_number(KhJson value, uint64_t *number)
{
    *number = 0;
    if (value.length == 0 || value.length > 16)
        return false;
    for (size_t i = 0; i < value.length; i++) {
        if (!isdigit((unsigned char)value.text[i]))
            return false;
        *number = *number * 10 + (uint64_t)(value.text[i] - '0');
    }
    return *number <= UINT64_C(1) << 53;
}
