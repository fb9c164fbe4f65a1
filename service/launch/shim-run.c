/* SPDX-License-Identifier: MIT */
/*
 * Runs one QEMU. Paths are opened with the rights the shim was started with, then those
 * are dropped, then the VM's own folders are touched, then QEMU starts. One loop serves
 * logs, console and control channel; no descriptor in it blocks, and each gets one read
 * per turn, so that a guest which prints without end starves nobody.
 */
#include "shim-run.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "shim-boots.h"
#include "shim-child.h"
#include "shim-console.h"
#include "shim-control.h"
#include "shim-folder.h"
#include "shim-log.h"
#include "shim-notify.h"
#include "shim-privileges.h"

#define TERM_TIMEOUT_MS 5000
#define CHUNK (64 * 1024)
#define EXIT_STATUS_NEW KH_FILE_EXIT_STATUS ".new"

typedef enum { STOP_NONE, STOP_GUEST, STOP_TERM, STOP_KILL } StopStep;

enum {
    SLOT_SIGNALS,
    SLOT_CHILD,
    SLOT_STDERR,
    SLOT_SERIAL,
    SLOT_CONSOLE,
    SLOT_CONTROL = SLOT_CONSOLE + KH_SHIM_CONSOLE_SLOTS,
    N_SLOTS = SLOT_CONTROL + KH_SHIM_CONTROL_SLOTS,
};

typedef struct {
    const KhShimOptions *options;
    int state, runtime;
    int kernel, initrd, firmware;
    int qmp;
    int signals;
    int serial; /* our end */
    int output; /* read end of QEMU's stderr; -1 once closed */
    KhShimLog serial_log, qemu_log;
    KhShimConsole console;
    KhShimControl control;
    KhShimChild child;
    StopStep step;
    int64_t deadline; /* of the step, ms */
} Run;

static int64_t
now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* A folder that its user alone may reach is opened after the drop: -1 is no error yet. */
static bool
open_paths(Run *run, KhShimError *error)
{
    const KhShimOptions *options = run->options;
    run->state = kh_shim_folder_open(options->state_dir);
    run->runtime = kh_shim_folder_open(options->runtime_dir);
    run->kernel = kh_shim_open_component(options->kernel, error);
    run->initrd = run->kernel < 0 ? -1 : kh_shim_open_component(options->initrd, error);
    if (run->initrd < 0)
        return false;
    run->firmware = -1;
    if (options->firmware == NULL)
        return true;
    run->firmware = kh_shim_open_component(options->firmware, error);
    return run->firmware >= 0;
}

static bool
open_folders_again(Run *run, KhShimError *error)
{
    const KhShimOptions *options = run->options;
    if (run->state < 0 && (run->state = kh_shim_folder_open(options->state_dir)) < 0)
        return kh_shim_fail_errno(error, "cannot open %s", options->state_dir);
    if (run->runtime < 0 && (run->runtime = kh_shim_folder_open(options->runtime_dir)) < 0)
        return kh_shim_fail_errno(error, "cannot open %s", options->runtime_dir);
    return kh_shim_folder_check(run->state, options->state_dir, error) &&
           kh_shim_folder_check(run->runtime, options->runtime_dir, error);
}

static bool
open_logs(Run *run, KhShimError *error)
{
    const KhShimOptions *options = run->options;
    return kh_shim_boots_archive(run->state, error) &&
           kh_shim_log_open(&run->serial_log, run->state, KH_FILE_SERIAL_LOG, options->log_size,
                            options->log_files, error) &&
           kh_shim_log_open(&run->qemu_log, run->state, KH_FILE_QEMU_LOG, options->log_size,
                            options->log_files, error);
}

/* The QEMU end of a socketpair is returned; ours, which never blocks, is put in `ours`. */
static int
make_pair(int *ours, KhShimError *error)
{
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0 ||
        fcntl(pair[0], F_SETFL, O_NONBLOCK) < 0) {
        kh_shim_fail_errno(error, "cannot make a socketpair");
        return -1;
    }
    *ours = pair[0];
    return pair[1];
}

static bool
open_servers(Run *run, int control, KhShimError *error)
{
    uid_t service = run->options->service_uid;
    int listener;
    if ((run->qmp = kh_shim_listen(run->runtime, KH_SOCKET_QMP, error)) < 0)
        return false;
    if ((listener = kh_shim_listen(run->runtime, KH_SOCKET_CONTROL, error)) < 0 ||
        !kh_shim_control_init(&run->control, listener, control, service, error))
        return false;
    return (listener = kh_shim_listen(run->runtime, KH_SOCKET_CONSOLE, error)) >= 0 &&
           kh_shim_console_init(&run->console, listener, service, error);
}

