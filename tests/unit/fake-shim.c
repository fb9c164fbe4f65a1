/* SPDX-License-Identifier: MIT */
/* What looks like a shim; see fake-shim.h. */
#include "fake-shim.h"

#include <fcntl.h>
#include <glib/gstdio.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "launch/process.h"

#define LIFE_S 60
#define READY_FD 3 /* closed by the shim when it is ready */

static void
serve(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    g_strlcpy(address.sun_path, path, sizeof address.sun_path);
    if (bind(fd, (struct sockaddr *)&address, sizeof address) != 0 || listen(fd, 8) != 0)
        _exit(1);
}

/* As a shim holds its state folder, if it is there and nobody else does: over the exec. */
static void
hold(const char *folder)
{
    int fd = open(folder, O_RDONLY | O_DIRECTORY);

    if (fd >= 0)
        flock(fd, LOCK_EX | LOCK_NB);
}

static _Noreturn void
rest(void)
{
    close(READY_FD);
    alarm(LIFE_S);
    pause();
    _exit(0);
}

/* The words of a shim are: /shim --run --instance ID --state-dir FOLDER -- SOCKET QEMU */
void
fake_shim_act(int argc, char **argv)
{
    if (argc == 2 && g_str_equal(argv[1], "--qemu"))
        rest();
    if (argc != 9 || !g_str_equal(argv[1], "--run"))
        return;
    if (argv[7][0] != '\0')
        serve(argv[7]);
    if (g_str_equal(argv[8], "qemu") && fork() == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        execl("/proc/self/exe", "/qemu", "--qemu", NULL);
        _exit(1);
    }
    rest();
}

static _Noreturn void
become(const FakeShim *shim, int ready)
{
    const char *words[] = {"/shim",
                           "--run",
                           "--instance",
                           shim->id,
                           "--state-dir",
                           shim->folder,
                           "--",
                           shim->socket != NULL ? shim->socket : "",
                           shim->qemu ? "qemu" : "",
                           NULL};

    hold(shim->folder);
    if (shim->uid != 0 && setresuid(shim->uid, shim->uid, shim->uid) != 0)
        _exit(1);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (ready != READY_FD)
        dup2(ready, READY_FD);
    else
        fcntl(ready, F_SETFD, 0);
    execv("/proc/self/exe", (char *const *)words);
    _exit(1);
}

GPid
fake_shim_start(const FakeShim *shim)
{
    int pipe[2];
    GPid pid;
    char byte;

    g_assert_cmpint(pipe2(pipe, O_CLOEXEC), ==, 0);
    pid = (GPid)syscall(SYS_clone, shim->flags | SIGCHLD, NULL, NULL, NULL, NULL);
    if (pid == 0)
        become(shim, pipe[1]);
    g_assert_cmpint(pid, >, 0);
    close(pipe[1]);
    g_assert_cmpint(read(pipe[0], &byte, 1), ==, 0);
    close(pipe[0]);
    return pid;
}

GPid
fake_shim_find_qemu(GPid shim)
{
    g_autoptr(GDir) proc = g_dir_open("/proc", 0, NULL);
    const char *name;

    while ((name = g_dir_read_name(proc)) != NULL) {
        gint64 pid = g_ascii_strtoll(name, NULL, 10);

        if (pid > 0 && kh_process_read_parent(pid, NULL) == shim)
            return (GPid)pid;
    }
    g_assert_not_reached();
}

void
fake_shim_end(GPid pid)
{
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
}

rlim_t
fake_shim_leave_descriptors(guint more)
{
    int first = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 0);
    struct rlimit limit;

    g_assert_cmpint(first, >, 0);
    close(first);
    g_assert_cmpint(getrlimit(RLIMIT_NOFILE, &limit), ==, 0);
    fake_shim_limit_descriptors((rlim_t)first + more);
    return limit.rlim_cur;
}

void
fake_shim_limit_descriptors(rlim_t n)
{
    struct rlimit limit;

    g_assert_cmpint(getrlimit(RLIMIT_NOFILE, &limit), ==, 0);
    limit.rlim_cur = n;
    g_assert_cmpint(setrlimit(RLIMIT_NOFILE, &limit), ==, 0);
}
