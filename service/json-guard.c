/* SPDX-License-Identifier: MIT */
/* Bounded JSON; see json-guard.h. */
#include "json-guard.h"

#include <string.h>

#include "error.h"

/* 2^53, as a number: beyond it a reader with doubles sees another one. */
#define EXACT_MAX "9007199254740992"

/* \u and four hex digits; a character beyond 0xffff is two of these (RFC 8259, section 7). */
#define UNIT_LENGTH 6
#define IS_HIGH_HALF(unit) ((unit) >= 0xd800 && (unit) <= 0xdbff)
#define IS_LOW_HALF(unit) ((unit) >= 0xdc00 && (unit) <= 0xdfff)

/* --- the tokens of the text ---------------------------------------------------------- */

typedef struct {
    const char *at, *end;
    guint depth, values;
    guint members[KH_JSON_DEPTH_MAX + 1]; /* of the object that is open at each depth */
    gboolean exact, over;                 /* over: the outermost bracket is closed */
    const char *found;                    /* why it is refused, NULL as long as it is not */
} Scan;

static gboolean
is_next(const Scan *scan, char c)
{
    return scan->at < scan->end && *scan->at == c;
}

static gboolean
take_digits(Scan *scan)
{
    const char *first = scan->at;

    while (scan->at < scan->end && g_ascii_isdigit(*scan->at))
        scan->at++;
    return scan->at > first;
}

/* The number of the escape \u and four digits that is next; -1: there is none. */
static int
peek_unit(const Scan *scan)
{
    int unit = 0;

    if (scan->end - scan->at < UNIT_LENGTH || scan->at[0] != '\\' || scan->at[1] != 'u')
        return -1;
    for (int i = 2; i < UNIT_LENGTH; i++) {
        int digit = g_ascii_xdigit_value(scan->at[i]);

        if (digit < 0)
            return -1;
        unit = unit << 4 | digit;
    }
    return unit;
}

/* Half a character is none: json-glib makes a string of it that is not UTF-8. */
static void
scan_unit(Scan *scan)
{
    int unit = peek_unit(scan), next;

    if (unit < 0) {
        scan->found = "has an invalid escape";
        return;
    }
    scan->at += UNIT_LENGTH;
    next = peek_unit(scan);
    if (unit == 0 && scan->exact)
        scan->found = "has an escaped NUL in a string";
    else if (IS_HIGH_HALF(unit) && IS_LOW_HALF(next))
        scan->at += UNIT_LENGTH;
    else if (IS_HIGH_HALF(unit) || IS_LOW_HALF(unit))
        scan->found = "has half a surrogate pair in an escape";
}

static void
scan_escape(Scan *scan)
{
    if (scan->end - scan->at < 2 || strchr("\"\\/bfnrtu", scan->at[1]) == NULL)
        scan->found = "has an invalid escape";
    else if (scan->at[1] == 'u')
        scan_unit(scan);
    else
        scan->at += 2;
}

static void
scan_string(Scan *scan)
{
    scan->at++;
    while (scan->at < scan->end && *scan->at != '"' && scan->found == NULL) {
        if ((guchar)*scan->at < 0x20)
            scan->found = "has a control character in a string";
        else if (*scan->at == '\\')
            scan_escape(scan);
        else
            scan->at++;
    }
    if (scan->at >= scan->end && scan->found == NULL)
        scan->found = "ends within a string";
    scan->at++;
}

/* Whether the digits from @first to @end are more than 2^53. They have no leading zero. */
static gboolean
is_beyond_exact(const char *first, const char *end)
{
    gsize length = (gsize)(end - first);
    gsize most = strlen(EXACT_MAX);

    return length > most || (length == most && memcmp(first, EXACT_MAX, most) > 0);
}

/* RFC 8259, section 6. */
static void
scan_number(Scan *scan)
{
    const char *first;
    gboolean good, whole = TRUE;

    scan->at += is_next(scan, '-');
    first = scan->at;
    good = take_digits(scan) && (first[0] != '0' || scan->at == first + 1);
    if (good && !is_next(scan, '.') && !is_next(scan, 'e') && !is_next(scan, 'E') && scan->exact &&
        is_beyond_exact(first, scan->at))
        scan->found = "has an integer beyond 2^53";
    if (is_next(scan, '.')) {
        scan->at++;
        whole = take_digits(scan);
    }
    if (is_next(scan, 'e') || is_next(scan, 'E')) {
        scan->at++;
        scan->at += is_next(scan, '+') || is_next(scan, '-');
        whole = take_digits(scan) && whole;
    }
    if (!good || !whole)
        scan->found = "has an invalid number";
}

static void
scan_word(Scan *scan)
{
    static const char *const words[] = {"true", "false", "null"};
    gsize rest = (gsize)(scan->end - scan->at);

    for (gsize i = 0; i < G_N_ELEMENTS(words); i++)
        if (rest >= strlen(words[i]) && memcmp(scan->at, words[i], strlen(words[i])) == 0) {
            scan->at += strlen(words[i]);
            return;
        }
    scan->found = "has something outside of strings that is not JSON";
}

static void
count_value(Scan *scan)
{
    if (scan->exact && ++scan->values > KH_JSON_VALUES_MAX)
        scan->found = "has more than " G_STRINGIFY(KH_JSON_VALUES_MAX) " values";
}

