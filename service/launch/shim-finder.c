/* SPDX-License-Identifier: MIT */
/* Finds a machine's shim; see shim-finder.h. */
#include "shim-finder.h"

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include "error.h"
#include "identity.h"
#include "shim-protocol.h"
#include "state/instance-dir.h"

/* One look for a machine, and what stands in the way of saying that there is none. */
typedef struct {
    const KhMachineRef *ref;
    guint32 uid;
    GError *foreign; /* one of this id lives that is another service's */
    GError *unknown; /* something could not be looked at */
} Search;

static Search
search_begin(const KhMachineRef *ref)
{
    return (Search){.ref = ref, .uid = ref->uid < 0 ? geteuid() : (guint32)ref->uid};
}

/* Takes @reason, why one of several ways has shown nothing; the first of a kind is kept. */
static void
note(Search *search, GError *reason)
{
    GError **place = g_error_matches(reason, KH_ERROR, KH_ERROR_NOT_AUTHORIZED) ? &search->foreign
                                                                                : &search->unknown;

    if (*place == NULL && !g_error_matches(reason, KH_ERROR, KH_ERROR_NOT_FOUND))
        *place = reason;
    else
        g_error_free(reason);
}

/* @vm, or NULL for none; what was not seen may be the machine, so that it comes first. */
static KhVm *
search_end(Search *search, KhVm *vm, GError **error)
{
    if (vm == NULL && search->unknown != NULL)
        g_propagate_error(error, g_steal_pointer(&search->unknown));
    else if (vm == NULL && search->foreign != NULL)
        g_propagate_error(error, g_steal_pointer(&search->foreign));
    else if (vm == NULL)
        kh_error_set(error, KH_ERROR_NOT_FOUND, "No machine runs for %s", search->ref->id);
    g_clear_error(&search->unknown);
    g_clear_error(&search->foreign);
    return vm;
}

static GDir *
open_proc(Search *search)
{
    GError *reason = NULL;
    GDir *proc = g_dir_open("/proc", 0, &reason);

    if (proc == NULL)
        note(search, kh_error_import(reason, KH_ERROR_RESOURCE_UNAVAILABLE, "/proc"));
    return proc;
}

/* The next process of @proc, 0 after the last. */
static gint64
next_process(GDir *proc)
{
    const char *name;

    while ((name = g_dir_read_name(proc)) != NULL)
        if (g_ascii_isdigit(name[0]))
            return g_ascii_strtoll(name, NULL, 10);
    return 0;
}

static gint64
find_child(Search *search, gint64 parent)
{
    g_autoptr(GDir) proc = open_proc(search);
    gint64 pid;

    while (proc != NULL && (pid = next_process(proc)) > 0) {
        GError *reason = NULL;
        gint64 found = kh_process_read_parent(pid, &reason);

        if (found == parent)
            return pid;
        if (found < 0)
            note(search, reason);
    }
    return 0;
}

/* QEMU is all that a shim starts; before it does, and after QEMU's end, it soon ends itself. */
static KhVm *
follow_child(Search *search, gint64 pid)
{
    KhProcess shim = {.pid = pid}, qemu = {.pid = find_child(search, pid)};
    GError *reason = NULL;
    KhVm *vm = NULL;

    if (qemu.pid == 0)
        reason = g_error_new(KH_ERROR, KH_ERROR_RESOURCE_UNAVAILABLE,
                             "Process %" G_GINT64_FORMAT " is the machine's shim and has no QEMU: "
                             "it is starting or ending",
                             pid);
    else if (kh_process_read_start_time(&shim, &reason) &&
             kh_process_read_start_time(&qemu, &reason))
        vm = kh_vm_follow(&shim, &qemu, search->ref->uid, &reason);
    if (vm == NULL)
        note(search, reason);
    return vm;
}

/* The machine of the shim @pid, if that is ours. */
static KhVm *
follow_shim(Search *search, gint64 pid)
{
    GError *reason = NULL;

    if (kh_identity_of(search->ref, pid, &reason) == KH_IDENTITY_OURS)
        return follow_child(search, pid);
    note(search, reason);
    return NULL;
}

