/* SPDX-License-Identifier: MIT */
/* What belongs to no row; see strangers.h. */
#include "strangers.h"

#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "auto-fd.h"
#include "journal.h"
#include "launch/shim-protocol.h"
#include "state/instance-dir-removal.h"
#include "state/instance-dir.h"

#define ID_MIN 16 /* the shortest id that this program has ever given out */

typedef struct {
    KhStateDir *state_dir;
    GHashTable *ids;  /* of rows, with whether the folder must be there */
    GHashTable *seen; /* those with a folder */
    KhStrangers *found;
} Search;

gboolean
kh_strangers_is_id(const char *name)
{
    return strlen(name) >= ID_MIN && strspn(name, "0123456789abcdef-") == strlen(name);
}

/* It may have been found in the other folder already. */
static void
add_machine(Search *search, const char *id)
{
    GPtrArray *machines = search->found->machines;

    if (!g_ptr_array_find_with_equal_func(machines, id, g_str_equal, NULL))
        g_ptr_array_add(machines, g_strdup(id));
}

/* A shim holds the folder of its machine by flock(2), and nobody else does. */
static gboolean
is_held(int instances, const char *id)
{
    g_auto(KhFd) folder = kh_instance_dir_open(instances, id, NULL);

    return folder >= 0 && flock(folder, LOCK_SH | LOCK_NB) != 0;
}

static gboolean
answers(int runtime, const char *id, gint64 uid)
{
    g_auto(KhFd) folder = kh_instance_dir_open(runtime, id, NULL);
    pid_t pid;
    g_auto(KhFd) fd =
        folder < 0 ? -1 : kh_instance_dir_connect(folder, KH_SOCKET_CONTROL, uid, &pid, NULL);

    return fd >= 0;
}

static void
add_unknown(Search *search, const char *id, guint32 owner)
{
    g_ptr_array_add(search->found->folders, g_strdup(id));
    g_hash_table_add(search->found->uids, GUINT_TO_POINTER(owner));
    if (is_held(kh_state_dir_instances_fd(search->state_dir), id))
        add_machine(search, id);
}

/* Its removal may fail. */
static void
spare_owner(Search *search, const char *name)
{
    int instances = kh_state_dir_instances_fd(search->state_dir);
    struct stat status;

    if (fstatat(instances, name, &status, AT_SYMLINK_NOFOLLOW) == 0)
        g_hash_table_add(search->found->uids, GUINT_TO_POINTER(status.st_uid));
}

static void
take_folder(Search *search, const char *name)
{
    int instances = kh_state_dir_instances_fd(search->state_dir);
    g_autofree char *id = g_strndup(name, strcspn(name, "."));
    const char *rest = name + strlen(id);
    guint32 owner = 0;

    if (!kh_strangers_is_id(id) || (*rest != '\0' && !g_str_equal(rest, KH_DIR_DELETED_SUFFIX)))
        return;
    switch (kh_instance_dir_classify(instances, name, KH_FILE_DATA, &owner)) {
    case KH_FOLDER_DELETED:
        g_ptr_array_add(search->found->deleted, g_strdup(id));
        spare_owner(search, name);
        break;
    case KH_FOLDER_KEPT:
        if (!g_hash_table_contains(search->ids, id))
            g_ptr_array_add(search->found->kept, g_strdup(id));
        break;
    default:
        if (!g_hash_table_contains(search->ids, id))
            add_unknown(search, id, owner);
        else if (is_held(instances, id))
            g_hash_table_add(search->found->held, g_strdup(id));
    }
    g_hash_table_add(search->seen, g_steal_pointer(&id));
}

static void
take_runtime(Search *search, const char *name)
{
    int runtime = kh_state_dir_runtime_fd(search->state_dir);
    struct stat status;

    if (!kh_strangers_is_id(name) || g_hash_table_contains(search->ids, name) ||
        fstatat(runtime, name, &status, AT_SYMLINK_NOFOLLOW) != 0 ||
        !answers(runtime, name, status.st_uid))
        return;
    add_machine(search, name);
    g_hash_table_add(search->found->uids, GUINT_TO_POINTER(status.st_uid));
}

