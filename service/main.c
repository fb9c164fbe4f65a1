/* SPDX-License-Identifier: MIT */
/* katana-hypervisord: reads its settings and runs the daemon. */
#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "build-config.h"
#include "daemon.h"
#include "journal.h"
#include "launch/cgroup.h"

/* A stream of a log takes half a dozen; what starts the service sets the bound. */
static void
allow_descriptors(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return;
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
}

/* What --help and --version print; the first of them ends the process in GOption. */
static void
check_output(void)
{
    if (fflush(stdout) == 0 && !ferror(stdout))
        return;
    fputs("katana-hypervisord: The output cannot be written\n", stderr);
    _exit(1);
}

int
main(int argc, char **argv)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(KhSettings) settings = NULL;

    /* stdout is for results, and there are none; a reader of a log may go at any time. */
    g_log_writer_default_set_use_stderr(TRUE);
    kh_journal_begin("katana-hypervisord");
    signal(SIGPIPE, SIG_IGN);
    /* Names in messages are UTF-8, whatever the locale that it was started with. */
    setlocale(LC_CTYPE, "C.UTF-8");
    atexit(check_output);
    umask(0077);
    allow_descriptors();
    settings = kh_settings_read(argc, argv, &error);
    /* 2 is for the settings alone: systemd does not try that again, see the unit. */
    if (settings == NULL) {
        g_printerr("katana-hypervisord: %s\n", error->message);
        return 2;
    }
    if (settings->version) {
        g_print("katana-hypervisord " KH_VERSION "\n");
        return 0;
    }
    if (settings->yield_cgroup) {
        kh_cgroups_yield();
        return 0;
    }
    if (settings->verbose)
        g_setenv("G_MESSAGES_DEBUG", "all", TRUE);
    if (!(settings->adopt ? kh_daemon_adopt_empty_state : kh_daemon_run)(settings, &error)) {
        g_printerr("katana-hypervisord: %s\n", error->message);
        return 1;
    }
    return 0;
}