static void
scan_bracket(Scan *scan)
{
    gboolean opens = *scan->at == '{' || *scan->at == '[';

    scan->at++;
    if (opens)
        count_value(scan);
    if (opens && ++scan->depth > KH_JSON_DEPTH_MAX)
        scan->found = "is nested deeper than " G_STRINGIFY(KH_JSON_DEPTH_MAX);
    else if (opens)
        scan->members[scan->depth] = 0;
    else if (scan->depth-- == 0)
        scan->found = "closes a bracket that is not open";
    scan->over = !opens && scan->depth == 0;
}

/* Of the blanks and signs between values. */
static void
scan_space(Scan *scan)
{
    if (*scan->at == ',')
        count_value(scan);
    if (*scan->at == ':' && ++scan->members[scan->depth] > KH_JSON_MEMBERS_MAX)
        scan->found = "has an object with more than " G_STRINGIFY(KH_JSON_MEMBERS_MAX) " members";
    scan->at++;
}

/* NULL if json-glib may read the text, else what is wrong with it. */
static const char *
find_fault(const char *text, gsize length, gboolean exact)
{
    Scan scan = {.at = text, .end = text + length, .exact = exact};

    if (length == 0)
        return "is empty";
    if (!g_utf8_validate(text, (gssize)length, NULL))
        return "is not UTF-8";
    while (scan.at < scan.end && scan.found == NULL) {
        char c = *scan.at;

        if (scan.over && strchr(" \t\r\n", c) == NULL)
            scan.found = "continues after its value";
        else if (c == '"')
            scan_string(&scan);
        else if (strchr("{}[]", c) != NULL)
            scan_bracket(&scan);
        else if (c == '-' || g_ascii_isdigit(c))
            scan_number(&scan);
        else if (strchr(" \t\r\n:,", c) != NULL)
            scan_space(&scan);
        else
            scan_word(&scan);
    }
    return scan.found;
}

/* --- keys twice ---------------------------------------------------------------------- */

/* How many members each open object has been given, and whether one replaced another. */
typedef struct {
    GArray *given;
    gboolean twice;
} Members;

static void
on_object_start(JsonParser *parser, gpointer data)
{
    Members *members = data;
    guint none = 0;

    g_array_append_val(members->given, none);
}

static void
on_object_member(JsonParser *parser, JsonObject *object, const char *name, gpointer data)
{
    Members *members = data;

    g_array_index(members->given, guint, members->given->len - 1)++;
}

static void
on_object_end(JsonParser *parser, JsonObject *object, gpointer data)
{
    Members *members = data;
    guint last = members->given->len - 1;

    if (g_array_index(members->given, guint, last) != json_object_get_size(object))
        members->twice = TRUE;
    g_array_set_size(members->given, last);
}

/* --- the whole ----------------------------------------------------------------------- */

static JsonObject *
take_root(JsonParser *parser, GError **error)
{
    JsonNode *root = json_parser_get_root(parser);

    if (root != NULL && JSON_NODE_HOLDS_OBJECT(root))
        return json_object_ref(json_node_get_object(root));
    g_set_error(error, KH_ERROR, KH_ERROR_FAILED, "The JSON text is not an object");
    return NULL;
}

static gboolean
load(JsonParser *parser, const char *text, gsize length, gboolean exact, GError **error)
{
    const char *fault = find_fault(text, length, exact);

    if (fault != NULL)
        g_set_error(error, KH_ERROR, KH_ERROR_FAILED, "The JSON text %s", fault);
    else if (!json_parser_load_from_data(parser, text, (gssize)length, NULL))
        g_set_error(error, KH_ERROR, KH_ERROR_FAILED, "The text is not JSON");
    else
        return TRUE;
    return FALSE;
}

JsonObject *
kh_json_parse_object(const char *text, gsize length, GError **error)
{
    g_autoptr(JsonParser) parser = json_parser_new_immutable();

    return load(parser, text, length, FALSE, error) ? take_root(parser, error) : NULL;
}

JsonObject *
kh_json_parse_exact(const char *text, gsize length, GError **error)
{
    g_autoptr(JsonParser) parser = json_parser_new_immutable();
    g_autoptr(GArray) given = g_array_new(FALSE, FALSE, sizeof(guint));
    Members members = {.given = given};

    if (length > KH_JSON_SIZE_MAX) {
        g_set_error(error, KH_ERROR, KH_ERROR_LIMIT_EXCEEDED,
                    "The JSON text has %" G_GSIZE_FORMAT " bytes; at most %d are read", length,
                    KH_JSON_SIZE_MAX);
        return NULL;
    }
    g_signal_connect(parser, "object-start", G_CALLBACK(on_object_start), &members);
    g_signal_connect(parser, "object-member", G_CALLBACK(on_object_member), &members);
    g_signal_connect(parser, "object-end", G_CALLBACK(on_object_end), &members);
    if (!load(parser, text, length, TRUE, error))
        return NULL;
    if (members.twice) {
        g_set_error(error, KH_ERROR, KH_ERROR_FAILED, "The JSON text has a key twice in an object");
        return NULL;
    }
    return take_root(parser, error);
}
