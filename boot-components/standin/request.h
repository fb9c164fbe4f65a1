/* SPDX-License-Identifier: MIT */
/*
 * Takes one HTTP request off the front of what a connection has sent. Used by http.c.
 */
#ifndef STANDIN_REQUEST_H
#define STANDIN_REQUEST_H

#include "http.h"

struct parsed {
    int status;    /* 200, or the error to answer before closing */
    bool complete; /* the body is there */
    bool expects;  /* the client waits for "100 Continue" */
    bool close;    /* the client wants the connection closed */
    size_t size;   /* bytes that the request takes */
    struct http_request request;
};

/* Parses what is there. False: the header is not complete. The text is changed in place (ends
 * of words become NUL) once the request is complete, and the request points into it. */
bool request_parse(struct buf *in, struct parsed *parsed);

#endif
