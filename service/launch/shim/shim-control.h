/* SPDX-License-Identifier: MIT */
/*
 * The control relay: one client, the service, talks to the guest's virtio-serial port
 * org.katana.control.0 through the shim; the newest client replaces the one before. The
 * shim holds the port open when there is no client and can ask the guest to stop itself.
 * The guest gets whole lines only, so that half a command of a client that is gone is
 * lost with it, and the rest of a half reply to it is kept from the next. A client whose
 * line is longer than 4 KiB is dropped. Called by shim-run.c.
 */
#pragma once

#include <poll.h>
#include <sys/types.h>

#include "shim-buffer.h"
#include "shim-error.h"

#define KH_SHIM_CONTROL_SLOTS 3

typedef struct {
    int listener;
    int guest;  /* -1 after QEMU has closed it */
    int client; /* -1: none */
    uid_t service_uid;
    KhShimBuffer to_guest;
    KhShimBuffer to_client;
    size_t whole;         /* bytes of to_guest that are whole lines */
    char last_from_guest; /* the last byte it sent */
    bool skip_line;       /* the rest of the current reply is not for this client */
} KhShimControl;

/* Takes the listening socket and the shim's end of the socketpair. */
bool kh_shim_control_init(KhShimControl *control, int listener, int guest, uid_t service_uid,
                          KhShimError *error);

/* Fills KH_SHIM_CONTROL_SLOTS entries, and later handles what poll said of them. */
void kh_shim_control_prepare(const KhShimControl *control, struct pollfd *slots);
void kh_shim_control_handle(KhShimControl *control, const struct pollfd *slots);

/* Queues "stop\n" for the guest; always finds room. */
void kh_shim_control_stop(KhShimControl *control);

/* Passes on the guest's last words, closes all. */
void kh_shim_control_close(KhShimControl *control);
