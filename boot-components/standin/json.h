/* SPDX-License-Identifier: MIT */
/*
 * Reads JSON in place, without a copy and without allocating: the stand-in is one static
 * program that shares no library with the guest. rpc.c is the only caller.
 */
#ifndef STANDIN_JSON_H
#define STANDIN_JSON_H

#include <stdbool.h>
#include <stddef.h>

#define JSON_MAX_DEPTH 32

/* A checked value: its text, without blanks around it; no value has data NULL. */
struct json_span {
    const char *data;
    size_t len;
};

/* True if text is exactly one JSON value, nested at most JSON_MAX_DEPTH deep. */
bool json_parse(const char *text, size_t len, struct json_span *value);

/* The first character of the value, which tells its kind; NUL for no value. */
char json_kind(struct json_span value);

/* The member of an object; no value if there is none or it is no object. A key with escapes
 * in it is never found. */
struct json_span json_member(struct json_span object, const char *key);

/* The items of an array, one per call; *cursor begins as NULL. False after the last, or if
 * it is no array. */
bool json_next(struct json_span array, const char **cursor, struct json_span *item);

/* Whether the value is this string, written without escapes. */
bool json_is_string(struct json_span value, const char *text);

#endif
