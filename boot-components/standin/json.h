/* SPDX-License-Identifier: MIT */
/*
 * A reader for hostile JSON that allocates nothing: values are spans of the text. Own code
 * because the stand-in must be small, static and without libraries. Used by rpc.c.
 */
#ifndef STANDIN_JSON_H
#define STANDIN_JSON_H

#include <stdbool.h>
#include <stddef.h>

/* Arrays and objects inside one another, at most. */
#define JSON_MAX_DEPTH 32

/* A value within the text, without surrounding blanks. data NULL: there is none. */
struct json_span {
    const char *data;
    size_t len;
};

/* Whether the text is one valid UTF-8 JSON value and nothing else; value is then set to it.
 * The functions below need spans that come from here. */
bool json_parse(const char *text, size_t len, struct json_span *value);

/* The first character tells the kind: { [ " t f n, a digit or a minus. 0 without a value. */
char json_kind(struct json_span value);

/* The last member of that name of an object; data is NULL if there is none. The name has no
 * characters that JSON escapes. */
struct json_span json_member(struct json_span object, const char *name);

/* Takes the next element off an array. *cursor starts at NULL. False after the last. */
bool json_next(struct json_span array, const char **cursor, struct json_span *element);

/* Whether the value is a string with exactly this text, written without escapes. */
bool json_is_string(struct json_span value, const char *text);

#endif