/* Who serves the control socket. QEMU may have put something else in its place. */
static KhVm *
find_by_socket(Search *search)
{
    const KhMachineRef *ref = search->ref;
    GError *reason = NULL;
    int folder = kh_instance_dir_open(ref->runtime_fd, ref->id, &reason), fd = -1;
    pid_t pid = 0;

    if (folder >= 0)
        fd = kh_instance_dir_connect(folder, KH_SOCKET_CONTROL, ref->uid, &pid, &reason);
    if (folder >= 0)
        close(folder);
    if (fd >= 0) {
        close(fd);
        return follow_shim(search, pid);
    }
    if (g_error_matches(reason, KH_ERROR, KH_ERROR_NOT_AUTHORIZED))
        g_error_free(reason);
    else
        note(search, reason);
    return NULL;
}

/* Of the machine's user; the service's own is a shim's as long as it is starting. */
static gboolean
may_be_shim(const Search *search, gint64 pid)
{
    g_autofree char *path = g_strdup_printf("/proc/%" G_GINT64_FORMAT, pid);
    struct stat status;

    return stat(path, &status) == 0 && (status.st_uid == search->uid || status.st_uid == geteuid());
}

/* Where those of others are hidden (hidepid= of proc(5)), the first process is, too. */
static void
note_hidden(Search *search)
{
    if (search->uid != geteuid() && access("/proc/1", F_OK) != 0)
        note(search,
             g_error_new(KH_ERROR, KH_ERROR_RESOURCE_UNAVAILABLE,
                         "/proc hides the processes of other users: %s", g_strerror(errno)));
}

/* Among all processes: the folders with the sockets may have gone. */
static KhVm *
find_by_user(Search *search)
{
    g_autoptr(GDir) proc = open_proc(search);
    KhVm *vm = NULL;
    gint64 pid;

    note_hidden(search);
    while (vm == NULL && proc != NULL && (pid = next_process(proc)) > 0)
        if (may_be_shim(search, pid))
            vm = follow_shim(search, pid);
    return vm;
}

KhVm *
kh_shim_finder_find(const KhMachineRef *ref, GError **error)
{
    Search search = search_begin(ref);
    KhVm *vm = find_by_socket(&search);

    if (vm == NULL)
        vm = find_by_user(&search);
    return search_end(&search, vm, error);
}

KhVm *
kh_shim_finder_follow_shim(const KhMachineRef *ref, gint64 pid, GError **error)
{
    Search search = search_begin(ref);

    return search_end(&search, follow_shim(&search, pid), error);
}

/* GONE for another process with the same number. */
static KhIdentity
identity_of_noted(const KhMachineRef *ref, GError **error)
{
    KhProcess found = ref->shim;

    if (!kh_process_read_start_time(&found, error))
        return KH_IDENTITY_UNKNOWN;
    if (found.start_time == 0 || found.start_time != ref->shim.start_time)
        return KH_IDENTITY_GONE;
    return kh_identity_of(ref, found.pid, error);
}

KhVm *
kh_shim_finder_follow(const KhMachineRef *ref, GError **error)
{
    g_autoptr(GError) reason = NULL;
    KhIdentity shim = identity_of_noted(ref, &reason);
    KhVm *vm = NULL;

    /* A QEMU whose shim has ended ends with it, ours or not. */
    if (shim == KH_IDENTITY_OURS || shim == KH_IDENTITY_GONE) {
        g_clear_error(&reason);
        vm = kh_vm_follow(&ref->shim, &ref->qemu, ref->uid, &reason);
    }
    if (vm != NULL)
        return vm;
    if (g_error_matches(reason, KH_ERROR, KH_ERROR_LAUNCH_FAILED))
        reason->code = KH_ERROR_NOT_AUTHORIZED;
    g_propagate_error(error, g_steal_pointer(&reason));
    return NULL;
}
