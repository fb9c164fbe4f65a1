/* SPDX-License-Identifier: MIT */
/* The main loop of the shim. */
#include "shim-loop.h"

#include <signal.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

#include "shim-notify.h"

/* What one turn takes from the guest or from QEMU's stderr. */
#define CHUNK (16 * 1024)
/* What is read after QEMU's end: more than a socket and a pipe hold. */
#define DRAIN_CHUNKS 64
#define TERMINATE_MS 5000

enum {
    SLOT_SIGNALS,
    SLOT_CHILD,
    SLOT_SERIAL,
    SLOT_ERRORS,
    SLOT_MONITOR,
    SLOT_CONTROL,
    SLOT_CONSOLE = SLOT_CONTROL + KH_SHIM_CONTROL_SLOTS,
    N_SLOTS = SLOT_CONSOLE + KH_SHIM_CONSOLE_SLOTS,
};

static int64_t
now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

int
kh_shim_signals_open(void)
{
    static const int numbers[] = {SIGTERM, SIGINT, SIGHUP};
    sigset_t set;
    sigemptyset(&set);
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        /* A signal that is ignored, as under nohup, would never be seen. */
        signal(numbers[i], SIG_DFL);
        sigaddset(&set, numbers[i]);
    }
    /* How systemd-machined powers a machine off. */
    sigaddset(&set, SIGRTMIN + 4);
    signal(SIGCHLD, SIG_DFL);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN);
    if (sigprocmask(SIG_SETMASK, &set, NULL) < 0)
        return -1;
    return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

static void
handle_signals(KhShimLoop *loop)
{
    struct signalfd_siginfo info;
    if (read(loop->signals, &info, sizeof info) != sizeof info || loop->stop != KH_SHIM_STOP_NONE)
        return;
    loop->stop = KH_SHIM_STOP_ASKED;
    loop->stop_at = now_ms() + (int64_t)loop->stop_timeout * 1000;
    kh_shim_monitor_resume(&loop->monitor);
    kh_shim_control_stop(&loop->control);
    kh_shim_notify_send(loop->notify, "STOPPING=1");
}

static void
tick_stop(KhShimLoop *loop, int64_t now)
{
    if (loop->stop_at < 0 || now < loop->stop_at)
        return;
    if (loop->stop == KH_SHIM_STOP_ASKED) {
        kh_shim_child_signal(&loop->child, SIGTERM);
        loop->stop = KH_SHIM_STOP_TERMINATED;
        loop->stop_at = now + TERMINATE_MS;
    } else {
        kh_shim_child_signal(&loop->child, SIGKILL);
        loop->stop = KH_SHIM_STOP_KILLED;
        loop->stop_at = -1;
    }
}

static KhShimIo
read_serial(KhShimLoop *loop)
{
    char chunk[CHUNK];
    size_t length = sizeof chunk;
    KhShimIo result = kh_shim_read(loop->serial, chunk, &length);
    if (length > 0) {
        kh_shim_log_feed(&loop->serial_log, chunk, length, now_ms());
        kh_shim_console_output(&loop->console, chunk, length);
    }
    return result;
}

static KhShimIo
read_errors(KhShimLoop *loop)
{
    char chunk[CHUNK];
    size_t length = sizeof chunk;
    KhShimIo result = kh_shim_read(loop->errors, chunk, &length);
    if (length > 0)
        kh_shim_log_feed(&loop->qemu_log, chunk, length, now_ms());
    return result;
}

static void
handle_serial(KhShimLoop *loop, short events)
{
    KhShimBuffer *input = &loop->console.to_guest;
    KhShimIo result = KH_SHIM_IO_LATER;
    if ((events & POLLOUT) != 0)
        result = kh_shim_buffer_write(input, loop->serial, input->length);
    if (result != KH_SHIM_IO_ENDED && (events & (POLLIN | POLLHUP | POLLERR)) != 0)
        result = read_serial(loop);
    if (result != KH_SHIM_IO_ENDED)
        return;
    close(loop->serial);
    loop->serial = -1;
    input->length = 0;
}

static void
handle_errors(KhShimLoop *loop)
{
    if (read_errors(loop) != KH_SHIM_IO_ENDED)
        return;
    close(loop->errors);
    loop->errors = -1;
}

static void
prepare(const KhShimLoop *loop, struct pollfd *slots)
{
    short serial = POLLIN | (loop->console.to_guest.length > 0 ? POLLOUT : 0);
    slots[SLOT_SIGNALS] = (struct pollfd){.fd = loop->signals, .events = POLLIN};
    slots[SLOT_CHILD] = (struct pollfd){.fd = loop->child.pidfd, .events = POLLIN};
    slots[SLOT_SERIAL] = (struct pollfd){.fd = loop->serial, .events = serial};
    slots[SLOT_ERRORS] = (struct pollfd){.fd = loop->errors, .events = POLLIN};
    kh_shim_monitor_prepare(&loop->monitor, slots + SLOT_MONITOR);
    kh_shim_control_prepare(&loop->control, slots + SLOT_CONTROL);
    kh_shim_console_prepare(&loop->console, slots + SLOT_CONSOLE);
}

static void
handle(KhShimLoop *loop, const struct pollfd *slots)
{
    /* Who has ended already was not stopped: systemd stops what is left of a unit. */
    if (slots[SLOT_SIGNALS].revents != 0 && slots[SLOT_CHILD].revents == 0)
        handle_signals(loop);
    kh_shim_monitor_handle(&loop->monitor, slots + SLOT_MONITOR);
    kh_shim_control_handle(&loop->control, slots + SLOT_CONTROL);
    kh_shim_console_handle(&loop->console, slots + SLOT_CONSOLE);
    if (slots[SLOT_SERIAL].revents != 0)
        handle_serial(loop, slots[SLOT_SERIAL].revents);
    if (slots[SLOT_ERRORS].revents != 0)
        handle_errors(loop);
}

/* Milliseconds until the earliest of what is due, -1 for nothing. */
static int
next_timeout(const KhShimLoop *loop, int64_t now)
{
    const int64_t due[] = {loop->serial_log.flush_at, loop->qemu_log.flush_at, loop->stop_at};
    int64_t earliest = -1;
    for (size_t i = 0; i < sizeof due / sizeof due[0]; i++)
        if (due[i] >= 0 && (earliest < 0 || due[i] < earliest))
            earliest = due[i];
    if (earliest < 0)
        return -1;
    return earliest > now ? (int)(earliest - now) : 0;
}

static void
drain(KhShimLoop *loop)
{
    for (int i = 0; loop->serial >= 0 && i < DRAIN_CHUNKS; i++)
        if (read_serial(loop) != KH_SHIM_IO_SOME)
            break;
    for (int i = 0; loop->errors >= 0 && i < DRAIN_CHUNKS; i++)
        if (read_errors(loop) != KH_SHIM_IO_SOME)
            break;
}

int
kh_shim_loop_run(KhShimLoop *loop)
{
    struct pollfd slots[N_SLOTS];
    loop->stop_at = -1;
    do {
        prepare(loop, slots);
        if (poll(slots, N_SLOTS, next_timeout(loop, now_ms())) > 0)
            handle(loop, slots);
        else
            slots[SLOT_CHILD].revents = 0;
        int64_t now = now_ms();
        kh_shim_log_tick(&loop->serial_log, now);
        kh_shim_log_tick(&loop->qemu_log, now);
        tick_stop(loop, now);
    } while (slots[SLOT_CHILD].revents == 0);
    int status = kh_shim_child_reap(&loop->child);
    drain(loop);
    return status;
}
