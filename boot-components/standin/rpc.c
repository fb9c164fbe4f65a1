/* SPDX-License-Identifier: MIT */
/* See rpc.h. */
#include "rpc.h"

#include "json.h"
#include "quote.h"

#include <inttypes.h>
#include <string.h>
#include <unistd.h>

/* A quote is the longest. */
#define RPC_MAX_RESULT 8192

#define SPEC_VERSION "0.9.0"

struct call {
    struct rpc *rpc;
    struct json_span params;
    struct buf *out; /* takes the result or the error, without the braces around it */
};

struct method {
    const char *name;
    bool needs_dev;
    void (*answer)(struct call *call);
};

static void
put_error(struct buf *out, int code, const char *message)
{
    buf_printf(out, "\"error\":{\"code\":%d,\"message\":\"%s\"}", code, message);
}

static void
answer_health(struct call *call)
{
    buf_puts(call->out, "\"result\":{\"health\":true}");
}

static void
answer_chain_id(struct call *call)
{
    buf_printf(call->out, "\"result\":\"%s\"", call->rpc->chain.id);
}

static void
answer_block_number(struct call *call)
{
    buf_printf(call->out, "\"result\":%" PRIu64, call->rpc->chain.block);
}

static void
answer_spec_version(struct call *call)
{
    buf_puts(call->out, "\"result\":\"" SPEC_VERSION "\"");
}

static void
answer_syncing(struct call *call)
{
    buf_puts(call->out, "\"result\":false");
}

static void
answer_info(struct call *call)
{
    buf_printf(call->out,
               "\"result\":{\"version\":\"" STANDIN_VERSION " (stand-in, not Katana)\","
               "\"standIn\":true,\"features\":[],\"chainId\":\"%s\",\"dev\":%s}",
               call->rpc->chain.id, call->rpc->options->dev ? "true" : "false");
}

static void
answer_generate_block(struct call *call)
{
    if (chain_make_block(&call->rpc->chain))
        buf_puts(call->out, "\"result\":null");
    else
        put_error(call->out, -32603, "the block could not be written to the data disk");
}

/* A parameter by its place or its name. */
static struct json_span
get_param(const struct call *call, unsigned place, const char *name)
{
    const char *cursor = NULL;
    struct json_span param;

    while (json_next(call->params, &cursor, &param))
        if (place-- == 0)
            return param;
    return json_member(call->params, name);
}

/* A whole number below 2^63, as a block's is. */
static bool
read_number(struct json_span value, uint64_t *number)
{
    if (value.data == NULL || value.len < 1 || value.len > 18)
        return false;
    *number = 0;
    for (size_t i = 0; i < value.len; i++) {
        if (value.data[i] < '0' || value.data[i] > '9')
            return false;
        *number = 10 * *number + (uint64_t)(value.data[i] - '0');
    }
    return true;
}

static void
put_invalid_params(struct buf *out)
{
    put_error(out, -32602, "Invalid params");
}

static void
answer_block(struct call *call)
{
    const struct chain *chain = &call->rpc->chain;
    struct json_span id = get_param(call, 0, "block_id");
    bool latest = json_is_string(id, "latest");
    uint64_t number = chain->block;

    if (!latest && json_kind(id) != '{') {
        put_invalid_params(call->out);
    } else if (!latest && !read_number(json_member(id, "block_number"), &number)) {
        put_error(call->out, 24, "Block not found: the stand-in finds blocks by number");
    } else if (number > chain->block) {
        put_error(call->out, 24, "Block not found");
    } else {
        buf_puts(call->out, "\"result\":");
        quote_put_block(call->out, chain, number);
    }
}

/* Katana's code for a service without an attester. */
static void
refuse_quote(struct call *call)
{
    bool hardware = access("/dev/sev-guest", F_OK) == 0;

    put_error(call->out, 100,
              hardware ? "the stand-in makes no quotes; build the boot components with Katana"
                       : "a quote needs SEV-SNP hardware: this guest has no /dev/sev-guest");
}

static void
answer_quote(struct call *call)
{
    const struct rpc *rpc = call->rpc;
    struct json_span first = get_param(call, 0, "prev_block_id");
    uint64_t prev = 0;
    uint64_t block = 0;
    bool from_first = json_kind(first) == 'n';

    if (rpc->attester == NULL) {
        refuse_quote(call);
    } else if ((!from_first && !read_number(first, &prev)) ||
               !read_number(get_param(call, 1, "block_id"), &block)) {
        put_invalid_params(call->out);
    } else if (prev > rpc->chain.block || block > rpc->chain.block) {
        put_error(call->out, 102, "there is no such block");
    } else {
        buf_puts(call->out, "\"result\":");
        if (!quote_put(call->out, &rpc->chain, rpc->attester, from_first ? NULL : &prev, block)) {
            buf_drop(call->out, call->out->len);
            put_error(call->out, 101, "the report could not be signed");
        }
    }
}

