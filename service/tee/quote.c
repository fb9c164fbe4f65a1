/* SPDX-License-Identifier: MIT */
/* Katana's quote; see quote.h. */
#include "quote.h"

#include <string.h>

#include "bytes.h"
#include "error.h"
#include "json-guard.h"
#include "names.h"
#include "report.h"

#define METHOD "tee_generateQuote"

/* AMD's report and where its report data lies (56860, table 23). */
#define REPORT_DATA_OFFSET 0x50
/* Katana's crates/tee/src/mock.rs: "MOCK", report data, sum of all before as u32le. */
#define MOCK_MARK "MOCK"

/* JSON-RPC 2.0, section 5.1, and Katana's crates/rpc/rpc-api/src/error/tee.rs. */
#define RPC_METHOD_NOT_FOUND (-32601)
#define RPC_INVALID_PARAMS (-32602)
#define RPC_NOT_AVAILABLE 100
#define RPC_QUOTE_FAILED 101
#define RPC_PROVIDER_ERROR 102

#define SHOWN_MAX 200

static void
free_message(gpointer data)
{
    KhQuoteMessage *message = data;

    g_array_unref(message->payload);
    g_free(message);
}

void
kh_quote_free(KhQuote *quote)
{
    if (quote == NULL)
        return;
    g_clear_pointer(&quote->bytes, g_bytes_unref);
    g_ptr_array_unref(quote->l2_to_l1);
    g_free(quote->fault);
    g_free(quote);
}

/* --- the request --------------------------------------------------------------------- */

char *
kh_quote_request(const guint64 *prev, guint64 block)
{
    g_autofree char *first =
        prev == NULL ? g_strdup("null") : g_strdup_printf("%" G_GUINT64_FORMAT, *prev);

    return g_strdup_printf("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"" METHOD
                           "\",\"params\":[%s,%" G_GUINT64_FORMAT "]}",
                           first, block);
}

char *
kh_quote_request_old_form(void)
{
    return g_strdup("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"" METHOD "\",\"params\":[]}");
}

gboolean
kh_quote_wants_old_form(const GError *error)
{
    return g_error_matches(error, KH_ERROR, KH_ERROR_INVALID_ARGUMENT);
}

/* --- fields -------------------------------------------------------------------------- */

/* The fault of a field; the first one stays. */
static gboolean G_GNUC_PRINTF(2, 3) fail(KhQuote *quote, const char *format, ...)
{
    va_list arguments;

    if (quote->fault != NULL)
        return FALSE;
    va_start(arguments, format);
    quote->fault = g_strdup_vprintf(format, arguments);
    va_end(arguments);
    return FALSE;
}

/* NULL for a member that is missing or null. */
static JsonNode *
get_member(JsonObject *object, const char *name)
{
    JsonNode *node = json_object_get_member(object, name);

    return node == NULL || JSON_NODE_HOLDS_NULL(node) ? NULL : node;
}

static const char *
get_text(JsonNode *node)
{
    gboolean is_text = node != NULL && JSON_NODE_HOLDS_VALUE(node) &&
                       json_node_get_value_type(node) == G_TYPE_STRING;

    return is_text ? json_node_get_string(node) : NULL;
}

static gboolean
read_felt(KhQuote *quote, JsonNode *node, const char *name, KhFelt *felt)
{
    const char *text = get_text(node);
    g_autoptr(GError) error = NULL;

    if (text == NULL)
        return fail(quote, "%s is %s", name, node == NULL ? "missing" : "not a string");
    if (kh_felt_parse(text, felt, &error))
        return TRUE;
    return fail(quote, "%s is %s", name, error->message);
}

/* A JSON number, as the first schema has it. */
static gboolean
read_number(KhQuote *quote, JsonNode *node, const char *name, KhFelt *felt)
{
    gboolean is_number = node != NULL && JSON_NODE_HOLDS_VALUE(node) &&
                         json_node_get_value_type(node) == G_TYPE_INT64;

    if (!is_number || json_node_get_int(node) < 0)
        return fail(quote, "%s is not a whole number", name);
    kh_felt_from_u64((guint64)json_node_get_int(node), felt);
    return TRUE;
}

typedef struct {
    const char *name;
    gsize offset; /* of the KhFelt in KhQuote or KhQuoteMessage */
} Field;