/* FALSE when the folder cannot be read. */
static gboolean
take_all(Search *search, int folder, void (*take)(Search *search, const char *name))
{
    g_autofree char *path = g_strdup_printf("/proc/self/fd/%d", folder);
    g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);
    const char *name;

    while (dir != NULL && (name = g_dir_read_name(dir)) != NULL)
        take(search, name);
    return dir != NULL;
}

static void
find_missing(Search *search)
{
    GHashTableIter iter;
    gpointer id, needed;

    g_hash_table_iter_init(&iter, search->ids);
    while (g_hash_table_iter_next(&iter, &id, &needed))
        if (GPOINTER_TO_INT(needed) && !g_hash_table_contains(search->seen, id))
            g_ptr_array_add(search->found->missing, g_strdup(id));
}

KhStrangers *
kh_strangers_find(KhStateDir *state_dir, GHashTable *ids)
{
    g_autoptr(KhStrangers) found = g_new0(KhStrangers, 1);
    g_autoptr(GHashTable) seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    Search search = {state_dir, ids, seen, found};
    GPtrArray **lists[] = {&found->folders, &found->machines, &found->kept, &found->deleted,
                           &found->missing};

    for (guint i = 0; i < G_N_ELEMENTS(lists); i++)
        *lists[i] = g_ptr_array_new_with_free_func(g_free);
    found->uids = g_hash_table_new(NULL, NULL);
    found->held = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    if (take_all(&search, kh_state_dir_instances_fd(state_dir), take_folder))
        find_missing(&search);
    take_all(&search, kh_state_dir_runtime_fd(state_dir), take_runtime);
    return g_steal_pointer(&found);
}

void
kh_strangers_free(KhStrangers *strangers)
{
    g_ptr_array_unref(strangers->folders);
    g_ptr_array_unref(strangers->machines);
    g_ptr_array_unref(strangers->kept);
    g_ptr_array_unref(strangers->deleted);
    g_ptr_array_unref(strangers->missing);
    g_hash_table_unref(strangers->uids);
    g_hash_table_unref(strangers->held);
    g_free(strangers);
}

gboolean
kh_strangers_any(const KhStrangers *strangers)
{
    return strangers->folders->len > 0 || strangers->machines->len > 0;
}

static char **
build_paths(const char *folder, GPtrArray *ids)
{
    g_autoptr(GStrvBuilder) paths = g_strv_builder_new();

    for (guint i = 0; i < ids->len; i++) {
        g_autofree char *path = g_build_filename(folder, ids->pdata[i], NULL);

        g_strv_builder_add(paths, path);
    }
    return g_strv_builder_end(paths);
}

char **
kh_strangers_state_paths(KhStateDir *state_dir, GPtrArray *ids)
{
    return build_paths(kh_state_dir_get_instances(state_dir), ids);
}

char **
kh_strangers_runtime_paths(KhStateDir *state_dir, GPtrArray *ids)
{
    return build_paths(kh_state_dir_get_runtime(state_dir), ids);
}

/* Takes @paths, which are those of @ids. */
static void
log_each(GPtrArray *ids, char **paths, const char *what)
{
    for (guint i = 0; paths[i] != NULL; i++)
        kh_journal_log(G_LOG_LEVEL_WARNING, &(KhSubject){.id = ids->pdata[i], .caller = -1},
                       "%s %s", paths[i], what);
    g_strfreev(paths);
}

void
kh_strangers_log(const KhStrangers *strangers, KhStateDir *state_dir)
{
    log_each(strangers->folders, kh_strangers_state_paths(state_dir, strangers->folders),
             "belongs to no instance of the database, and is left alone");
    log_each(
        strangers->machines, kh_strangers_runtime_paths(state_dir, strangers->machines),
        "is of a running machine that belongs to no instance of the database; it is left alone");
    log_each(strangers->missing, kh_strangers_state_paths(state_dir, strangers->missing),
             "is not there, and its instance cannot be started; mount its file system, or set the "
             "right state-dir");
}
