/* SPDX-License-Identifier: MIT */
/* Why a machine has ended; see exit-cause.h. */
#include "exit-cause.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "auto-fd.h"
#include "error.h"
#include "launch/shim-protocol.h"
#include "names.h"
#include "state/instance-dir.h"

#define TAIL 65536
#define SENTENCE_MAX 512
#define FATAL "FATAL:"
#define EXITED "Katana exited with code "
#define EXIT_CODE_MAX 255

/* What the kernel puts before its lines: "[    3.657194] ", with a caller or two. */
static const char *
skip_stamps(const char *line)
{
    gsize length;

    while (line[0] == '[' && line[length = 1 + strspn(line + 1, " .0123456789CT")] == ']')
        line += length + 1;
    return line + strspn(line, " ");
}

/* What @line, which goes on beyond its end, says of the guest's end; NULL for nothing. */
static const char *
find_verdict(const char *line)
{
    const char *text = skip_stamps(line);

    if (g_str_has_prefix(line, FATAL))
        return line + strlen(FATAL);
    return g_str_has_prefix(text, "Kernel panic - ") ? text : NULL;
}

char *
kh_ending_find_fatal(const char *log)
{
    const char *found = NULL;
    g_autofree char *line = NULL;

    for (const char *at = log; *at != '\0'; at += strcspn(at, "\r\n"), at += strspn(at, "\r\n")) {
        const char *verdict = find_verdict(at);

        found = verdict != NULL ? verdict : found;
    }
    if (found == NULL)
        return NULL;
    line = g_strndup(found, strcspn(found, "\r\n"));
    return kh_text_sanitize(g_strstrip(line), SENTENCE_MAX);
}

/* The number that is all of @text up to the end of its line; -1 for anything else. */
static int
read_code(const char *text)
{
    g_autofree char *digits = g_strndup(text, strcspn(text, "\r\n"));
    guint64 code;

    return g_ascii_string_to_unsigned(digits, 10, 0, EXIT_CODE_MAX, &code, NULL) ? (int)code : -1;
}

int
kh_ending_find_exit_code(const char *log)
{
    int found = -1;

    for (const char *at = log; *at != '\0'; at += strcspn(at, "\r\n"), at += strspn(at, "\r\n")) {
        const char *text = g_str_has_prefix(at, FATAL) ? at + strlen(FATAL) : at;

        text += strspn(text, " ");
        if (g_str_has_prefix(text, EXITED))
            found = read_code(text + strlen(EXITED));
    }
    return found;
}

/* The last bytes of a log; zero bytes become blanks, so that none hides what follows. */
static char *
read_tail(int folder, const char *name, gint64 uid)
{
    g_auto(KhFd) fd = kh_instance_dir_open_file(folder, name, uid, NULL);
    g_autofree char *text = g_malloc0(TAIL + 1);
    off_t size;
    ssize_t n;

    if (fd < 0)
        return NULL;
    size = lseek(fd, 0, SEEK_END);
    n = pread(fd, text, TAIL, size > TAIL ? size - TAIL : 0);
    for (ssize_t i = 0; i < n; i++)
        if (text[i] == '\0')
            text[i] = ' ';
    return n < 0 ? NULL : g_steal_pointer(&text);
}

/* The shim's line, "exited CODE" or "signaled NUMBER", with " stopped" where it was told to. */
typedef struct {
    gboolean known, signaled, stopped, forced;
    int number;
} Status;

static Status
read_status(int folder, gint64 uid)
{
    g_autofree char *line = kh_instance_dir_read(folder, KH_FILE_EXIT_STATUS, uid, 64, NULL);
    Status status = {FALSE, FALSE, FALSE, FALSE, 0};

    if (line == NULL)
        return status;
    status.signaled = sscanf(line, "signaled %d", &status.number) == 1;
    status.known = status.signaled || sscanf(line, "exited %d", &status.number) == 1;
    status.forced = g_str_has_suffix(g_strchomp(line), " forced");
    status.stopped = status.forced || g_str_has_suffix(line, " stopped");
    return status;
}

static char *
read_fatal(int folder, gint64 uid)
{
    g_autofree char *log = read_tail(folder, KH_FILE_SERIAL_LOG, uid);

    return log == NULL ? NULL : kh_ending_find_fatal(log);
}

int
kh_ending_read_exit_code(int folder, gint64 uid)
{
    g_autofree char *log = read_tail(folder, KH_FILE_SERIAL_LOG, uid);

    return log == NULL ? -1 : kh_ending_find_exit_code(log);
}

static KhEnding
of_stop(const Status *status, GError **reason)
{
    g_set_error(
        reason, KH_ERROR, KH_ERROR_CANCELLED,
        "It was stopped from outside: by its unit, by a signal to its shim, or with the host");
    return status->signaled || status->forced ? KH_ENDING_FORCED : KH_ENDING_STOPPED;
}

static KhEnding
of_exit_code(int code, GError **reason)
{
    if (code == 0) {
        g_set_error(reason, KH_ERROR, KH_ERROR_GUEST_FAILED, "The guest has powered itself off");
        return KH_ENDING_POWERED_OFF;
    }
    g_set_error(reason, KH_ERROR, KH_ERROR_LAUNCH_FAILED,
                "QEMU ended with code %d; its log, source \"qemu\", says why", code);
    return KH_ENDING_FAILED;
}

KhEnding
kh_ending_describe(int folder, gint64 uid, GError **reason)
{
    const Status status = read_status(folder, uid);
    g_autofree char *fatal = read_fatal(folder, uid);

    if (status.known && status.stopped)
        return of_stop(&status, reason);
    if (status.known && !status.signaled && fatal == NULL)
        return of_exit_code(status.number, reason);
    if (status.signaled)
        g_set_error(reason, KH_ERROR, KH_ERROR_FAILED, "QEMU was killed by signal %d (%s)",
                    status.number, g_strsignal(status.number));
    else if (fatal != NULL)
        g_set_error(reason, KH_ERROR, KH_ERROR_GUEST_FAILED, "The guest gave up: %s", fatal);
    else
        g_set_error(
            reason, KH_ERROR, KH_ERROR_FAILED,
            "The machine ended and its shim left no exit status, as happens when the shim is "
            "killed; the kernel's log may say why");
    return status.known || fatal != NULL ? KH_ENDING_FAILED : KH_ENDING_UNKNOWN;
}
