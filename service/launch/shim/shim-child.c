/* SPDX-License-Identifier: MIT */
/* Starts and reaps the one child of the shim. */
#include "shim-child.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

/* Above every number that the child is given, so that no dup2 hits a source. */
#define SAFE_FD (KH_SHIM_FD_KERNEL + KH_SHIM_CHILD_FDS)
#define SEARCH_PATH "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

static void
reset_signals(void)
{
    sigset_t none;
    for (int number = 1; number < NSIG; number++)
        signal(number, SIG_DFL);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

static bool
place_descriptors(const KhShimSpawn *spawn, int *report)
{
    int sources[KH_SHIM_CHILD_FDS];
    int safe = fcntl(*report, F_DUPFD_CLOEXEC, SAFE_FD);
    int output = fcntl(spawn->output, F_DUPFD_CLOEXEC, SAFE_FD);
    /* Until there is a safe one, the shim hears of it by the other. */
    if (safe >= 0)
        *report = safe;
    if (safe < 0 || output < 0 || dup2(output, 1) < 0 || dup2(output, 2) < 0)
        return false;
    for (int i = 0; i < KH_SHIM_CHILD_FDS; i++) {
        sources[i] = spawn->fds[i] < 0 ? -1 : fcntl(spawn->fds[i], F_DUPFD_CLOEXEC, SAFE_FD);
        if (spawn->fds[i] >= 0 && sources[i] < 0)
            return false;
    }
    if (close_range(3, ~0U, CLOSE_RANGE_CLOEXEC) < 0)
        return false;
    for (int i = 0; i < KH_SHIM_CHILD_FDS; i++)
        if (sources[i] >= 0 && dup2(sources[i], KH_SHIM_FD_KERNEL + i) < 0)
            return false;
    return true;
}

/* Everything up to exec; false with errno. */
static bool
become_child(const KhShimSpawn *spawn, pid_t shim, int *report)
{
    if (setsid() < 0 || prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0)
        return false;
    /* The shim may have died before the line above. */
    if (getppid() != shim) {
        errno = ESRCH;
        return false;
    }
    if (!place_descriptors(spawn, report))
        return false;
    reset_signals();
    return true;
}

static char **
make_arguments(const KhShimSpawn *spawn)
{
    size_t count = 0;
    while (spawn->arguments[count] != NULL)
        count++;
    char **arguments = calloc(count + 2, sizeof *arguments);
    if (arguments == NULL)
        return NULL;
    /* execvpe() takes the words as not const but leaves them. */
    arguments[0] = (char *)(uintptr_t)spawn->program;
    for (size_t i = 0; i < count; i++)
        arguments[1 + i] = spawn->arguments[i];
    return arguments;
}

/* Never returns; errno goes to the shim where it fails. */
static void
run_child(const KhShimSpawn *spawn, char *const *arguments, pid_t shim, int report)
{
    char path[] = "PATH=" SEARCH_PATH, lang[] = "LANG=C";
    char *const environment[] = {path, lang, NULL};
    if (become_child(spawn, shim, &report)) {
        /* execvpe() seeks in the PATH of the shim. */
        if (setenv("PATH", SEARCH_PATH, 1) == 0)
            execvpe(spawn->program, arguments, environment);
    }
    int code = errno;
    if (write(report, &code, sizeof code) < 0)
        _exit(126);
    _exit(127);
}

/* 0 when exec has succeeded (the pipe closed), else the child's errno. */
static int
read_report(int report)
{
    int code = 0;
    ssize_t n;
    do
        n = read(report, &code, sizeof code);
    while (n < 0 && errno == EINTR);
    return n == 0 ? 0 : n == sizeof code ? code : EIO;
}

static bool
finish_spawn(KhShimChild *child, const KhShimSpawn *spawn, int report, KhShimError *error)
{
    int code = read_report(report);
    close(report);
    if (code == 0 && (child->pidfd = pidfd_open(child->pid, 0)) >= 0)
        return true;
    code = code != 0 ? code : errno;
    kill(child->pid, SIGKILL);
    waitpid(child->pid, NULL, 0);
    errno = code;
    return kh_shim_fail_errno(error, "cannot execute %s", spawn->program);
}

bool
kh_shim_child_spawn(KhShimChild *child, const KhShimSpawn *spawn, KhShimError *error)
{
    int report[2];
    pid_t shim = getpid();
    char **arguments = make_arguments(spawn);
    if (arguments == NULL || pipe2(report, O_CLOEXEC) < 0) {
        free(arguments);
        return kh_shim_fail_errno(error, "cannot prepare the start of %s", spawn->program);
    }
    *child = (KhShimChild){.pid = fork(), .pidfd = -1};
    if (child->pid == 0)
        run_child(spawn, arguments, shim, report[1]);
    free(arguments);
    close(report[1]);
    if (child->pid < 0) {
        close(report[0]);
        return kh_shim_fail_errno(error, "cannot start a process for %s", spawn->program);
    }
    return finish_spawn(child, spawn, report[0], error);
}

void
kh_shim_child_signal(const KhShimChild *child, int number)
{
    pidfd_send_signal(child->pidfd, number, NULL, 0);
}

int
kh_shim_child_reap(KhShimChild *child)
{
    siginfo_t info;
    int status = 0;
    /* The pid is not given to another process before waitpid(), so the group is its own. */
    while (waitid(P_PID, child->pid, &info, WEXITED | WNOWAIT) < 0 && errno == EINTR)
        ;
    kill(-child->pid, SIGKILL);
    while (waitpid(child->pid, &status, 0) < 0 && errno == EINTR)
        ;
    close(child->pidfd);
    return status;
}

int
kh_shim_child_exit_code(int status)
{
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}