static gboolean
read_fields(KhQuote *quote, JsonObject *object, const Field *fields, gsize n, gpointer into)
{
    for (gsize i = 0; i < n; i++)
        if (!read_felt(quote, get_member(object, fields[i].name), fields[i].name,
                       G_STRUCT_MEMBER_P(into, fields[i].offset)))
            return FALSE;
    return TRUE;
}

/* --- messages ------------------------------------------------------------------------ */

/* Reads the payload of a message into @felts. */
static gboolean
read_payload(KhQuote *quote, JsonObject *object, GArray *felts)
{
    JsonNode *node = get_member(object, "payload");
    JsonArray *array =
        node != NULL && JSON_NODE_HOLDS_ARRAY(node) ? json_node_get_array(node) : NULL;

    if (array == NULL)
        return fail(quote, "the payload of a message is not a list");
    for (guint i = 0; i < json_array_get_length(array); i++) {
        KhFelt felt;

        if (!read_felt(quote, json_array_get_element(array, i), "a message's payload", &felt))
            return FALSE;
        g_array_append_val(felts, felt);
    }
    return TRUE;
}

static gboolean
read_l2_to_l1(KhQuote *quote, JsonObject *object)
{
    static const Field fields[] = {
        {"from_address", G_STRUCT_OFFSET(KhQuoteMessage, from)},
        {"to_address", G_STRUCT_OFFSET(KhQuoteMessage, to)},
    };
    KhQuoteMessage *message = g_new0(KhQuoteMessage, 1);

    message->payload = g_array_new(FALSE, FALSE, sizeof(KhFelt));
    g_ptr_array_add(quote->l2_to_l1, message);
    if (!read_fields(quote, object, fields, G_N_ELEMENTS(fields), message) ||
        !read_payload(quote, object, message->payload))
        return FALSE;
    quote->n_message_felts += G_N_ELEMENTS(fields) + message->payload->len;
    return TRUE;
}

/* Its felts are looked at and left. */
static gboolean
read_l1_to_l2(KhQuote *quote, JsonObject *object)
{
    static const char *const names[] = {"from_address", "to_address", "entry_point_selector",
                                        "nonce"};
    g_autoptr(GArray) payload = g_array_new(FALSE, FALSE, sizeof(KhFelt));
    KhFelt felt;

    for (gsize i = 0; i < G_N_ELEMENTS(names); i++)
        if (!read_felt(quote, get_member(object, names[i]), names[i], &felt))
            return FALSE;
    quote->n_l1_to_l2++;
    return read_payload(quote, object, payload);
}

static gboolean
read_messages(KhQuote *quote, JsonObject *object, const char *name,
              gboolean (*read)(KhQuote *quote, JsonObject *object))
{
    JsonNode *node = get_member(object, name);
    JsonArray *array;

    if (node == NULL)
        return TRUE;
    if (!JSON_NODE_HOLDS_ARRAY(node))
        return fail(quote, "%s is not a list", name);
    array = json_node_get_array(node);
    for (guint i = 0; i < json_array_get_length(array); i++) {
        JsonNode *element = json_array_get_element(array, i);

        if (!JSON_NODE_HOLDS_OBJECT(element))
            return fail(quote, "%s has an element that is not an object", name);
        if (!read(quote, json_node_get_object(element)))
            return FALSE;
    }
    return TRUE;
}

/* --- the three schemas --------------------------------------------------------------- */

#define FIELD(name, member)                                                                        \
    {                                                                                              \
        name, G_STRUCT_OFFSET(KhQuote, member)                                                     \
    }

static const Field block_fields[] = {
    FIELD("stateRoot", state_root),
    FIELD("blockHash", block_hash),
};

static const Field range_fields[] = {
    FIELD("blockNumber", block_number),           FIELD("prevBlockNumber", prev_block_number),
    FIELD("prevBlockHash", prev_block_hash),      FIELD("prevStateRoot", prev_state_root),
    FIELD("eventsCommitment", events_commitment), FIELD("messagesCommitment", messages_commitment),
};

/* Tells the schemas apart; quote.h has their history. */
static KhQuoteSchema
find_schema(JsonObject *object)
{
    if (json_object_has_member(object, "katanaTeeConfigHash"))
        return KH_QUOTE_CONFIG;
    if (json_object_has_member(object, "prevStateRoot"))
        return KH_QUOTE_RANGE;
    return json_object_has_member(object, "eventsCommitment") ? KH_QUOTE_UNKNOWN : KH_QUOTE_BLOCK;
}

