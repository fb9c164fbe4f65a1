/* SPDX-License-Identifier: MIT */
/*
 * What the stand-in answers: GET / and JSON-RPC 2.0, single and batch. Called by http.c
 * through main.c.
 */
#ifndef STANDIN_RPC_H
#define STANDIN_RPC_H

#include "attester.h"
#include "chain.h"
#include "http.h"
#include "options.h"

#define RPC_MAX_BATCH 100

struct rpc {
    const struct options *options;
    struct chain chain;
    const struct attester *attester; /* NULL: no quotes */
};

/* context is a struct rpc. */
void rpc_handle(void *context, const struct http_request *request, struct http_reply *reply);

#endif
