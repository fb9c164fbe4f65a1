/* SPDX-License-Identifier: MIT */
/* Whose machine a process is; see identity.h. */
#include "identity.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "auto-fd.h"
#include "error.h"
#include "names.h"
#include "process.h"
#include "shim-protocol.h"
#include "state/instance-dir.h"

#define PATH_SHOWN_MAX 256
/* A shim tries for a second to hold its folder. */
#define YOUNG_S 3

/* The words that the shim was called with; see kh_launcher_build_run_args(). */
typedef struct {
    char *text; /* one after another, each with its NUL */
    gsize length;
    const char *id, *folder; /* in @text; NULL: not among them */
} Words;

static const char *
next_word(const Words *words, const char *word)
{
    const char *next = word + strlen(word) + 1;

    return next < words->text + words->length ? next : NULL;
}

/* Up to "--", after which QEMU's own begin, every option has a value. */
static void
parse_words(Words *words)
{
    const char *option = next_word(words, words->text), *value;

    if (option == NULL || !g_str_equal(option, "--run"))
        return;
    while ((option = next_word(words, option)) != NULL && !g_str_equal(option, "--") &&
           (value = next_word(words, option)) != NULL) {
        if (g_str_equal(option, "--instance"))
            words->id = value;
        else if (g_str_equal(option, "--state-dir"))
            words->folder = value;
        option = value;
    }
}

static KhIdentity
unknown(gint64 pid, const char *reason, GError **error)
{
    g_set_error(error, KH_ERROR, KH_ERROR_RESOURCE_UNAVAILABLE,
                "It could not be found out whose machine process %" G_GINT64_FORMAT " runs: %s",
                pid, reason);
    return KH_IDENTITY_UNKNOWN;
}

/* @what: what of it is not ours, after "runs a machine of this id ". */
static KhIdentity G_GNUC_PRINTF(3, 4) foreign(gint64 pid, GError **error, const char *what, ...)
{
    g_autofree char *text = NULL;
    va_list args;

    va_start(args, what);
    text = g_strdup_vprintf(what, args);
    va_end(args);
    g_set_error(error, KH_ERROR, KH_ERROR_NOT_AUTHORIZED,
                "Process %" G_GINT64_FORMAT " runs a machine of this id %s; it is left alone", pid,
                text);
    return KH_IDENTITY_FOREIGN;
}

static KhIdentity
foreign_folder(gint64 pid, const char *folder, const char *what, GError **error)
{
    g_autofree char *shown = kh_text_sanitize(folder, PATH_SHOWN_MAX);

    return foreign(pid, error, "for the folder %s, %s", shown, what);
}

/* Whether the peer of the socket @name in @folder is @pid. */
static KhIdentity
compare_peer(const KhMachineRef *ref, gint64 pid, int folder, const char *name, GError **error)
{
    g_autoptr(GError) reason = NULL;
    pid_t peer = 0;
    g_auto(KhFd) fd = kh_instance_dir_connect(folder, name, ref->uid, &peer, &reason);

    if (fd >= 0 && peer == pid)
        return KH_IDENTITY_OURS;
    if (fd >= 0 || g_error_matches(reason, KH_ERROR, KH_ERROR_NOT_FOUND) ||
        g_error_matches(reason, KH_ERROR, KH_ERROR_NOT_AUTHORIZED))
        return KH_IDENTITY_OTHER;
    return unknown(pid, reason->message, error);
}

/* Whether it serves a socket in the instance's runtime folder, which only our shim has made. */
static KhIdentity
compare_sockets(const KhMachineRef *ref, gint64 pid, GError **error)
{
    static const char *const names[] = {KH_SOCKET_CONTROL, KH_SOCKET_QMP};
    g_autoptr(GError) reason = NULL;
    g_auto(KhFd) folder = kh_instance_dir_open(ref->runtime_fd, ref->id, &reason);
    KhIdentity found = KH_IDENTITY_OTHER;

    if (g_error_matches(reason, KH_ERROR, KH_ERROR_NOT_FOUND))
        return KH_IDENTITY_OTHER;
    if (folder < 0)
        return unknown(pid, reason->message, error);
    for (guint i = 0; i < G_N_ELEMENTS(names) && found == KH_IDENTITY_OTHER; i++)
        found = compare_peer(ref, pid, folder, names[i], error);
    return found;
}

/* FALSE where there is none; *@status is left alone then. */
static gboolean
examine(int parent, const char *path, int flags, struct stat *status)
{
    g_auto(KhFd) fd = openat(parent, path, O_PATH | O_DIRECTORY | O_CLOEXEC | flags);

    return fd >= 0 && fstat(fd, status) == 0;
}

/* A shim that has just begun may not hold its folder yet. */
static gboolean
is_young(gint64 pid)
{
    struct timespec now;
    gint64 ticks = sysconf(_SC_CLK_TCK), start = kh_process_start_time(pid);

    return clock_gettime(CLOCK_BOOTTIME, &now) == 0 && now.tv_sec - start / ticks < YOUNG_S;
}

/*
 * A shim holds its folder, whatever that is called by now. One that is not held has been put in
 * the place of the shim's: a copy, a snapshot that was rolled back.
 */
