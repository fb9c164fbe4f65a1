/* SPDX-License-Identifier: MIT */
/* Machines that are found again, and let go of; see machines.h. */
#include "machines.h"

#include <unistd.h>

#include "auto-fd.h"
#include "error.h"
#include "launch/shim-finder.h"
#include "launch/shim-protocol.h"
#include "state/instance-dir.h"

/* Valid as long as @record is, and what it holds. */
static KhMachineRef
ref_of(const KhMachines *machines, const KhRecord *record)
{
    return (KhMachineRef){.id = record->id,
                          .instances_fd = kh_state_dir_instances_fd(machines->state_dir),
                          .runtime_fd = kh_state_dir_runtime_fd(machines->state_dir),
                          .uid = record->vm_uid,
                          .shim = record->shim,
                          .qemu = record->qemu};
}

typedef struct {
    KhFoundFunction found;
    gpointer user_data;
} Search;

static void
on_recovered(GObject *source, GAsyncResult *result, gpointer data)
{
    g_autofree Search *search = data;
    GError *error = NULL;
    g_autoptr(KhVm) vm = kh_launcher_recover_finish(KH_LAUNCHER(source), result, &error);

    search->found(vm, error, search->user_data);
}

/* At once, before anybody asks. */
static KhVm *
find_machine(const KhMachineRef *ref, GError **error)
{
    GError *failure = NULL;
    KhVm *vm = ref->shim.pid > 0 ? kh_shim_finder_follow(ref, &failure) : NULL;

    if (vm != NULL)
        return vm;
    if (failure == NULL || g_error_matches(failure, KH_ERROR, KH_ERROR_NOT_FOUND)) {
        g_clear_error(&failure);
        return kh_shim_finder_find(ref, error);
    }
    g_propagate_error(error, failure);
    return NULL;
}

void
kh_machines_find(const KhMachines *machines, const KhRecord *record, KhFoundFunction found,
                 gpointer user_data)
{
    const KhMachineRef ref = ref_of(machines, record);
    g_autoptr(KhVm) vm = NULL;
    GError *error = NULL;

    if (kh_launcher_knows_machines(machines->launcher)) {
        const Search search = {found, user_data};

        kh_launcher_recover_async(machines->launcher, &ref, on_recovered,
                                  g_memdup2(&search, sizeof search));
        return;
    }
    vm = find_machine(&ref, &error);
    found(vm, error, user_data);
}

/* A shim that was killed leaves its sockets; they would only be connected to in vain. */
static void
drop_sockets(const KhMachines *machines, const char *id)
{
    static const char *const names[] = {KH_SOCKET_QMP, KH_SOCKET_CONTROL, KH_SOCKET_CONSOLE};
    g_auto(KhFd) folder =
        kh_instance_dir_open(kh_state_dir_runtime_fd(machines->state_dir), id, NULL);

    for (guint i = 0; folder >= 0 && i < G_N_ELEMENTS(names); i++)
        unlinkat(folder, names[i], 0);
}

void
kh_machines_release_async(const KhMachines *machines, const KhRecord *record,
                          GAsyncReadyCallback callback, gpointer user_data)
{
    const KhMachineRef ref = ref_of(machines, record);

    kh_launcher_release_async(machines->launcher, &ref, callback, user_data);
}

gboolean
kh_machines_release_finish(const KhMachines *machines, const KhRecord *record, GAsyncResult *result)
{
    gboolean out_of_memory = kh_launcher_release_finish(machines->launcher, result);

    drop_sockets(machines, record->id);
    return out_of_memory;
}
