/* SPDX-License-Identifier: MIT */
/* A process followed by pidfd; see process.h. */
#include "process.h"

#include <errno.h>
#include <glib-unix.h>
#include <poll.h>
#include <stdio.h>
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

/* The name, field 2, may hold blanks and brackets: count from the last bracket. */
gint64
kh_process_start_time(gint64 pid)
{
    g_autofree char *path = g_strdup_printf("/proc/%" G_GINT64_FORMAT "/stat", pid);
    g_autofree char *stat = NULL;
    g_auto(GStrv) fields = NULL;
    const char *rest;

    if (pid <= 0 || !g_file_get_contents(path, &stat, NULL, NULL))
        return 0;
    rest = strrchr(stat, ')');
    if (rest == NULL)
        return 0;
    fields = g_strsplit(rest + 1, " ", -1);
    return g_strv_length(fields) > 20 ? g_ascii_strtoll(fields[20], NULL, 10) : 0;
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

static void
set_gone(gint64 pid, GError **error)
{
    g_set_error(error, KH_ERROR, KH_ERROR_NOT_FOUND, "Process %" G_GINT64_FORMAT " has ended", pid);
}

KhProcessHandle *
kh_process_handle_open(const KhProcess *process, GError **error)
{
    g_autoptr(KhProcessHandle) self = g_object_new(KH_TYPE_PROCESS_HANDLE, NULL);

    self->fd = (int)syscall(SYS_pidfd_open, (pid_t)process->pid, 0);
    /* The descriptor came first, so a matching start time proves that it is the one. */
    if (self->fd < 0 || process->start_time == 0 ||
        kh_process_start_time(process->pid) != process->start_time) {
        set_gone(process->pid, error);
        return NULL;
    }
    self->pid = process->pid;
    self->watch = g_unix_fd_add(self->fd, G_IO_IN, on_readable, self);
    return g_steal_pointer(&self);
}

/* Of a process that has not been waited for, the folder in /proc is its effective user's. */
gboolean
kh_process_handle_check_owner(KhProcessHandle *self, guint32 uid, GError **error)
{
    g_autofree char *path = g_strdup_printf("/proc/%" G_GINT64_FORMAT, self->pid);
    struct pollfd ended = {.fd = self->fd, .events = POLLIN};
    struct stat status;
    gboolean seen = stat(path, &status) == 0;
    int reason = errno;

    if (seen && status.st_uid == uid)
        return TRUE;
    /* The number may be another process's by now. */
    if (poll(&ended, 1, 0) != 0)
        set_gone(self->pid, error);
    else if (seen)
        g_set_error(error, KH_ERROR, KH_ERROR_LAUNCH_FAILED,
                    "Process %" G_GINT64_FORMAT " is user %u's, not user %u's: it is not the "
                    "machine's, whatever the shim says",
                    self->pid, status.st_uid, uid);
    else
        g_set_error(error, KH_ERROR, KH_ERROR_LAUNCH_FAILED,
                    "Whose process %" G_GINT64_FORMAT " is cannot be seen: %s", self->pid,
                    g_strerror(reason));
    return FALSE;
}

gboolean
kh_process_handle_has_ended(KhProcessHandle *self)
{
    return self->ended;
}

void
kh_process_handle_signal(KhProcessHandle *self, int signal_number)
{
    if (!self->ended)
        syscall(SYS_pidfd_send_signal, self->fd, signal_number, NULL, 0);
}