static bool
open_output(Run *run, int *write_end, KhShimError *error)
{
    int pipe_fds[2];
    if (pipe2(pipe_fds, O_CLOEXEC) < 0 || fcntl(pipe_fds[0], F_SETFL, O_NONBLOCK) < 0)
        return kh_shim_fail_errno(error, "cannot make a pipe");
    run->output = pipe_fds[0];
    *write_end = pipe_fds[1];
    return true;
}

static bool
open_signals(Run *run, KhShimError *error)
{
    sigset_t set;
    signal(SIGPIPE, SIG_IGN);
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);
    if (sigprocmask(SIG_BLOCK, &set, NULL) < 0 ||
        (run->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK)) < 0)
        return kh_shim_fail_errno(error, "cannot wait for signals");
    return true;
}

/* Starts QEMU in the state folder; its ends of pipes and pairs are closed here. */
static bool
start_qemu(Run *run, int serial, int control, int output, KhShimError *error)
{
    KhShimSpawn spawn = {
        .program = run->options->qemu,
        .arguments = run->options->arguments,
        .output = output,
        .fds = {run->kernel, run->initrd, run->firmware, serial, control, run->qmp}};
    if (fchdir(run->state) < 0)
        return kh_shim_fail_errno(error, "cannot enter %s", run->options->state_dir);
    bool started = kh_shim_child_spawn(&run->child, &spawn, error);
    const int given[] = {run->kernel, run->initrd, run->firmware, serial,
                         control,     run->qmp,    output};
    for (size_t i = 0; i < sizeof given / sizeof *given; i++)
        if (given[i] >= 0)
            close(given[i]);
    return started;
}

static bool
start(Run *run, KhShimError *error)
{
    int serial, control, our_control, output = -1;
    if (!open_signals(run, error) || !open_paths(run, error) ||
        !kh_shim_drop_privileges(run->options, error) || !kh_shim_refuse_root(error) ||
        !open_folders_again(run, error) || !open_logs(run, error))
        return false;
    kh_shim_remove(run->state, KH_FILE_EXIT_STATUS);
    if ((serial = make_pair(&run->serial, error)) < 0 ||
        (control = make_pair(&our_control, error)) < 0)
        return false;
    return open_servers(run, our_control, error) && open_output(run, &output, error) &&
           start_qemu(run, serial, control, output, error);
}

static void
enter_step(Run *run, StopStep step)
{
    run->step = step;
    if (step == STOP_GUEST) {
        kh_shim_control_stop(&run->control);
        run->deadline = now_ms() + (int64_t)run->options->stop_timeout * 1000;
    } else if (step == STOP_TERM) {
        kh_shim_child_signal(&run->child, SIGTERM);
        run->deadline = now_ms() + TERM_TIMEOUT_MS;
    } else {
        kh_shim_child_signal(&run->child, SIGKILL);
        run->deadline = -1;
    }
}

/* A second signal changes nothing: the first one's deadlines hold. */
static void
handle_signals(Run *run)
{
    struct signalfd_siginfo info;
    while (read(run->signals, &info, sizeof info) == sizeof info)
        ;
    if (run->step == STOP_NONE)
        enter_step(run, STOP_GUEST);
}

/* One read of QEMU's stderr; false when there is nothing more. */
static bool
read_output(Run *run)
{
    char data[4096];
    size_t length = sizeof data;
    KhShimIo result = run->output < 0 ? KH_SHIM_IO_LATER : kh_shim_read(run->output, data, &length);
    if (result == KH_SHIM_IO_SOME)
        kh_shim_log_feed(&run->qemu_log, data, length, now_ms());
    if (result == KH_SHIM_IO_ENDED) {
        close(run->output);
        run->output = -1;
    }
    return result == KH_SHIM_IO_SOME;
}

/* One read of the serial port; false when there is nothing more. */
static bool
read_serial(Run *run)
{
    static char data[CHUNK];
    size_t length = sizeof data;
    KhShimIo result = run->serial < 0 ? KH_SHIM_IO_LATER : kh_shim_read(run->serial, data, &length);
    if (result == KH_SHIM_IO_SOME) {
        kh_shim_log_feed(&run->serial_log, data, length, now_ms());
        kh_shim_console_output(&run->console, data, length);
    }
    if (result == KH_SHIM_IO_ENDED) {
        close(run->serial);
        run->serial = -1;
    }
    return result == KH_SHIM_IO_SOME;
}

static void
handle_serial(Run *run, short events)
{
    if ((events & POLLOUT) != 0)
        kh_shim_buffer_write(&run->console.to_guest, run->serial);
    if ((events & (POLLIN | POLLHUP | POLLERR)) != 0)
        read_serial(run);
}

