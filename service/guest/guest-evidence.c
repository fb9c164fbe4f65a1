/* SPDX-License-Identifier: MIT */
/*
 * Gathers evidence; see guest-evidence.h. The steps: which block (unless it is given), the quote,
 * the block's facts, the certificates; a deadline over all of them.
 */
#include "guest-evidence.h"

#include <string.h>

#include "error.h"
#include "rpc-call.h"
#include "json-guard.h"
#include "names.h"
#include "tee/input-file.h"
#include "tee/quote.h"

#define DEADLINE_S 60
#define BLOCK_MAX (G_GUINT64_CONSTANT(1) << 53) /* JSON's numbers are exact up to it */
#define FELT_MAX 66
#define FILES_MAX 16
#define FILE_MAX (64 * 1024)
#define LISTED_MAX 1024
#define NAME_LENGTH_MAX 255

typedef struct {
    char *address, *certificates;
    guint16 port;
    gboolean latest, before, genesis, old_form;
    guint64 block, prev;
    char *quote;
    GVariantDict *answer;
    GCancellable *cancellable;
    guint deadline;
} Gathering;

static void
gathering_free(gpointer data)
{
    Gathering *g = data;

    g_clear_handle_id(&g->deadline, g_source_remove);
    g_object_unref(g->cancellable);
    g_variant_dict_unref(g->answer);
    g_free(g->quote);
    g_free(g->address);
    g_free(g->certificates);
    g_free(g);
}

static void
call(GTask *task, const char *body, GAsyncReadyCallback callback)
{
    Gathering *g = g_task_get_task_data(task);

    kh_rpc_call_async(g->address, g->port, body, g->cancellable, callback, task);
}

/* Takes @task and @error. A call that the deadline has cancelled has run out of time. */
static void
fail(GTask *task, GError *error)
{
    Gathering *g = g_task_get_task_data(task);

    if (g->deadline == 0) {
        g_clear_error(&error);
        error = g_error_new(KH_ERROR, KH_ERROR_TIMED_OUT,
                            "The guest did not give its evidence within %d s; read its log",
                            DEADLINE_S);
    }
    g_task_return_error(task, error);
    g_object_unref(task);
}

/* --- answers are read in a thread: 4 MiB of them would keep the main loop for 0.2 s ---- */

/* Nothing else has to do with the gathering meanwhile, so that the thread may fill it in. */
typedef struct {
    Gathering *gathering;
    GBytes *answer;
} Reading;

static void
reading_free(gpointer data)
{
    Reading *reading = data;

    g_bytes_unref(reading->answer);
    g_free(reading);
}

/* Takes @answer; @next gets @task back as its data. */
static void
read_answer(GTask *task, GBytes *answer, GTaskThreadFunc read, GAsyncReadyCallback next)
{
    g_autoptr(GTask) reading = g_task_new(NULL, NULL, next, task);
    Reading *data = g_new0(Reading, 1);

    data->gathering = g_task_get_task_data(task);
    data->answer = answer;
    g_task_set_task_data(reading, data, reading_free);
    g_task_run_in_thread(reading, read);
}

/* The member "result" of an answer; NULL where there is none. Transfer full. */
static JsonNode *
result_of(GBytes *answer)
{
    gsize length = 0;
    const char *text = g_bytes_get_data(answer, &length);
    g_autoptr(JsonObject) object = kh_json_parse_exact(text, length, NULL);
    JsonNode *result = object == NULL ? NULL : json_object_get_member(object, "result");

    return result == NULL ? NULL : json_node_copy(result);
}

static gboolean
is_number(JsonNode *node)
{
    return node != NULL && JSON_NODE_HOLDS_VALUE(node) &&
           json_node_get_value_type(node) == G_TYPE_INT64 && json_node_get_int(node) >= 0;
}

/* One that a client may be shown, as a key of a dictionary. */
static gboolean
is_file_name(const char *name)
{
    g_autofree char *shown = kh_text_sanitize(name, NAME_LENGTH_MAX);

    return name[0] != '.' && g_str_equal(shown, name);
}

