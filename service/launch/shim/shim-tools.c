/* SPDX-License-Identifier: MIT */
/* The modes --format, --probe-kvm and --probe-sev. */
#include "shim-tools.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "shim-child.h"
#include "shim-folder.h"
#include "shim-notify.h"
#include "shim-privileges.h"

#define OUTPUT_MAX (64 * 1024)

static int
fail(const KhShimOptions *options, const KhShimError *error)
{
    kh_shim_report_error(options->ready_fd, error);
    return KH_SHIM_EXIT_FAILED;
}

static bool
enter_state(const KhShimOptions *options, KhShimError *error)
{
    int folder = kh_shim_folder_open(options->state_dir);
    if (!kh_shim_drop_privileges(options, error) || !kh_shim_refuse_root(error))
        return false;
    if (folder < 0)
        folder = kh_shim_folder_open(options->state_dir);
    if (folder < 0)
        return kh_shim_fail_errno(error, "cannot open the folder %s", options->state_dir);
    if (!kh_shim_folder_check(folder, options->state_dir, error))
        return false;
    if (fchdir(folder) < 0)
        return kh_shim_fail_errno(error, "cannot enter %s", options->state_dir);
    close(folder);
    return true;
}

/* The last line that is not empty, as much of it as there is room for. */
typedef struct {
    char text[256];
    size_t length;
    bool ended;
} Line;

static void
line_feed(Line *line, const char *data, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        if (data[i] == '\n' || data[i] == '\r') {
            line->ended = true;
            continue;
        }
        if (line->ended)
            line->length = 0;
        line->ended = false;
        if (line->length < sizeof line->text)
            line->text[line->length++] = data[i];
    }
}

/* Reads to the end, so that the command never blocks on it, and shows the beginning. */
static void
copy_output(int from, Line *last)
{
    char chunk[4096];
    size_t shown = 0;
    for (;;) {
        ssize_t n = read(from, chunk, sizeof chunk);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return;
        line_feed(last, chunk, n);
        if (shown < OUTPUT_MAX && write(2, chunk, n) < 0)
            shown = OUTPUT_MAX;
        shown += n;
    }
}

/* Its own last word, unless it had none, or was cut short. */
static void
report_failure(const char *command, int status, const Line *last)
{
    KhShimError error;
    if (WIFSIGNALED(status))
        kh_shim_fail(&error, "%s was killed by signal %d (%s)", command, WTERMSIG(status),
                     strsignal(WTERMSIG(status)));
    else if (last->length == 0)
        kh_shim_fail(&error, "%s exited with code %d and said nothing", command,
                     WEXITSTATUS(status));
    else
        kh_shim_fail(&error, "%.*s", (int)last->length, last->text);
    if (WIFSIGNALED(status) || last->length == 0)
        fprintf(stderr, "%s%s\n", last->length > 0 && !last->ended ? "\n" : "", error.text);
    kh_shim_report_status(&error);
}

int
kh_shim_format(const KhShimOptions *options)
{
    KhShimError error;
    KhShimChild child;
    Line last = {.length = 0};
    int output[2];
    sigset_t none;
    /* SIGTERM ends the shim and, with it, the command. */
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    signal(SIGTERM, SIG_DFL);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGCHLD, SIG_DFL);
    if (!enter_state(options, &error))
        return fail(options, &error);
    if (pipe2(output, O_CLOEXEC) < 0) {
        kh_shim_fail_errno(&error, "cannot make a pipe");
        return fail(options, &error);
    }
    const KhShimSpawn spawn = {.program = options->arguments[0],
                               .arguments = options->arguments + 1,
                               .output = output[1],
                               .fds = {-1, -1, -1, -1, -1, -1, -1}};
    if (!kh_shim_child_spawn(&child, &spawn, &error))
        return fail(options, &error);
    close(output[1]);
    copy_output(output[0], &last);
    int status = kh_shim_child_reap(&child);
    if (status != 0)
        report_failure(options->arguments[0], status, &last);
    return kh_shim_child_exit_code(status);
}

int
kh_shim_probe(const KhShimOptions *options, const char *device)
{
    KhShimError error;
    if (!kh_shim_drop_privileges(options, &error))
        return fail(options, &error);
    int fd = open(device, O_RDWR | O_CLOEXEC);
    if (fd >= 0) {
        close(fd);
        return 0;
    }
    kh_shim_fail_errno(&error, "uid %u cannot open %s", getuid(), device);
    kh_shim_report_error(-1, &error);
    return 1;
}
