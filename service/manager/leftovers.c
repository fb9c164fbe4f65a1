/* SPDX-License-Identifier: MIT */
/* Drops what belongs to no row; see leftovers.h. */
#include "leftovers.h"

#include "journal.h"
#include "state/instance-dir-removal.h"

static gboolean
is_among(GPtrArray *ids, const char *name)
{
    return g_ptr_array_find_with_equal_func(ids, name, g_str_equal, NULL);
}

/* Folders of state are never touched here: one may be what "delete --keep-data" has left. */
static void
drop_runtime_folders(KhStateDir *state_dir, KhStore *store, const KhStrangers *strangers)
{
    g_autoptr(GDir) dir = g_dir_open(kh_state_dir_get_runtime(state_dir), 0, NULL);
    const char *name;

    while (dir != NULL && (name = g_dir_read_name(dir)) != NULL) {
        if (!kh_strangers_is_id(name) || kh_store_has_instance(store, name) ||
            is_among(strangers->machines, name) || is_among(strangers->folders, name))
            continue;
        kh_journal_log(G_LOG_LEVEL_MESSAGE, &(KhSubject){.id = name, .caller = -1},
                       "The runtime folder %s belongs to no instance, and is removed", name);
        kh_instance_dir_remove(kh_state_dir_runtime_fd(state_dir), name, NULL, NULL);
    }
}

void
kh_leftovers_drop(const KhMachines *machines, KhStore *store, const KhStrangers *strangers)
{
    if (machines->uids != NULL)
        kh_uid_pool_drop_leaked(machines->uids, strangers->uids);
    drop_runtime_folders(machines->state_dir, store, strangers);
}
