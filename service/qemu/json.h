/* SPDX-License-Identifier: MIT */
/*
 * JSON from machines we do not trust: bounded before json-glib sees it, whose parser
 * recurses once per bracket (json-glib 1.6). Used by the QMP client and the RPC probe.
 */
#pragma once

#include <json-glib/json-glib.h>

G_BEGIN_DECLS

/* Brackets within brackets that are accepted. */
#define KH_JSON_DEPTH_MAX 32

/*
 * Parses @length bytes of @text as one JSON object. KH_ERROR_FAILED for what is deeper
 * than KH_JSON_DEPTH_MAX, not UTF-8, not JSON or no object. Transfer full.
 */
JsonObject *kh_json_parse_object(const char *text, gsize length, GError **error);

G_END_DECLS
