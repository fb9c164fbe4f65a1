/* SPDX-License-Identifier: MIT */
/* See rpc.h. */
#include "rpc.h"

#include "json.h"

#include <inttypes.h>
#include <string.h>
#include <unistd.h>

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

static void
answer_quote(struct call *call)
{
    bool hardware = access("/dev/sev-guest", F_OK) == 0;

    /* Katana's code for a service without an attester. */
    put_error(call->out, 100,
              hardware ? "the stand-in makes no quotes; build the boot components with Katana"
                       : "a quote needs SEV-SNP hardware: this guest has no /dev/sev-guest");
}

static const struct method methods[] = {
    {"health", false, answer_health},
    {"starknet_chainId", false, answer_chain_id},
    {"starknet_blockNumber", false, answer_block_number},
    {"starknet_specVersion", false, answer_spec_version},
    {"starknet_syncing", false, answer_syncing},
    {"node_getInfo", false, answer_info},
    {"dev_generateBlock", true, answer_generate_block},
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
    struct buf result = {.max = 4096};
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
