/* SPDX-License-Identifier: MIT */
/* Processes that do nothing; see sleeper.h. */
#include "sleeper.h"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define LIFE_S 60

static KhProcess
start(gboolean other, uid_t uid)
{
    int fds[2];
    char end;
    GPid pid;

    g_assert_cmpint(pipe(fds), ==, 0);
    pid = fork();
    g_assert_cmpint(pid, >=, 0);
    if (pid == 0) {
        if (other && setresuid(uid, uid, uid) != 0)
            _exit(1);
        alarm(LIFE_S);
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        close(fds[0]);
        close(fds[1]);
        pause();
        _exit(0);
    }
    close(fds[1]);
    g_assert_cmpint(read(fds[0], &end, 1), ==, 0);
    close(fds[0]);
    return (KhProcess){.pid = pid, .start_time = kh_process_start_time(pid)};
}

KhProcess
sleeper_start(void)
{
    return start(FALSE, 0);
}

KhProcess
sleeper_start_as(guint32 uid)
{
    return start(TRUE, uid);
}

void
sleeper_end(const KhProcess *sleeper)
{
    kill((pid_t)sleeper->pid, SIGKILL);
    waitpid((pid_t)sleeper->pid, NULL, 0);
}
