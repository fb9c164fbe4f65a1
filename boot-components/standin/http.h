/* SPDX-License-Identifier: MIT */
/*
 * A bounded HTTP/1.1 server in one thread. Sizes, times and the number of connections are
 * limited, since a guest's clients are not trusted. Used by main.c; rpc.c answers.
 */
#ifndef STANDIN_HTTP_H
#define STANDIN_HTTP_H

#include "buf.h"

#define HTTP_MAX_HEADER (16u * 1024)
#define HTTP_MAX_BODY (1024u * 1024)
#define HTTP_MAX_REPLY (256u * 1024)
#define HTTP_MAX_CONNECTIONS 64
/* From the first byte of a request to its last, and for a reply to be taken. */
#define HTTP_REQUEST_MS 10000
/* Between two requests. */
#define HTTP_IDLE_MS 30000

struct http_request {
    const char *method; /* ended by NUL */
    const char *target; /* ended by NUL */
    const char *body;
    size_t body_len;
};

struct http_reply {
    int status;      /* 200 when the handler is called */
    bool hang;       /* never answer */
    struct buf body; /* JSON */
};

struct http_hooks {
    void (*handle)(void *context, const struct http_request *request, struct http_reply *reply);
    /* Called at least as often as it asks for: returns the milliseconds to its next need, -1
     * for none. */
    int (*tick)(void *context);
    void *context;
};

/* Listens on an IPv4 address; the descriptor, or -1 with a line on the console. */
int http_listen(const char *address, unsigned port);

/* Serves until the signal descriptor becomes readable. */
void http_serve(int listen_fd, int signal_fd, const struct http_hooks *hooks);

#endif
