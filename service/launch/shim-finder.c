/* SPDX-License-Identifier: MIT */
/* Finds a shim by its socket; see shim-finder.h. */
#include "shim-finder.h"

#include <stdio.h>
#include <string.h>
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

/* Field 4 of /proc/PID/stat (proc(5)). */
static gboolean
is_child_of(const char *pid, pid_t parent)
{
    g_autofree char *path = g_build_filename("/proc", pid, "stat", NULL);
    g_autofree char *stat = NULL;
    const char *rest;
    int found;

    if (!g_file_get_contents(path, &stat, NULL, NULL))
        return FALSE;
    rest = strrchr(stat, ')');
    return rest != NULL && sscanf(rest, ") %*c %d", &found) == 1 && found == parent;
}

static gint64
find_child(pid_t parent)
{
    g_autoptr(GDir) proc = g_dir_open("/proc", 0, NULL);
    const char *name;

    while (proc != NULL && (name = g_dir_read_name(proc)) != NULL)
        if (g_ascii_isdigit(name[0]) && is_child_of(name, parent))
            return g_ascii_strtoll(name, NULL, 10);
    return 0;
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
    if (qemu.pid == 0) {
        g_set_error(error, KH_ERROR, KH_ERROR_NOT_FOUND, "No machine runs for %s", traces->id);
        return NULL;
    }
    shim.start_time = kh_process_start_time(shim.pid);
    qemu.start_time = kh_process_start_time(qemu.pid);
    return kh_vm_follow(&shim, &qemu, traces->uid, error);
}
