/* SPDX-License-Identifier: MIT */
/*
 * The shim's own QMP monitor, for one thing: a paused guest cannot answer "stop" on the
 * control channel, so it is resumed when the shim is asked to stop it. QEMU serves one
 * client per monitor, and that of qmp.sock is the service, which may be there or not;
 * hence a second monitor, on a socketpair, silent until then (QMP sends no event before
 * qmp_capabilities). A guest that runs is left alone: `cont` would announce STOP and RESUME
 * to the service. Called by shim-loop.c.
 */
#pragma once

#include <poll.h>
#include <stdbool.h>
#include <stddef.h>

typedef struct {
    int fd; /* the shim's end; -1 after QEMU's end of it */
    bool asked;
    bool resumed;
    char seen[1024]; /* what QEMU has said last, for the answer to query-status */
    size_t length;
} KhShimMonitor;

/* Asks QEMU whether the guest is paused; it is resumed when the answer comes. */
void kh_shim_monitor_resume(KhShimMonitor *monitor);

/* Fills one entry, and later handles what poll said of it. */
void kh_shim_monitor_prepare(const KhShimMonitor *monitor, struct pollfd *slot);
void kh_shim_monitor_handle(KhShimMonitor *monitor, const struct pollfd *slot);

void kh_shim_monitor_close(KhShimMonitor *monitor);
