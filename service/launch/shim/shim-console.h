/* SPDX-License-Identifier: MIT */
/*
 * The console server: up to 4 clients see what the guest prints from now on and type into
 * its serial port. A client that does not read loses output; a guest that does not read
 * its input holds the clients' input back. Called by shim-run.c.
 */
#pragma once

#include <poll.h>
#include <sys/types.h>

#include "shim-buffer.h"
#include "shim-error.h"

#define KH_SHIM_CONSOLE_CLIENTS 4
#define KH_SHIM_CONSOLE_SLOTS (1 + KH_SHIM_CONSOLE_CLIENTS)

typedef struct {
    int listener;
    uid_t service_uid;
    KhShimBuffer to_guest;
    struct {
        int fd; /* -1: free */
        KhShimBuffer output;
    } clients[KH_SHIM_CONSOLE_CLIENTS];
} KhShimConsole;

/* Takes the listening socket. */
bool kh_shim_console_init(KhShimConsole *console, int listener, uid_t service_uid,
                          KhShimError *error);

/* Fills KH_SHIM_CONSOLE_SLOTS entries, and later handles what poll said of them. */
void kh_shim_console_prepare(const KhShimConsole *console, struct pollfd *slots);
void kh_shim_console_handle(KhShimConsole *console, const struct pollfd *slots);

/* Gives the guest's output to every client. */
void kh_shim_console_output(KhShimConsole *console, const char *data, size_t length);

/* Sends once what is left, closes all. */
void kh_shim_console_close(KhShimConsole *console);