static int
compare_names(gconstpointer a, gconstpointer b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Of char *, in their order. */
static GPtrArray *
list_files(const char *folder)
{
    GPtrArray *names = g_ptr_array_new_with_free_func(g_free);
    g_autoptr(GDir) dir = g_dir_open(folder, 0, NULL);
    const char *name;

    while (dir != NULL && names->len < LISTED_MAX && (name = g_dir_read_name(dir)) != NULL)
        if (is_file_name(name))
            g_ptr_array_add(names, g_strdup(name));
    g_ptr_array_sort(names, compare_names);
    return names;
}

/* The files of the folder; a link, and one that is none or too long, is left out. */
static GVariant *
read_certificates(const char *folder)
{
    g_auto(GVariantBuilder) files = G_VARIANT_BUILDER_INIT(G_VARIANT_TYPE("a{say}"));
    g_autoptr(GPtrArray) names = list_files(folder);
    guint taken = 0;

    for (guint i = 0; i < names->len && taken < FILES_MAX; i++) {
        g_autofree char *path = g_build_filename(folder, names->pdata[i], NULL);
        g_autoptr(GBytes) bytes = kh_input_file_read_own(path, "certificate", FILE_MAX, NULL);

        if (bytes == NULL)
            continue;
        g_variant_builder_add(&files, "{s@ay}", names->pdata[i],
                              g_variant_new_from_bytes(G_VARIANT_TYPE_BYTESTRING, bytes, TRUE));
        taken++;
    }
    return g_variant_ref_sink(g_variant_builder_end(&files));
}

static void
read_in_thread(GTask *task, gpointer source, gpointer data, GCancellable *cancellable)
{
    g_task_return_pointer(task, read_certificates(data), (GDestroyNotify)g_variant_unref);
}

static void
on_certificates(GObject *source, GAsyncResult *result, gpointer data)
{
    g_autoptr(GTask) task = data;
    Gathering *g = g_task_get_task_data(task);
    g_autoptr(GVariant) files = g_task_propagate_pointer(G_TASK(result), NULL);
    g_autofree char *previous =
        g->genesis ? g_strdup("") : g_strdup_printf("%" G_GUINT64_FORMAT, g->prev);

    g_variant_dict_insert_value(g->answer, "certificates", files);
    g_variant_dict_insert(g->answer, "quote", "s", g->quote);
    g_variant_dict_insert(g->answer, "block", "t", g->block);
    g_variant_dict_insert(g->answer, "previous", "s", previous);
    g_variant_dict_insert(g->answer, "old-form", "b", g->old_form);
    g_task_return_pointer(task, g_variant_ref_sink(g_variant_dict_end(g->answer)),
                          (GDestroyNotify)g_variant_unref);
}

static void
find_certificates(GTask *task)
{
    Gathering *g = g_task_get_task_data(task);
    g_autoptr(GTask) reading = g_task_new(NULL, NULL, on_certificates, task);

    g_task_set_task_data(reading, g_strdup(g->certificates), g_free);
    g_task_run_in_thread(reading, read_in_thread);
}

static void
take_felt(Gathering *g, JsonObject *block, const char *member, const char *key)
{
    JsonNode *node = json_object_get_member(block, member);
    const char *text = node == NULL || json_node_get_value_type(node) != G_TYPE_STRING
                           ? NULL
                           : json_node_get_string(node);

    if (text != NULL && g_str_has_prefix(text, "0x") && strlen(text) <= FELT_MAX &&
        strspn(text + 2, "0123456789abcdefABCDEF") == strlen(text) - 2)
        g_variant_dict_insert(g->answer, key, "s", text);
}

/* What cannot be had is left out: the quote stands by itself. */
static void
read_facts(GTask *task, gpointer source, gpointer data, GCancellable *cancellable)
{
    const Reading *reading = data;
    Gathering *g = reading->gathering;
    g_autoptr(JsonNode) node = result_of(reading->answer);
    JsonObject *block =
        node != NULL && JSON_NODE_HOLDS_OBJECT(node) ? json_node_get_object(node) : NULL;

    if (block != NULL) {
        take_felt(g, block, "block_hash", "block-hash");
        take_felt(g, block, "new_root", "state-root");
        if (is_number(json_object_get_member(block, "timestamp")))
            g_variant_dict_insert(g->answer, "timestamp", "t",
                                  (guint64)json_object_get_int_member(block, "timestamp"));
    }
    g_task_return_boolean(task, TRUE);
}

static void
on_facts_read(GObject *source, GAsyncResult *result, gpointer data)
{
    find_certificates(data);
}

static void
on_facts(GObject *source, GAsyncResult *result, gpointer data)
{
    GBytes *answer = kh_rpc_call_finish(result, NULL);

    if (answer != NULL)
        read_answer(data, answer, read_facts, on_facts_read);
    else
        find_certificates(data);
}

static void
ask_facts(GTask *task)
{
    Gathering *g = g_task_get_task_data(task);
    g_autofree char *body = g_strdup_printf(
        "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"starknet_getBlockWithTxHashes\","
        "\"params\":{\"block_id\":{\"block_number\":%" G_GUINT64_FORMAT "}}}",
        g->block);

    call(task, body, on_facts);
}

static void ask_in_old_form(GTask *task);

/* The library reads it for its errors alone; a verifier will read it again. */
static void
read_quote(GTask *task, gpointer source, gpointer data, GCancellable *cancellable)
{
    const Reading *reading = data;
    Gathering *g = reading->gathering;
    GError *error = NULL;
    g_autoptr(KhQuote) quote = kh_quote_parse_answer(g_bytes_get_data(reading->answer, NULL),
                                                     g_bytes_get_size(reading->answer), &error);
    g_autoptr(JsonNode) node = quote == NULL ? NULL : result_of(reading->answer);

    if (node == NULL) {
        if (error == NULL)
            error = g_error_new(KH_ERROR, KH_ERROR_FAILED, "The guest's quote cannot be read");
        g_task_return_error(task, error);
        return;
    }
    g->quote = json_to_string(node, FALSE);
    /* It has chosen the block itself then. */
    if (g->old_form && !kh_felt_to_u64(&quote->block_number, &g->block))
        g->block = 0;
    g_task_return_boolean(task, TRUE);
}

static void
on_quote_read(GObject *source, GAsyncResult *result, gpointer data)
{
    GTask *task = data;
    Gathering *g = g_task_get_task_data(task);
    GError *error = NULL;

    if (g_task_propagate_boolean(G_TASK(result), &error)) {
        ask_facts(task);
    } else if (!g->old_form && kh_quote_wants_old_form(error)) {
        g_clear_error(&error);
        ask_in_old_form(task);
    } else {
        fail(task, error);
    }
}

static void
on_quote(GObject *source, GAsyncResult *result, gpointer data)
{
    GError *error = NULL;
    GBytes *answer = kh_rpc_call_finish(result, &error);

    if (answer != NULL)
        read_answer(data, answer, read_quote, on_quote_read);
    else
        fail(data, error);
}

static void
ask_in_old_form(GTask *task)
{
    Gathering *g = g_task_get_task_data(task);
    g_autofree char *body = kh_quote_request_old_form();

    g->old_form = TRUE;
    call(task, body, on_quote);
}

static void
ask_quote(GTask *task)
{
    Gathering *g = g_task_get_task_data(task);
    g_autofree char *body = NULL;

    if (g->before) {
        g->genesis = g->block == 0;
        g->prev = g->genesis ? 0 : g->block - 1;
    }
    body = kh_quote_request(g->genesis ? NULL : &g->prev, g->block);
    call(task, body, on_quote);
}

static void
read_latest(GTask *task, gpointer source, gpointer data, GCancellable *cancellable)
{
    const Reading *reading = data;
    g_autoptr(JsonNode) node = result_of(reading->answer);

    if (is_number(node)) {
        reading->gathering->block = (guint64)json_node_get_int(node);
        g_task_return_boolean(task, TRUE);
    } else {
        g_task_return_new_error(task, KH_ERROR, KH_ERROR_FAILED,
                                "The guest does not say which block is its latest");
    }
}

static void
on_latest_read(GObject *source, GAsyncResult *result, gpointer data)
{
    GError *error = NULL;

    if (g_task_propagate_boolean(G_TASK(result), &error))
        ask_quote(data);
    else
        fail(data, error);
}

static void
on_latest(GObject *source, GAsyncResult *result, gpointer data)
{
    GError *error = NULL;
    GBytes *answer = kh_rpc_call_finish(result, &error);

    if (answer != NULL)
        read_answer(data, answer, read_latest, on_latest_read);
    else
        fail(data, error);
}

static gboolean
on_deadline(gpointer data)
{
    Gathering *g = data;

    g->deadline = 0;
    g_cancellable_cancel(g->cancellable);
    return G_SOURCE_REMOVE;
}

static Gathering *
gathering_new(const KhEvidenceRequest *request)
{
    Gathering *g = g_new0(Gathering, 1);

    g->address = g_strdup(request->address);
    g->port = request->port;
    g->latest = request->latest;
    g->block = request->block;
    g->before = request->before;
    g->genesis = request->genesis;
    g->prev = request->prev;
    g->certificates = g_strdup(request->certificates);
    g->answer = g_variant_dict_new(NULL);
    g->cancellable = g_cancellable_new();
    g->deadline = g_timeout_add_seconds(DEADLINE_S, on_deadline, g);
    return g;
}

void
kh_evidence_gather_async(const KhEvidenceRequest *request, GAsyncReadyCallback callback,
                         gpointer user_data)
{
    GTask *task = g_task_new(NULL, NULL, callback, user_data);

    g_task_set_source_tag(task, kh_evidence_gather_async);
    g_task_set_task_data(task, gathering_new(request), gathering_free);
    if (request->block > BLOCK_MAX || request->prev > BLOCK_MAX)
        fail(task, g_error_new(KH_ERROR, KH_ERROR_INVALID_ARGUMENT,
                               "A block's number is at most %" G_GUINT64_FORMAT, BLOCK_MAX));
    else if (request->latest)
        call(task,
             "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"starknet_blockNumber\",\"params\":[]}",
             on_latest);
    else
        ask_quote(task);
}

GVariant *
kh_evidence_gather_finish(GAsyncResult *result, GError **error)
{
    return g_task_propagate_pointer(G_TASK(result), error);
}