static gboolean
read_range(KhQuote *quote, JsonObject *object)
{
    JsonNode *fork = get_member(object, "forkBlockNumber");

    quote->sharding = fork != NULL;
    return read_fields(quote, object, range_fields, G_N_ELEMENTS(range_fields), quote) &&
           (fork == NULL || read_felt(quote, fork, "forkBlockNumber", &quote->fork_block_number)) &&
           read_messages(quote, object, "l2ToL1Messages", read_l2_to_l1) &&
           read_messages(quote, object, "l1ToL2Messages", read_l1_to_l2);
}

static gboolean
read_schema(KhQuote *quote, JsonObject *object, KhQuoteSchema schema)
{
    if (schema == KH_QUOTE_UNKNOWN)
        return fail(quote, "it has events but no previous state, as no known Katana answers");
    if (!read_fields(quote, object, block_fields, G_N_ELEMENTS(block_fields), quote))
        return FALSE;
    if (schema == KH_QUOTE_BLOCK)
        return read_number(quote, get_member(object, "blockNumber"), "blockNumber",
                           &quote->block_number);
    return read_range(quote, object) &&
           (schema != KH_QUOTE_CONFIG || read_felt(quote, get_member(object, "katanaTeeConfigHash"),
                                                   "katanaTeeConfigHash", &quote->config_hash));
}

/* --- the quote itself ---------------------------------------------------------------- */

/* NULL for what is no hex, or of another length. */
static GBytes *
read_bytes(const char *text)
{
    gsize n = text == NULL ? 0 : strlen(text);
    gsize size = n < 2 ? 0 : (n - 2) / 2;
    g_autofree guint8 *bytes = NULL;

    if (n < 2 || n % 2 != 0 || !g_str_has_prefix(text, "0x") ||
        (size != KH_REPORT_SIZE && size != KH_REPORT_MOCK_SIZE))
        return NULL;
    bytes = g_malloc(size);
    if (!kh_bytes_from_hex(text, "the quote", bytes, size, NULL))
        return NULL;
    return g_bytes_new_take(g_steal_pointer(&bytes), size);
}

static KhQuote *
read_result(JsonObject *object, GError **error)
{
    const char *text = get_text(get_member(object, "quote"));
    g_autoptr(GBytes) bytes = read_bytes(text);
    KhQuoteSchema schema = find_schema(object);
    KhQuote *quote;

    if (bytes == NULL) {
        g_set_error(error, KH_ERROR, KH_ERROR_FAILED,
                    "The quote is %" G_GSIZE_FORMAT
                    " characters; it must be 0x and the hex digits of a report of %d bytes, or of "
                    "a mock of %d",
                    text == NULL ? 0 : strlen(text), KH_REPORT_SIZE, KH_REPORT_MOCK_SIZE);
        return NULL;
    }
    quote = g_new0(KhQuote, 1);
    quote->bytes = g_steal_pointer(&bytes);
    quote->l2_to_l1 = g_ptr_array_new_with_free_func(free_message);
    quote->schema = read_schema(quote, object, schema) ? schema : KH_QUOTE_UNKNOWN;
    return quote;
}

KhQuote *
kh_quote_parse(const char *text, gsize length, GError **error)
{
    g_autoptr(JsonObject) object = kh_json_parse_exact(text, length, error);

    if (object != NULL)
        return read_result(object, error);
    g_prefix_error(error, "The quote cannot be read: ");
    return NULL;
}

/* --- the answer ---------------------------------------------------------------------- */

