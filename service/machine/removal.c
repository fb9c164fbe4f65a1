/* SPDX-License-Identifier: MIT */
/* The end of an instance; see removal.h. */
#include "removal.h"

#include <fcntl.h>
#include <unistd.h>

#include "crash-point.h"
#include "error.h"
#include "launch/shim-protocol.h"
#include "state/instance-dir-removal.h"
#include "uid/uid-processes.h"

/* What is left of a process goes a moment after it. */
#define ENDS_USEC (2 * G_USEC_PER_SEC)
#define ENDS_INTERVAL_USEC (50 * 1000)

/* What the thread works with, so that it shares nothing with the main loop. */
typedef struct {
    KhStateDir *dir; /* with its descriptors, which a service that ends would close */
    char *id;
    gint64 uid;        /* the machine's; -1: the service's own */
    gboolean own_user; /* the machine's, and no other service's */
    gboolean keep_data;
} Removal;

static void
removal_free(gpointer data)
{
    Removal *removal = data;

    g_object_unref(removal->dir);
    g_free(removal->id);
    g_free(removal);
}

/* A file that goes is not gone for who has it open, and a uid is given to others. */
static gboolean
check_ended(const Removal *removal, GError **error)
{
    gint64 deadline = g_get_monotonic_time() + ENDS_USEC;
    guint32 uid = (guint32)removal->uid;

    while (removal->own_user && kh_uid_has_processes(uid)) {
        if (g_get_monotonic_time() > deadline)
            return kh_error_set(
                error, KH_ERROR_BUSY,
                "A process of the machine's user %u is still running, so nothing was "
                "removed; end it, and delete the instance again",
                uid);
        g_usleep(ENDS_INTERVAL_USEC);
    }
    return TRUE;
}

/* Nothing that comes back after a power cut may have lost its row, or its mark. */
static gboolean
remove_state(int instances, const char *id, GError **error)
{
    g_autofree char *marked = g_strconcat(id, KH_DIR_DELETED_SUFFIX, NULL);
    gboolean gone = kh_instance_dir_mark_deleted(instances, id, error);

    kh_crash_point("delete:marked");
    return gone && kh_instance_dir_remove(instances, marked, NULL, error);
}

/* Where this fails the folder is the machine's still, so that it can be started again. */
static gboolean
keep_data(int instances, const Removal *removal, GError **error)
{
    const gint64 uid = removal->uid;

    return kh_instance_dir_check_kept(instances, removal->id, KH_FILE_DATA, uid, error) &&
           kh_instance_dir_remove(instances, removal->id, KH_FILE_DATA, error) &&
           kh_instance_dir_take_back(instances, removal->id, KH_FILE_DATA, uid, error);
}

static gboolean
remove_folders(const Removal *removal, GError **error)
{
    const char *id = removal->id;
    int instances = kh_state_dir_instances_fd(removal->dir);
    gboolean removed =
        kh_instance_dir_remove(kh_state_dir_runtime_fd(removal->dir), id, NULL, error);

    kh_crash_point("delete:runtime-removed");
    if (removed && removal->keep_data)
        return keep_data(instances, removal, error);
    return removed && remove_state(instances, id, error);
}

static void
remove_in_thread(GTask *task, gpointer source, gpointer data, GCancellable *cancellable)
{
    GError *error = NULL;

    if (check_ended(data, &error) && remove_folders(data, &error))
        g_task_return_boolean(task, TRUE);
    else
        g_task_return_error(task, error);
}

void
kh_removal_run_async(const KhMachines *machines, const KhRecord *record,
                     GAsyncReadyCallback callback, gpointer user_data)
{
    g_autoptr(GTask) task = g_task_new(NULL, NULL, callback, user_data);
    Removal *removal = g_new0(Removal, 1);

    removal->dir = g_object_ref(machines->state_dir);
    removal->id = g_strdup(record->id);
    removal->uid = record->vm_uid;
    removal->keep_data = record->keep_data;
    removal->own_user = machines->uids != NULL && record->vm_uid >= 0 &&
                        !kh_uid_pool_is_foreign(machines->uids, (guint32)record->vm_uid);
    g_task_set_source_tag(task, kh_removal_run_async);
    g_task_set_task_data(task, removal, removal_free);
    g_task_run_in_thread(task, remove_in_thread);
}

gboolean
kh_removal_run_finish(GAsyncResult *result, GError **error)
{
    return g_task_propagate_boolean(G_TASK(result), error);
}

gboolean
kh_removal_mark(const KhMachines *machines, const KhRecord *record)
{
    int instances = kh_state_dir_instances_fd(machines->state_dir);
    g_autofree char *marked = g_strconcat(record->id, KH_DIR_DELETED_SUFFIX, NULL);

    return kh_instance_dir_mark_deleted(instances, record->id, NULL) &&
           faccessat(instances, marked, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

void
kh_removal_free_uid(const KhMachines *machines, const KhRecord *record)
{
    if (machines->uids != NULL && record->vm_uid >= 0)
        kh_uid_pool_release(machines->uids, (guint32)record->vm_uid);
}