static void
prepare(const Run *run, struct pollfd *slots)
{
    short serial = POLLIN | (run->console.to_guest.length > 0 ? POLLOUT : 0);
    slots[SLOT_SIGNALS] = (struct pollfd){.fd = run->signals, .events = POLLIN};
    slots[SLOT_CHILD] = (struct pollfd){.fd = run->child.pidfd, .events = POLLIN};
    slots[SLOT_STDERR] = (struct pollfd){.fd = run->output, .events = POLLIN};
    slots[SLOT_SERIAL] = (struct pollfd){.fd = run->serial, .events = serial};
    kh_shim_console_prepare(&run->console, &slots[SLOT_CONSOLE]);
    kh_shim_control_prepare(&run->control, &slots[SLOT_CONTROL]);
}

static void
handle(Run *run, const struct pollfd *slots)
{
    if (slots[SLOT_SIGNALS].revents != 0)
        handle_signals(run);
    if (slots[SLOT_STDERR].revents != 0)
        read_output(run);
    if (slots[SLOT_SERIAL].revents != 0)
        handle_serial(run, slots[SLOT_SERIAL].revents);
    kh_shim_console_handle(&run->console, &slots[SLOT_CONSOLE]);
    kh_shim_control_handle(&run->control, &slots[SLOT_CONTROL]);
}

static int64_t
earlier(int64_t a, int64_t b)
{
    return a < 0 ? b : b < 0 || a < b ? a : b;
}

static int
poll_timeout(const Run *run)
{
    int64_t next = run->step == STOP_NONE ? -1 : run->deadline;
    next = earlier(next, run->serial_log.flush_at);
    next = earlier(next, run->qemu_log.flush_at);
    if (next < 0)
        return -1;
    next -= now_ms();
    return next < 0 ? 0 : (int)next;
}

static void
handle_time(Run *run)
{
    int64_t now = now_ms();
    kh_shim_log_tick(&run->serial_log, now);
    kh_shim_log_tick(&run->qemu_log, now);
    if (run->step != STOP_NONE && run->deadline >= 0 && now >= run->deadline)
        enter_step(run, run->step + 1);
}

/* Serves until QEMU has ended. */
static void
serve(Run *run)
{
    struct pollfd slots[N_SLOTS];
    for (;;) {
        prepare(run, slots);
        if (poll(slots, N_SLOTS, poll_timeout(run)) < 0 && errno != EINTR)
            break;
        if (slots[SLOT_CHILD].revents != 0)
            return;
        handle(run, slots);
        handle_time(run);
    }
    /* Only a lack of memory leads here: QEMU must not go on unwatched. */
    kh_shim_child_signal(&run->child, SIGKILL);
}

static void
write_exit_status(Run *run, int status)
{
    char line[32];
    int length = WIFSIGNALED(status)
                     ? snprintf(line, sizeof line, "signaled %d\n", WTERMSIG(status))
                     : snprintf(line, sizeof line, "exited %d\n", WEXITSTATUS(status));
    int fd = kh_shim_create(run->state, EXIT_STATUS_NEW);
    if (fd < 0)
        return;
    if (write(fd, line, (size_t)length) == length)
        kh_shim_move(run->state, EXIT_STATUS_NEW, run->state, KH_FILE_EXIT_STATUS);
    close(fd);
}

/* What QEMU and the guest said last is in the buffers of dead sockets: it is finite. */
static int
finish(Run *run)
{
    int status = kh_shim_child_reap(&run->child);
    while (read_serial(run))
        ;
    while (read_output(run))
        ;
    kh_shim_log_close(&run->serial_log);
    kh_shim_log_close(&run->qemu_log);
    kh_shim_console_close(&run->console);
    kh_shim_control_close(&run->control);
    write_exit_status(run, status);
    return kh_shim_child_exit_code(status);
}

static void
report_error(const KhShimOptions *options, const KhShimError *error)
{
    fprintf(stderr, "katana-hypervisor-shim: %s\n", error->text);
    if (options->ready_fd >= 0)
        dprintf(options->ready_fd, KH_ERROR_PREFIX "%s\n", error->text);
}

static void
report_ready(const Run *run)
{
    int fd = run->options->ready_fd;
    if (fd >= 0) {
        dprintf(fd, KH_READY_PREFIX "%d %d\n", getpid(), run->child.pid);
        close(fd);
    }
    kh_shim_notify_ready();
}

int
kh_shim_run(const KhShimOptions *options)
{
    Run run = {.options = options, .serial = -1, .output = -1};
    KhShimError error;
    if (!start(&run, &error)) {
        report_error(options, &error);
        return 1;
    }
    report_ready(&run);
    serve(&run);
    return finish(&run);
}
