/* SPDX-License-Identifier: MIT */
/* Reads JSON in place, without a copy and without allocating: the stand-in is one static
 * program that shares no library with the guest. rpc.c is the only caller. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A checked value: its text, without blanks around it. */
typedef struct {
    const char *text;
    size_t length;
} KhJson;

/* True if text is exactly one JSON value, nested at most 32 deep. */
bool kh_json_parse(const char *text, size_t length, KhJson *value);

/* The member of an object, false if there is none or value is no object. A key with
 * escapes in it is never found. */
bool kh_json_member(KhJson object, const char *key, KhJson *value);

/* The items of an array, one per call; *offset begins at 0. False after the last, or if
 * it is no array. */
bool kh_json_next(KhJson array, size_t *offset, KhJson *item);

bool kh_json_is_string(KhJson value, const char *text);

/* A whole number from 0 to 2^53. */
bool kh_json_number(KhJson value, uint64_t *number);
