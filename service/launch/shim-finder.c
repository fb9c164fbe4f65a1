/* SPDX-License-Identifier: MIT */
/* Finds a shim by its socket; see shim-finder.h. */
#include "shim-finder.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "error.h"
#include "shim-protocol.h"
#include "state/instance-dir.h"

/* Who listens on the control socket in @folder; 0 for nobody, or another user than @uid. */
static pid_t
find_listener(int folder, gint64 uid)
{
    pid_t pid = 0;
    int fd = kh_instance_dir_connect(folder, KH_SOCKET_CONTROL, uid, &pid, NULL);

    if (fd < 0)
        return 0;
    close(fd);
    return pid;
}

/* Field 4 of /proc/PID/stat (proc(5)); 0 where it cannot be read. */
static pid_t
parent_of(const char *pid)
{
    g_autofree char *path = g_build_filename("/proc", pid, "stat", NULL);
    g_autofree char *stat = NULL;
    const char *rest;
    int found;

    if (!g_file_get_contents(path, &stat, NULL, NULL))
        return 0;
    rest = strrchr(stat, ')');
    return rest != NULL && sscanf(rest, ") %*c %d", &found) == 1 ? found : 0;
}

static gint64
find_child(pid_t parent)
{
    g_autoptr(GDir) proc = g_dir_open("/proc", 0, NULL);
    const char *name;

    while (proc != NULL && (name = g_dir_read_name(proc)) != NULL)
        if (g_ascii_isdigit(name[0]) && parent_of(name) == parent)
            return g_ascii_strtoll(name, NULL, 10);
    return 0;
}

/* Whether @pid is a shim that runs a machine, and no tool. What it was called with stays. */
static gboolean
runs_a_machine(pid_t pid)
{
    g_autofree char *path = g_strdup_printf("/proc/%d/cmdline", pid);
    g_autofree char *words = NULL;
    gsize length = 0;

    if (pid == 0 || !g_file_get_contents(path, &words, &length, NULL))
        return FALSE;
    return strlen(words) + 1 < length && g_str_equal(words + strlen(words) + 1, "--run");
}

static gboolean
is_of(pid_t pid, gint64 uid)
{
    g_autofree char *path = g_strdup_printf("/proc/%d", pid);
    struct stat st;

    return stat(path, &st) == 0 && st.st_uid == uid;
}

/* The machine's user is its alone: what a shim of that user has started is QEMU. */
static void
find_by_user(gint64 uid, KhProcess *shim, KhProcess *qemu)
{
    g_autoptr(GDir) proc = g_dir_open("/proc", 0, NULL);
    const char *name;

    while (proc != NULL && (name = g_dir_read_name(proc)) != NULL) {
        pid_t pid = (pid_t)g_ascii_strtoll(name, NULL, 10);
        pid_t parent;

        if (!g_ascii_isdigit(name[0]) || !is_of(pid, uid))
            continue;
        parent = parent_of(name);
        if (is_of(parent, uid) && runs_a_machine(parent)) {
            shim->pid = parent;
            qemu->pid = pid;
            return;
        }
    }
}

KhVm *
kh_shim_finder_find(const KhTraces *traces, GError **error)
{
    int folder = kh_instance_dir_open(traces->runtime_fd, traces->id, error);
    KhProcess shim = {0}, qemu = {0};

    if (folder < 0)
        return NULL;
    shim.pid = find_listener(folder, traces->uid);
    close(folder);
    if (shim.pid > 0)
        qemu.pid = find_child((pid_t)shim.pid);
    /* QEMU may have put something in the place of the socket. */
    if (qemu.pid == 0 && traces->uid >= 0)
        find_by_user(traces->uid, &shim, &qemu);
    if (qemu.pid == 0) {
        g_set_error(error, KH_ERROR, KH_ERROR_NOT_FOUND, "No machine runs for %s", traces->id);
        return NULL;
    }
    shim.start_time = kh_process_start_time(shim.pid);
    qemu.start_time = kh_process_start_time(qemu.pid);
    return kh_vm_follow(&shim, &qemu, traces->uid, error);
}
