/* SPDX-License-Identifier: MIT */
/*
 * How the shim tells its starter of success and failure: the ready pipe of the service and
 * systemd's notify socket. Called by shim.c, shim-run.c and shim-loop.c.
 */
#pragma once

#include <sys/types.h>

#include "shim-error.h"

/* A datagram socket connected to $NOTIFY_SOCKET (abstract names too), -1 without one. */
int kh_shim_notify_open(void);

/* Sends text such as "STOPPING=1" if there is room for it; does nothing for -1. */
void kh_shim_notify_send(int notify, const char *text);

/*
 * Writes the ready line, closes the pipe (-1: none), sends READY=1 and the line as STATUS=.
 * False when nobody reads the pipe any more.
 */
bool kh_shim_report_ready(int ready_fd, int notify, pid_t qemu);

/* Sends STATUS= with the error line, for a failure that was said on stderr already. */
void kh_shim_report_status(const KhShimError *error);

/* Writes the error line, closes the pipe, sends it as STATUS=, and says it on stderr. */
void kh_shim_report_error(int ready_fd, const KhShimError *error);
