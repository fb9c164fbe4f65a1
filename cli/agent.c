/* SPDX-License-Identifier: MIT */
/* polkit's text agent; see agent.h. */
#include "agent.h"

#include <gio/gio.h>
#include <glib-unix.h>
#include <poll.h>
#include <signal.h>
#include <unistd.h>

#define REGISTER_TIMEOUT_MS 5000
#define NOTIFY_FD 3

struct _KhAgent {
    GSubprocess *process;
};

static GSubprocess *
spawn(int notify_fd)
{
    g_autoptr(GSubprocessLauncher) launcher =
        g_subprocess_launcher_new(G_SUBPROCESS_FLAGS_STDIN_INHERIT);
    g_autofree char *pid = g_strdup_printf("%d", getpid());

    g_subprocess_launcher_take_fd(launcher, notify_fd, NOTIFY_FD);
    return g_subprocess_launcher_spawn(launcher, NULL, "pkttyagent", "--process", pid,
                                       "--notify-fd", "3", "--fallback", NULL);
}

KhAgent *
kh_agent_start(void)
{
    KhAgent *agent;
    GSubprocess *process;
    struct pollfd registered;
    int pipe[2];

    if (!g_unix_open_pipe(pipe, FD_CLOEXEC, NULL))
        return NULL;
    process = spawn(pipe[1]);
    /* It closes its end when it has registered, or when it has failed to. */
    registered = (struct pollfd){.fd = pipe[0], .events = POLLIN};
    if (process != NULL)
        poll(&registered, 1, REGISTER_TIMEOUT_MS);
    close(pipe[0]);
    if (process == NULL)
        return NULL;
    agent = g_new0(KhAgent, 1);
    agent->process = process;
    return agent;
}

void
kh_agent_stop(KhAgent *agent)
{
    if (agent == NULL)
        return;
    g_subprocess_send_signal(agent->process, SIGTERM);
    g_subprocess_wait(agent->process, NULL, NULL);
    g_object_unref(agent->process);
    g_free(agent);
}
