/* SPDX-License-Identifier: MIT */
/* Processes that do nothing; see sleeper.h. */
#include "sleeper.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#define LIFE_S 60

KhProcess
sleeper_start(void)
{
    GPid pid = fork();

    g_assert_cmpint(pid, >=, 0);
    if (pid == 0) {
        alarm(LIFE_S);
        pause();
        _exit(0);
    }
    return (KhProcess){.pid = pid, .start_time = kh_process_start_time(pid)};
}

void
sleeper_end(const KhProcess *sleeper)
{
    kill((pid_t)sleeper->pid, SIGKILL);
    waitpid((pid_t)sleeper->pid, NULL, 0);
}
