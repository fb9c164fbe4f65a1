/* SPDX-License-Identifier: MIT */
/*
 * JSON from machines we do not trust: bounded before json-glib sees it, whose parser
 * recurses once per bracket (json-glib 1.6) and reads more than JSON: comments, strings in
 * single quotes, octal numbers, halves of characters. Used by the QMP client, the RPC probe and
 * service/tee.
 */
#pragma once

#include <json-glib/json-glib.h>

G_BEGIN_DECLS

/* Brackets within brackets that are accepted. */
#define KH_JSON_DEPTH_MAX 32

/*
 * Members of one object that are accepted: json-glib hashes their names with a function for which
 * anybody can make names that collide, and the time grows with the square of their number.
 */
#define KH_JSON_MEMBERS_MAX 256

/* The longest text that kh_json_parse_exact() reads. */
#define KH_JSON_SIZE_MAX (4 * 1024 * 1024)

/* And the values in it: an empty object takes three bytes there, and hundreds in memory. */
#define KH_JSON_VALUES_MAX 200000

/*
 * Parses @length bytes of @text as one JSON object. KH_ERROR_FAILED for what is deeper
 * than KH_JSON_DEPTH_MAX, has more than KH_JSON_MEMBERS_MAX members in an object, is not UTF-8,
 * not JSON or no object. Transfer full.
 */
JsonObject *kh_json_parse_object(const char *text, gsize length, GError **error);

/*
 * The same for what must mean one thing only. Refused too: KH_ERROR_LIMIT_EXCEEDED for a
 * text over KH_JSON_SIZE_MAX; KH_ERROR_FAILED for over KH_JSON_VALUES_MAX values, a key twice in an
 * object (json-glib takes the last), an integer beyond 2^53 (it wraps large ones), an escaped NUL
 * (it cuts there).
 */
JsonObject *kh_json_parse_exact(const char *text, gsize length, GError **error);

G_END_DECLS
