/* SPDX-License-Identifier: MIT */
/*
 * What goes to stdout: tables and JSON, the same keys for every verb. Strings come from
 * elsewhere and are made harmless for a terminal: in text replaced, in JSON escaped.
 */
#pragma once

#include <json-glib/json-glib.h>

G_BEGIN_DECLS

/*
 * "RpcPort" -> "rpc_port", "CreatedUSec" -> "created_usec", and of configuration keys
 * "memory-bytes" -> "memory_bytes"; transfer full.
 */
char *kh_output_key(const char *property);

/* The properties (a{sv}) of an object as a JSON object; transfer full. */
JsonNode *kh_output_properties(GVariant *properties);

/*
 * @node as JSON in which what leads a terminal astray (see kh_text_is_harmful()) is escaped: the
 * same value for whoever parses it, so that it is done wherever the text goes. Of bytes that are
 * no UTF-8 each is U+FFFD. Transfer full.
 */
char *kh_output_json_text(JsonNode *node, gboolean pretty);

/* The same of a word for a shell: one that is harmless is quoted as usual. Transfer full. */
char *kh_output_shell_word(const char *word);

/* Ends @text, harmless UTF-8, where it would take more than @columns of a terminal. */
void kh_output_cut(char *text, guint columns);

/* A member with @text, which is taken. */
void kh_output_set_text(JsonObject *object, const char *key, char *text);

/* One JSON document, which is taken, and a line feed. */
void kh_output_json(JsonNode *node);
void kh_output_json_object(JsonObject *object);
void kh_output_json_array(JsonArray *array);

/* Rows of equal length, the first one the heading, as aligned columns. */
void kh_output_table(GPtrArray *rows);

/* The value of @property as a person wants it; transfer full. */
char *kh_output_value(const char *property, GVariant *value);

/*
 * A line for each property, aligned, for people; another one where they say that limits are
 * not enforced.
 */
void kh_output_fields(GVariant *properties);

/* The one or the other: as JSON, or for people. */
void kh_output_shown(gboolean json, GVariant *properties);

G_END_DECLS
