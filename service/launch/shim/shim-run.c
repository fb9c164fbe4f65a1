/* SPDX-License-Identifier: MIT */
/*
 * The mode --run. What the VM's user may not reach by path is opened first, then the
 * rights go, and all that touches the instance's folders is done as that user.
 */
#include "shim-run.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "shim-boots.h"
#include "shim-folder.h"
#include "shim-loop.h"
#include "shim-notify.h"
#include "shim-privileges.h"
#include "shim-status.h"
#include "shim-trash.h"

/* How often its folder is tried to be held: for a second. */
#define HOLD_TRIES 100
#define HOLD_INTERVAL_MS 10

typedef struct {
    const KhShimOptions *options;
    int state;
    int runtime;
    int reserved_status;
    int console_listener;
    int control_listener;
    int control_peer; /* the shim's end */
    bool bound;       /* the sockets are ours to remove */
    KhShimSpawn spawn;
    KhShimLoop loop;
} Run;

static int *
child_fd(Run *run, int number)
{
    return &run->spawn.fds[number - KH_SHIM_FD_KERNEL];
}

static bool
open_as_started(Run *run, KhShimError *error)
{
    const KhShimOptions *options = run->options;
    int *kernel = child_fd(run, KH_SHIM_FD_KERNEL), *initrd = child_fd(run, KH_SHIM_FD_INITRD);
    int *firmware = child_fd(run, KH_SHIM_FD_FIRMWARE);
    if ((*kernel = kh_shim_open_component(options->kernel, error)) < 0 ||
        (*initrd = kh_shim_open_component(options->initrd, error)) < 0)
        return false;
    if (options->firmware != NULL &&
        (*firmware = kh_shim_open_component(options->firmware, error)) < 0)
        return false;
    run->loop.notify = kh_shim_notify_open();
    run->state = kh_shim_folder_open(options->state_dir);
    run->runtime = kh_shim_folder_open(options->runtime_dir);
    return true;
}

static bool
open_as_user(int *folder, const char *path, KhShimError *error)
{
    if (*folder < 0)
        *folder = kh_shim_folder_open(path);
    if (*folder < 0)
        return kh_shim_fail_errno(error, "cannot open the folder %s", path);
    return kh_shim_folder_check(*folder, path, error);
}

/* Others lock it for a moment only, to see whether it is held (identity.c, strangers.c). */
static bool
hold(int folder)
{
    const struct timespec moment = {.tv_nsec = HOLD_INTERVAL_MS * 1000000L};
    for (unsigned tries = 1; flock(folder, LOCK_EX | LOCK_NB) < 0; tries++) {
        if (tries >= HOLD_TRIES)
            return false;
        nanosleep(&moment, NULL);
    }
    return true;
}

static bool
enter_folders(Run *run, KhShimError *error)
{
    const KhShimOptions *options = run->options;
    if (!open_as_user(&run->state, options->state_dir, error) ||
        !open_as_user(&run->runtime, options->runtime_dir, error))
        return false;
    if (!hold(run->state))
        return kh_shim_fail(error, "another machine runs in %s; stop it first", options->state_dir);
    return true;
}

/* What is in the way is found before any of it is needed, so that the sweep makes room. */
static bool
clear_state(Run *run, KhShimError *error)
{
    if (!kh_shim_boots_archive(run->state, error) || !kh_shim_status_clear(run->state, error))
        return false;
    kh_shim_sweep(run->state);
    return true;
}

static bool
prepare_state(Run *run, KhShimError *error)
{
    const KhShimOptions *options = run->options;
    /* In the order of importance where the disk is full: room first, the status, the logs. */
    if (!clear_state(run, error))
        return false;
    run->reserved_status = kh_shim_status_reserve(run->state);
    return kh_shim_log_open(&run->loop.serial_log, run->state, KH_FILE_SERIAL_LOG,
                            options->log_size, options->log_files, error) &&
           kh_shim_log_open(&run->loop.qemu_log, run->state, KH_FILE_QEMU_LOG, options->log_size,
                            options->log_files, error);
}

static bool
bind_sockets(Run *run, KhShimError *error)
{
    int *qmp = child_fd(run, KH_SHIM_FD_QMP);
    run->bound = true;
    if ((*qmp = kh_shim_listen(run->runtime, KH_SOCKET_QMP, error)) < 0 ||
        (run->control_listener = kh_shim_listen(run->runtime, KH_SOCKET_CONTROL, error)) < 0 ||
        (run->console_listener = kh_shim_listen(run->runtime, KH_SOCKET_CONSOLE, error)) < 0)
        return false;
    if (fchdir(run->state) < 0)
        return kh_shim_fail_errno(error, "cannot enter %s", run->options->state_dir);
    return true;
}