static const struct method methods[] = {
    {"health", false, answer_health},
    {"starknet_chainId", false, answer_chain_id},
    {"starknet_blockNumber", false, answer_block_number},
    {"starknet_specVersion", false, answer_spec_version},
    {"starknet_syncing", false, answer_syncing},
    {"node_getInfo", false, answer_info},
    {"dev_generateBlock", true, answer_generate_block},
    {"starknet_getBlockWithTxHashes", false, answer_block},
    {"tee_generateQuote", false, answer_quote},
};

static const struct method *
find_method(const struct rpc *rpc, struct json_span name)
{
    for (size_t i = 0; i < sizeof methods / sizeof *methods; i++)
        if (json_is_string(name, methods[i].name))
            return methods[i].needs_dev && !rpc->options->dev ? NULL : &methods[i];
    return NULL;
}

/* What may be an id: a string, a number or null. */
static bool
is_id(struct json_span id)
{
    char kind = json_kind(id);

    return id.len <= 256 && kind != '\0' && strchr("\"-0123456789n", kind) != NULL;
}

static bool
is_call(struct json_span request)
{
    struct json_span id = json_member(request, "id");
    char params = json_kind(json_member(request, "params"));

    return json_kind(request) == '{' && (id.data == NULL || is_id(id)) &&
           json_is_string(json_member(request, "jsonrpc"), "2.0") &&
           json_kind(json_member(request, "method")) == '"' &&
           (params == '\0' || params == '[' || params == '{' || params == 'n');
}

/* Answers one call; a notification adds nothing. */
static void
answer_one(struct rpc *rpc, struct json_span request, struct buf *out)
{
    struct json_span id = json_member(request, "id");
    struct buf result = {.max = RPC_MAX_RESULT};
    struct call call = {rpc, json_member(request, "params"), &result};
    bool valid = is_call(request);
    const struct method *method = valid ? find_method(rpc, json_member(request, "method")) : NULL;

    if (!valid)
        put_error(&result, -32600, "Invalid request");
    else if (method == NULL)
        put_error(&result, -32601, "Method not found");
    else
        method->answer(&call);
    if (method != NULL)
        say("rpc %s", method->name);
    else
        say("rpc refused: %s", valid ? "unknown method" : "invalid request");

    if (!valid || id.data != NULL) {
        buf_puts(out, "{\"jsonrpc\":\"2.0\",\"id\":");
        if (is_id(id))
            buf_add(out, id.data, id.len);
        else
            buf_puts(out, "null");
        buf_puts(out, ",");
        buf_add(out, result.data, result.len);
        buf_puts(out, "}");
    }
    out->failed = out->failed || result.failed;
    buf_free(&result);
}

static void
answer_error(struct buf *out, int code, const char *message)
{
    buf_puts(out, "{\"jsonrpc\":\"2.0\",\"id\":null,");
    put_error(out, code, message);
    buf_puts(out, "}");
}

static void
answer_batch(struct rpc *rpc, struct json_span batch, struct buf *out)
{
    const char *cursor = NULL;
    struct json_span element;
    unsigned count = 0;

    while (json_next(batch, &cursor, &element))
        count++;
    if (count == 0 || count > RPC_MAX_BATCH) {
        answer_error(out, -32600, count == 0 ? "Invalid request" : "The batch is too long");
        return;
    }

    cursor = NULL;
    buf_puts(out, "[");
    while (json_next(batch, &cursor, &element)) {
        size_t before = out->len;

        if (before > 1)
            buf_puts(out, ",");

        size_t start = out->len;

        answer_one(rpc, element, out);
        if (out->len == start)
            out->len = before;
    }
    buf_puts(out, "]");
    if (out->len == 2)
        out->len = 0;
}

static void
answer_post(struct rpc *rpc, const struct http_request *request, struct http_reply *reply)
{
    struct json_span value;

    if (!json_parse(request->body, request->body_len, &value))
        answer_error(&reply->body, -32700, "Parse error");
    else if (json_kind(value) == '[')
        answer_batch(rpc, value, &reply->body);
    else
        answer_one(rpc, value, &reply->body);
}

static void
answer_get(const struct rpc *rpc, struct http_reply *reply)
{
    const char *fault = rpc->options->health;

    if (fault != NULL && strcmp(fault, "hang") == 0) {
        reply->hang = true;
    } else if (fault != NULL && strcmp(fault, "500") == 0) {
        reply->status = 500;
        buf_puts(&reply->body, "{\"error\":\"fake.health\"}");
    } else {
        buf_printf(&reply->body, "{\"health\":%s}", fault == NULL ? "true" : "false");
    }
}

void
rpc_handle(void *context, const struct http_request *request, struct http_reply *reply)
{
    struct rpc *rpc = context;

    if (strcmp(request->target, "/") != 0 && strncmp(request->target, "/?", 2) != 0)
        reply->status = 404;
    else if (strcmp(request->method, "POST") == 0)
        answer_post(rpc, request, reply);
    else if (strcmp(request->method, "GET") == 0 || strcmp(request->method, "HEAD") == 0)
        answer_get(rpc, reply);
    else if (strcmp(request->method, "OPTIONS") != 0)
        reply->status = 405;
}
