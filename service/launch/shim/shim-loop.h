/* SPDX-License-Identifier: MIT */
/*
 * The main loop of the shim while QEMU runs: moves bytes between QEMU, the logs, the
 * console and the control channel, and stops the guest when asked by a signal. Every turn
 * takes a bounded amount from each source, so that none starves another.
 */
#pragma once

#include "shim-child.h"
#include "shim-console.h"
#include "shim-control.h"
#include "shim-log.h"
#include "shim-monitor.h"

typedef enum {
    KH_SHIM_STOP_NONE,
    KH_SHIM_STOP_ASKED,      /* "stop" is on the control channel */
    KH_SHIM_STOP_TERMINATED, /* QEMU has got SIGTERM */
    KH_SHIM_STOP_KILLED,
} KhShimStop;

typedef struct {
    KhShimChild child;
    KhShimLog serial_log;
    KhShimLog qemu_log;
    KhShimConsole console;
    KhShimControl control;
    KhShimMonitor monitor;
    int serial;            /* the shim's end of the serial port; -1 after its end */
    int errors;            /* read end of QEMU's stdout and stderr; -1 after its end */
    int signals;           /* signalfd of the signals that stop */
    int notify;            /* systemd's notify socket or -1 */
    unsigned stop_timeout; /* seconds */
    KhShimStop stop;
    int64_t stop_at; /* ms; when the next step of a stop is due, -1: never */
} KhShimLoop;

/* Blocks the signals that stop a machine and returns a signalfd for them; -1 with errno. */
int kh_shim_signals_open(void);

/* Runs until QEMU has ended and its last output is logged. Returns waitpid()'s status. */
int kh_shim_loop_run(KhShimLoop *loop);