/* Only the shim's ends must never block. */
static bool
connect_child(Run *run, KhShimError *error)
{
    int serial[2], control[2], monitor[2], output[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, serial) < 0 ||
        socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, control) < 0 ||
        socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, monitor) < 0 ||
        pipe2(output, O_CLOEXEC) < 0 || fcntl(serial[0], F_SETFL, O_NONBLOCK) < 0 ||
        fcntl(control[0], F_SETFL, O_NONBLOCK) < 0 || fcntl(monitor[0], F_SETFL, O_NONBLOCK) < 0 ||
        fcntl(output[0], F_SETFL, O_NONBLOCK) < 0)
        return kh_shim_fail_errno(error, "cannot make the channels to QEMU");
    run->loop.serial = serial[0];
    *child_fd(run, KH_SHIM_FD_SERIAL) = serial[1];
    run->control_peer = control[0];
    *child_fd(run, KH_SHIM_FD_CONTROL) = control[1];
    run->loop.monitor.fd = monitor[0];
    *child_fd(run, KH_SHIM_FD_MONITOR) = monitor[1];
    run->loop.errors = output[0];
    run->spawn.output = output[1];
    return true;
}

static bool
start_servers(Run *run, KhShimError *error)
{
    uid_t service = run->options->service_uid;
    return kh_shim_console_init(&run->loop.console, run->console_listener, service, error) &&
           kh_shim_control_init(&run->loop.control, run->control_listener, run->control_peer,
                                service, error);
}

static bool
spawn_qemu(Run *run, KhShimError *error)
{
    bool spawned = kh_shim_child_spawn(&run->loop.child, &run->spawn, error);
    /* QEMU's ends must be QEMU's alone, or their closing would not be seen. */
    close(run->spawn.output);
    for (int i = 0; i < KH_SHIM_CHILD_FDS; i++)
        if (run->spawn.fds[i] >= 0)
            close(run->spawn.fds[i]);
    return spawned;
}

static bool
start(Run *run, KhShimError *error)
{
    run->loop.signals = kh_shim_signals_open();
    if (run->loop.signals < 0)
        return kh_shim_fail_errno(error, "cannot take the signals");
    return open_as_started(run, error) && kh_shim_drop_privileges(run->options, error) &&
           kh_shim_refuse_root(error) && enter_folders(run, error) && prepare_state(run, error) &&
           bind_sockets(run, error) && connect_child(run, error) && start_servers(run, error) &&
           spawn_qemu(run, error);
}

/* What a dead machine leaves would only be connected to in vain. */
static void
remove_sockets(const Run *run)
{
    unlinkat(run->runtime, KH_SOCKET_QMP, 0);
    unlinkat(run->runtime, KH_SOCKET_CONTROL, 0);
    unlinkat(run->runtime, KH_SOCKET_CONSOLE, 0);
}

/* What is said of a stop in exit-status (shim-protocol.h). */
static const char *
word_of(KhShimStop stop)
{
    switch (stop) {
    case KH_SHIM_STOP_NONE:
        return "";
    case KH_SHIM_STOP_ASKED:
        return " stopped";
    default:
        return " forced";
    }
}

static int
finish(Run *run, int status)
{
    KhShimError error;
    kh_shim_control_close(&run->loop.control);
    kh_shim_console_close(&run->loop.console);
    kh_shim_log_close(&run->loop.serial_log);
    kh_shim_log_close(&run->loop.qemu_log);
    remove_sockets(run);
    if (!kh_shim_status_write(run->state, run->reserved_status, status, word_of(run->loop.stop),
                              &error))
        kh_shim_report_error(-1, &error);
    return kh_shim_child_exit_code(status);
}

int
kh_shim_run(const KhShimOptions *options)
{
    KhShimError error;
    Run run = {
        .options = options,
        .state = -1,
        .runtime = -1,
        .reserved_status = -1,
        .spawn = {.program = options->qemu,
                  .arguments = options->arguments,
                  .fds = {-1, -1, -1, -1, -1, -1, -1}},
        .loop = {.stop_timeout = options->stop_timeout, .notify = -1},
    };
    if (!start(&run, &error)) {
        kh_shim_report_error(options->ready_fd, &error);
        if (run.bound)
            remove_sockets(&run);
        return KH_SHIM_EXIT_FAILED;
    }
    /* Whoever has died while it started the machine knows nothing of it. */
    if (!kh_shim_report_ready(options->ready_fd, run.loop.notify, run.loop.child.pid))
        kh_shim_child_signal(&run.loop.child, SIGKILL);
    return finish(&run, kh_shim_loop_run(&run.loop));
}
