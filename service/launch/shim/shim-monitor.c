/* SPDX-License-Identifier: MIT */
/* The shim's own QMP monitor. */
#include "shim-monitor.h"

#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "shim-buffer.h"

/* How QEMU writes it in its answer, and what is kept of a full buffer to find it across. */
static const char paused[] = "\"running\": false";
#define OVERLAP (sizeof paused)

/* Short, and to a socket that has hardly carried a byte: it goes in whole or not at all. */
static void
command(KhShimMonitor *monitor, const char *text)
{
    if (monitor->fd >= 0 && send(monitor->fd, text, strlen(text), MSG_NOSIGNAL) < 0)
        kh_shim_monitor_close(monitor);
}

void
kh_shim_monitor_resume(KhShimMonitor *monitor)
{
    monitor->asked = true;
    command(monitor, "{\"execute\":\"qmp_capabilities\"}\n{\"execute\":\"query-status\"}\n");
}

void
kh_shim_monitor_prepare(const KhShimMonitor *monitor, struct pollfd *slot)
{
    /* Until then QEMU's greeting waits in the socket. */
    *slot = (struct pollfd){.fd = monitor->asked ? monitor->fd : -1, .events = POLLIN};
}

static void
find_answer(KhShimMonitor *monitor)
{
    if (!monitor->resumed &&
        memmem(monitor->seen, monitor->length, paused, strlen(paused)) != NULL) {
        monitor->resumed = true;
        command(monitor, "{\"execute\":\"cont\"}\n");
    }
    if (monitor->length == sizeof monitor->seen) {
        memmove(monitor->seen, monitor->seen + monitor->length - OVERLAP, OVERLAP);
        monitor->length = OVERLAP;
    }
}

void
kh_shim_monitor_handle(KhShimMonitor *monitor, const struct pollfd *slot)
{
    if (monitor->fd < 0 || slot->revents == 0)
        return;
    size_t length = sizeof monitor->seen - monitor->length;
    KhShimIo result = kh_shim_read(monitor->fd, monitor->seen + monitor->length, &length);
    if (result == KH_SHIM_IO_ENDED) {
        kh_shim_monitor_close(monitor);
        return;
    }
    if (result == KH_SHIM_IO_SOME)
        monitor->length += length;
    find_answer(monitor);
}

void
kh_shim_monitor_close(KhShimMonitor *monitor)
{
    if (monitor->fd >= 0)
        close(monitor->fd);
    monitor->fd = -1;
}