static KhIdentity
compare_hold(const KhMachineRef *ref, gint64 pid, const char *path, GError **error)
{
    g_auto(KhFd) folder =
        openat(ref->instances_fd, ref->id, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    gboolean held;

    if (folder < 0)
        return unknown(pid, g_strerror(errno), error);
    held = flock(folder, LOCK_SH | LOCK_NB) != 0;
    if (!held && is_young(pid))
        return unknown(pid, "it has just started, and does not hold its folder yet", error);
    return held ? KH_IDENTITY_OURS
                : foreign_folder(pid, path, "which has been replaced by another folder", error);
}

static gboolean
is_absence(int reason)
{
    return reason == ENOENT || reason == ENOTDIR || reason == ELOOP || reason == ENAMETOOLONG;
}

/* The folder of the shim's arguments: links count for nothing, nor does what it is called. */
static KhIdentity
compare_folder(const KhMachineRef *ref, gint64 pid, const char *path, GError **error)
{
    struct stat own = {0}, found = {0};
    g_autofree char *reason = NULL;
    KhIdentity by_socket;

    if (!examine(ref->instances_fd, ref->id, O_NOFOLLOW, &own) && !is_absence(errno))
        return unknown(pid, g_strerror(errno), error);
    if (examine(AT_FDCWD, path, 0, &found))
        return own.st_ino == found.st_ino && own.st_dev == found.st_dev
                   ? compare_hold(ref, pid, path, error)
                   : foreign_folder(pid, path, "which is another folder", error);
    if (!is_absence(errno))
        reason = g_strdup(g_strerror(errno));
    /* Our own may have been moved since the machine began. */
    by_socket = compare_sockets(ref, pid, error);
    if (by_socket != KH_IDENTITY_OTHER)
        return by_socket;
    if (reason != NULL)
        return unknown(pid, reason, error);
    return foreign_folder(
        pid, path, "which is not there, and does not serve the sockets of this service", error);
}

/* How many pid namespaces it is in from ours on; 0 where that is not told. */
static guint
depth_of(const char *status)
{
    const char *line = strstr(status, "\nNSpid:");
    const char *end = line == NULL ? NULL : strchr(line + 1, '\n');
    guint depth = 0;

    for (; line != NULL && line < end; line++)
        depth += g_ascii_isdigit(line[0]) && !g_ascii_isdigit(line[1]);
    return depth;
}

/* In a container the same path is another folder, and the same number another user. */
static KhIdentity
compare_status(const KhMachineRef *ref, gint64 pid, const char *status, GError **error)
{
    const guint32 wanted = ref->uid < 0 ? geteuid() : (guint32)ref->uid;
    const char *line = strstr(status, "\nUid:");
    g_autofree char *own = kh_process_read(getpid(), "status", NULL, error);
    guint32 uid = 0;

    if (own == NULL)
        return KH_IDENTITY_UNKNOWN;
    if (depth_of(status) != depth_of(own))
        return foreign(pid, error, "in a container");
    /* Its effective user, which it may not have become yet. */
    if (line == NULL || sscanf(line, "\nUid: %*u %u", &uid) != 1)
        return unknown(pid, "the kernel does not tell its user", error);
    if (uid != wanted && uid != geteuid())
        return foreign(pid, error, "as user %u, not as user %u", uid, wanted);
    return KH_IDENTITY_OURS;
}

static KhIdentity
set_other(const KhMachineRef *ref, gint64 pid, GError **error)
{
    g_set_error(error, KH_ERROR, KH_ERROR_NOT_FOUND,
                "Process %" G_GINT64_FORMAT " does not run a machine with the id %s", pid, ref->id);
    return KH_IDENTITY_OTHER;
}

static KhIdentity
compare(const KhMachineRef *ref, gint64 pid, const Words *words, const char *status, GError **error)
{
    KhIdentity found;

    if (words->folder == NULL || g_strcmp0(words->id, ref->id) != 0)
        return set_other(ref, pid, error);
    found = compare_status(ref, pid, status, error);
    return found == KH_IDENTITY_OURS ? compare_folder(ref, pid, words->folder, error) : found;
}

KhIdentity
kh_identity_of(const KhMachineRef *ref, gint64 pid, GError **error)
{
    g_autoptr(GError) reason = NULL;
    Words words = {0};
    g_autofree char *text = words.text = kh_process_read(pid, "cmdline", &words.length, &reason);
    g_autofree char *status = text == NULL ? NULL : kh_process_read(pid, "status", NULL, &reason);

    if (status == NULL) {
        gboolean gone = g_error_matches(reason, KH_ERROR, KH_ERROR_NOT_FOUND);

        g_propagate_error(error, g_steal_pointer(&reason));
        return gone ? KH_IDENTITY_GONE : KH_IDENTITY_UNKNOWN;
    }
    /* One that has ended and has not been waited for has no words any more. */
    if (words.length == 0) {
        set_other(ref, pid, error);
        return KH_IDENTITY_GONE;
    }
    parse_words(&words);
    return compare(ref, pid, &words, status, error);
}