static void
set_rpc_error(GError **error, gint64 code, const char *message)
{
    g_autofree char *said = kh_text_sanitize(message == NULL ? "" : message, SHOWN_MAX);
    KhError kind = KH_ERROR_FAILED;
    const char *meaning = "look at its log";

    switch (code) {
    case RPC_METHOD_NOT_FOUND:
        kind = KH_ERROR_NOT_SUPPORTED;
        meaning = "it has no such method: start it with --tee, or use a Katana that has it";
        break;
    case RPC_INVALID_PARAMS:
        kind = KH_ERROR_INVALID_ARGUMENT;
        meaning = "it does not take these blocks; ask for one that it has";
        break;
    case RPC_NOT_AVAILABLE:
        kind = KH_ERROR_NOT_SUPPORTED;
        meaning = "it has no attester: start it with --tee in a confidential machine";
        break;
    case RPC_QUOTE_FAILED:
        meaning = "its attester gave no report: the guest's SEV device may be missing";
        break;
    case RPC_PROVIDER_ERROR:
        meaning = "its database gave no block: ask for one that it has";
        break;
    default:
        break;
    }
    g_set_error(error, KH_ERROR, (int)kind,
                "Katana answers " METHOD " with error %" G_GINT64_FORMAT " (%s); %s", code, said,
                meaning);
}

static gboolean
take_rpc_error(JsonNode *node, GError **error)
{
    JsonObject *object = JSON_NODE_HOLDS_OBJECT(node) ? json_node_get_object(node) : NULL;
    JsonNode *code = object == NULL ? NULL : get_member(object, "code");

    if (code == NULL || !JSON_NODE_HOLDS_VALUE(code) ||
        json_node_get_value_type(code) != G_TYPE_INT64)
        return kh_error_set(error, KH_ERROR_FAILED,
                            "Katana answers " METHOD " with an error that has no code");
    set_rpc_error(error, json_node_get_int(code), get_text(get_member(object, "message")));
    return FALSE;
}

KhQuote *
kh_quote_parse_answer(const char *text, gsize length, GError **error)
{
    g_autoptr(JsonObject) object = kh_json_parse_exact(text, length, error);
    JsonNode *failure, *result;

    if (object == NULL) {
        g_prefix_error(error, "Katana's answer to " METHOD " cannot be read: ");
        return NULL;
    }
    failure = get_member(object, "error");
    result = get_member(object, "result");
    if (failure != NULL) {
        take_rpc_error(failure, error);
        return NULL;
    }
    if (result != NULL && JSON_NODE_HOLDS_OBJECT(result))
        return read_result(json_node_get_object(result), error);
    g_set_error(error, KH_ERROR, KH_ERROR_FAILED,
                "Katana's answer to " METHOD " has neither a result nor an error");
    return NULL;
}

/* --- what it is ---------------------------------------------------------------------- */

const char *
kh_quote_schema_name(const KhQuote *quote)
{
    switch (quote->schema) {
    case KH_QUOTE_BLOCK:
        return "of January 2026";
    case KH_QUOTE_RANGE:
        return quote->sharding ? "of March 2026 (sharding)" : "of March 2026 (appchain)";
    case KH_QUOTE_CONFIG:
        return quote->sharding ? "KatanaTeeReport1 (sharding)" : "KatanaTeeReport1 (appchain)";
    case KH_QUOTE_UNKNOWN:
    default:
        return "unknown";
    }
}

gboolean
kh_quote_is_legacy(const KhQuote *quote)
{
    return quote->schema == KH_QUOTE_BLOCK || quote->schema == KH_QUOTE_RANGE;
}

gboolean
kh_quote_is_mock(const KhQuote *quote)
{
    return g_bytes_get_size(quote->bytes) == KH_REPORT_MOCK_SIZE;
}

static gboolean
is_good_mock(const guint8 *bytes)
{
    guint32 sum = 0, found;

    for (gsize i = 0; i < KH_REPORT_MOCK_SIZE - sizeof found; i++)
        sum += bytes[i];
    memcpy(&found, bytes + KH_REPORT_MOCK_SIZE - sizeof found, sizeof found);
    return memcmp(bytes, MOCK_MARK, strlen(MOCK_MARK)) == 0 && GUINT32_FROM_LE(found) == sum;
}

const guint8 *
kh_quote_report_data(const KhQuote *quote, GError **error)
{
    const guint8 *bytes = g_bytes_get_data(quote->bytes, NULL);

    if (!kh_quote_is_mock(quote))
        return bytes + REPORT_DATA_OFFSET;
    if (is_good_mock(bytes))
        return bytes + strlen(MOCK_MARK);
    g_set_error(error, KH_ERROR, KH_ERROR_FAILED,
                "The quote has %d bytes but is not a mock: its mark or its sum is wrong",
                KH_REPORT_MOCK_SIZE);
    return NULL;
}
