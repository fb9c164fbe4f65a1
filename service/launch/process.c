/* SPDX-License-Identifier: MIT */
/* A process followed by pidfd; see process.h. */
#include "process.h"

#include <errno.h>
#include <glib-unix.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "error.h"

struct _KhProcessHandle {
    GObject parent_instance;
    gint64 pid;
    int fd;
    guint watch;
    gboolean ended;
};

G_DEFINE_FINAL_TYPE(KhProcessHandle, kh_process_handle, G_TYPE_OBJECT)

enum { SIGNAL_ENDED, N_SIGNALS };

static guint signals[N_SIGNALS];

static void
kh_process_handle_finalize(GObject *object)
{
    KhProcessHandle *self = KH_PROCESS_HANDLE(object);

    g_clear_handle_id(&self->watch, g_source_remove);
    if (self->fd >= 0)
        close(self->fd);
    G_OBJECT_CLASS(kh_process_handle_parent_class)->finalize(object);
}

static void
kh_process_handle_class_init(KhProcessHandleClass *class)
{
    G_OBJECT_CLASS(class)->finalize = kh_process_handle_finalize;
    signals[SIGNAL_ENDED] = g_signal_new("ended", KH_TYPE_PROCESS_HANDLE, G_SIGNAL_RUN_LAST, 0,
                                         NULL, NULL, NULL, G_TYPE_NONE, 0);
}

static void
kh_process_handle_init(KhProcessHandle *self)
{
    self->fd = -1;
}

static void
set_gone(gint64 pid, GError **error)
{
    g_set_error(error, KH_ERROR, KH_ERROR_NOT_FOUND, "Process %" G_GINT64_FORMAT " has ended", pid);
}

static void
set_unknown(gint64 pid, const char *reason, GError **error)
{
    g_set_error(error, KH_ERROR, KH_ERROR_RESOURCE_UNAVAILABLE,
                "Process %" G_GINT64_FORMAT " could not be examined: %s", pid, reason);
}

/* /proc alone is no proof: it may hide what is there (hidepid= of proc(5)). */
static gboolean
is_gone(gint64 pid)
{
    return pid <= 0 || (kill((pid_t)pid, 0) != 0 && errno == ESRCH);
}

char *
kh_process_read(gint64 pid, const char *name, gsize *length, GError **error)
{
    g_autofree char *path = g_strdup_printf("/proc/%" G_GINT64_FORMAT "/%s", pid, name);
    g_autoptr(GError) reason = NULL;
    char *text = NULL;

    if (pid > 0 && g_file_get_contents(path, &text, length, &reason))
        return text;
    if (is_gone(pid))
        set_gone(pid, error);
    else
        set_unknown(pid, reason->message, error);
    return NULL;
}

/* The name, field 2, may hold blanks and brackets: count from the last bracket. */
static gint64
field_of_stat(const char *stat, guint number)
{
    const char *rest = strrchr(stat, ')');
    g_auto(GStrv) fields = rest == NULL ? NULL : g_strsplit(rest + 1, " ", -1);

    return fields != NULL && g_strv_length(fields) > number - 2
               ? g_ascii_strtoll(fields[number - 2], NULL, 10)
               : 0;
}

gint64
kh_process_start_time(gint64 pid)
{
    g_autofree char *stat = kh_process_read(pid, "stat", NULL, NULL);

    return stat == NULL ? 0 : field_of_stat(stat, 22);
}

gint64
kh_process_read_parent(gint64 pid, GError **error)
{
    g_autofree char *stat = kh_process_read(pid, "stat", NULL, error);

    return stat == NULL ? -1 : field_of_stat(stat, 4);
}

gboolean
kh_process_read_start_time(KhProcess *process, GError **error)
{
    g_autoptr(GError) reason = NULL;
    g_autofree char *stat = kh_process_read(process->pid, "stat", NULL, &reason);

    process->start_time = stat == NULL ? 0 : field_of_stat(stat, 22);
    if (stat != NULL || g_error_matches(reason, KH_ERROR, KH_ERROR_NOT_FOUND))
        return TRUE;
    g_propagate_error(error, g_steal_pointer(&reason));
    return FALSE;
}

static gboolean
on_readable(int fd, GIOCondition condition, gpointer data)
{
    KhProcessHandle *self = data;

    self->watch = 0;
    self->ended = TRUE;
    g_signal_emit(self, signals[SIGNAL_ENDED], 0);
    return G_SOURCE_REMOVE;
}

static gboolean
has_just_ended(KhProcessHandle *self)
{
    struct pollfd ended = {.fd = self->fd, .events = POLLIN};

    return poll(&ended, 1, 0) != 0;
}

static gboolean
open_pidfd(KhProcessHandle *self, gint64 pid, GError **error)
{
    self->pid = pid;
    self->fd = pid <= 0 ? -1 : (int)syscall(SYS_pidfd_open, (pid_t)pid, 0);
    if (self->fd >= 0)
        return TRUE;
    /* The number may be a thread's by now, which is no process's. */
    if (pid <= 0 || errno == ESRCH || errno == EINVAL || errno == ENOENT)
        set_gone(pid, error);
    else
        set_unknown(pid, g_strerror(errno), error);
    return FALSE;
}

KhProcessHandle *
kh_process_handle_open(const KhProcess *process, GError **error)
{
    g_autoptr(KhProcessHandle) self = g_object_new(KH_TYPE_PROCESS_HANDLE, NULL);
    KhProcess found = *process;

    if (!open_pidfd(self, process->pid, error) || !kh_process_read_start_time(&found, error))
        return NULL;
    /*
     * The descriptor came first, so a matching start time proves that it is the one. It may have
     * ended and not been waited for: what is init in a container takes its time, or does not.
     */
    if (found.start_time == 0 || found.start_time != process->start_time || has_just_ended(self)) {
        set_gone(process->pid, error);
        return NULL;
    }
    self->watch = g_unix_fd_add(self->fd, G_IO_IN, on_readable, self);
    return g_steal_pointer(&self);
}

/* Of a process that has not been waited for, the folder in /proc is its effective user's. */
gboolean
kh_process_handle_check_owner(KhProcessHandle *self, guint32 uid, GError **error)
{
    g_autofree char *path = g_strdup_printf("/proc/%" G_GINT64_FORMAT, self->pid);
    struct stat status;
    gboolean seen = stat(path, &status) == 0;
    int reason = errno;

    if (seen && status.st_uid == uid)
        return TRUE;
    /* The number may be another process's by now. */
    if (has_just_ended(self))
        set_gone(self->pid, error);
    else if (seen)
        g_set_error(error, KH_ERROR, KH_ERROR_LAUNCH_FAILED,
                    "Process %" G_GINT64_FORMAT " is user %u's, not user %u's: it is not the "
                    "machine's, whatever the shim says",
                    self->pid, status.st_uid, uid);
    else
        set_unknown(self->pid, g_strerror(reason), error);
    return FALSE;
}

gboolean
kh_process_handle_has_ended(KhProcessHandle *self)
{
    return self->ended;
}

gboolean
kh_process_handle_signal(KhProcessHandle *self, int signal_number)
{
    return !self->ended && !has_just_ended(self) &&
           syscall(SYS_pidfd_send_signal, self->fd, signal_number, NULL, 0) == 0;
}
