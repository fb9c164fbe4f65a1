/* SPDX-License-Identifier: MIT */
/* Why a machine has ended; see ending.h. */
#include "ending.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "error.h"
#include "launch/shim-protocol.h"
#include "names.h"
#include "state/instance-dir.h"

#define TAIL 65536
#define SENTENCE_MAX 512

char *
kh_ending_find_fatal(const char *log)
{
    const char *found = NULL;
    g_autofree char *line = NULL;

    for (const char *at = log; (at = strstr(at, "FATAL:")) != NULL; at++)
        if (at == log || at[-1] == '\n' || at[-1] == '\r')
            found = at + strlen("FATAL:");
    if (found == NULL)
        return NULL;
    line = g_strndup(found, strcspn(found, "\r\n"));
    return kh_text_sanitize(g_strstrip(line), SENTENCE_MAX);
}

/* The last bytes of a log; zero bytes become blanks, so that none hides what follows. */
static char *
read_tail(int folder, const char *name, gint64 uid)
{
    int fd = kh_instance_dir_open_file(folder, name, uid, NULL);
    g_autofree char *text = g_malloc0(TAIL + 1);
    off_t size;
    ssize_t n;

    if (fd < 0)
        return NULL;
    size = lseek(fd, 0, SEEK_END);
    n = pread(fd, text, TAIL, size > TAIL ? size - TAIL : 0);
    close(fd);
    for (ssize_t i = 0; i < n; i++)
        if (text[i] == '\0')
            text[i] = ' ';
    return n < 0 ? NULL : g_steal_pointer(&text);
}

static GError *
of_exit_code(int code)
{
    if (code == 0)
        return g_error_new(KH_ERROR, KH_ERROR_GUEST_FAILED, "The guest has powered itself off");
    return g_error_new(KH_ERROR, KH_ERROR_LAUNCH_FAILED,
                       "QEMU ended with code %d; its log, source \"qemu\", says why", code);
}

GError *
kh_ending_describe(int folder, gint64 uid)
{
    g_autofree char *log = read_tail(folder, KH_FILE_SERIAL_LOG, uid);
    g_autofree char *fatal = log == NULL ? NULL : kh_ending_find_fatal(log);
    g_autofree char *status = NULL;
    int number;

    status = kh_instance_dir_read(folder, KH_FILE_EXIT_STATUS, uid, 64, NULL);
    if (status != NULL && sscanf(status, "signaled %d", &number) == 1)
        return g_error_new(KH_ERROR, KH_ERROR_FAILED, "QEMU was killed by signal %d (%s)", number,
                           g_strsignal(number));
    if (fatal != NULL)
        return g_error_new(KH_ERROR, KH_ERROR_GUEST_FAILED, "The guest gave up: %s", fatal);
    if (status != NULL && sscanf(status, "exited %d", &number) == 1)
        return of_exit_code(number);
    return g_error_new(
        KH_ERROR, KH_ERROR_FAILED,
        "The machine's shim was killed, and QEMU with it: it has left no exit status");
}
