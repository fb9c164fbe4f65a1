/* SPDX-License-Identifier: MIT */
/* What comes before a launch; see preparation.h. */
#include "preparation.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "auto-fd.h"
#include "crash-point.h"
#include "error.h"
#include "launch/shim-protocol.h"
#include "confidential/snp-host.h"
#include "host-context.h"
#include "model/katana-args.h"
#include "port/registry.h"
#include "state/instance-dir-making.h"
#include "state/instance-dir-removal.h"
#include "state/instance-dir.h"

/*
 * One preparation. Its threads share nothing with the main loop: @machines, which may be gone when
 * a service ends before them, and @record, which changes, are for that alone.
 */
typedef struct {
    const KhMachines *machines;
    KhRecord *record;
    KhNoteDiskFunction note_disk;
    gpointer note_data;
    KhStateDir *dir; /* with its descriptors, which a service that ends would close */
    char *id;
    gint64 uid;
    KhConfig *config;
    gboolean formatted;
} Preparation;

static void
preparation_free(gpointer data)
{
    Preparation *preparation = data;

    kh_record_unref(preparation->record);
    kh_config_unref(preparation->config);
    g_object_unref(preparation->dir);
    g_free(preparation->id);
    g_free(preparation);
}

char *
kh_preparation_state_folder(const KhMachines *machines, const KhRecord *record)
{
    return g_build_filename(kh_state_dir_get_instances(machines->state_dir), record->id, NULL);
}

/* What is not there may be somewhere else: nothing is made in its place. */
static gboolean
refuse_missing(const Preparation *p, const char *file, GError **error)
{
    g_autofree char *folder = g_build_filename(kh_state_dir_get_instances(p->dir), p->id, NULL);

    return kh_error_set(error, KH_ERROR_RESOURCE_UNAVAILABLE,
                        "%s%s%s is not there; mount its file system, or set the right state-dir",
                        folder, file[0] != '\0' ? "/" : "", file);
}

/* Whether data.raw has an ext2, 3 or 4 file system (magic number at 1024 + 56); its size. */
static gboolean
has_file_system(const Preparation *p, int folder, guint64 *size)
{
    g_auto(KhFd) fd = kh_instance_dir_open_file(folder, KH_FILE_DATA, p->uid, NULL);
    guint8 magic[2] = {0, 0};

    if (fd < 0)
        return FALSE;
    *size = (guint64)lseek(fd, 0, SEEK_END);
    return pread(fd, magic, sizeof magic, 1024 + 56) == sizeof magic && magic[0] == 0x53 &&
           magic[1] == 0xef;
}

/*
 * A disk without its file system was left by a start that was cut off, and holds nothing.
 * One that has it is never made anew, whatever the database says.
 */
static gboolean
make_disk(Preparation *p, int folder, GError **error)
{
    guint64 size = 0;

    if (p->formatted)
        return faccessat(folder, KH_FILE_DATA, F_OK, AT_SYMLINK_NOFOLLOW) == 0 ||
               refuse_missing(p, KH_FILE_DATA, error);
    if (!p->config->sealed && has_file_system(p, folder, &size)) {
        p->formatted = size == p->config->storage_bytes;
        if (!p->formatted)
            g_set_error(error, KH_ERROR, KH_ERROR_FAILED,
                        "data.raw has a file system and %" G_GUINT64_FORMAT
                        " bytes, and storage-bytes is %" G_GUINT64_FORMAT
                        "; set storage-bytes to its size",
                        size, p->config->storage_bytes);
        return p->formatted;
    }
    if (unlinkat(folder, KH_FILE_DATA, 0) != 0 && errno != ENOENT)
        return kh_error_set(error, KH_ERROR_FAILED, "data.raw cannot be replaced: %s",
                            g_strerror(errno));
    if (!kh_instance_dir_create_disk(folder, KH_FILE_DATA, p->uid, p->config->storage_bytes, error))
        return FALSE;
    kh_crash_point("start:disk-made");
    return TRUE;
}

static gboolean
make_files(Preparation *p, int folder, GError **error)
{
    g_auto(GStrv) args = kh_config_guest_args(p->config);
    g_autofree char *lines = g_strjoinv("\n", args);
    g_autofree char *text = g_strconcat(lines, "\n", NULL);

    return make_disk(p, folder, error) &&
           kh_instance_dir_write(folder, KH_FILE_ARGS, p->uid, text, error);
}

static int
open_folder(Preparation *p, GError **error)
{
    g_autoptr(GError) failure = NULL;
    /* The machine may have opened it to others, and the shim would refuse it for ever. */
    int folder = kh_instance_dir_open_closed(kh_state_dir_instances_fd(p->dir), p->id, &failure);

    if (folder >= 0)
        return folder;
    if (g_error_matches(failure, KH_ERROR, KH_ERROR_NOT_FOUND))
        refuse_missing(p, "", error);
    else
        g_propagate_error(error, g_steal_pointer(&failure));
    return -1;
}

/*
 * A shim holds the folder of its machine, whose sockets would go, and whose disk it has open. A
 * shared lock keeps another from beginning meanwhile, and not those who only ask.
 */
static gboolean
check_not_held(const Preparation *p, int folder, GError **error)
{
    if (flock(folder, LOCK_SH | LOCK_NB) == 0)
        return TRUE;
    return kh_error_set(
        error, KH_ERROR_LAUNCH_FAILED,
        "Another machine already runs in %s/%s, whose shim holds the folder; restart the "
        "service, which then follows that machine",
        kh_state_dir_get_instances(p->dir), p->id);
}

static gboolean
make_folders(Preparation *p, GError **error)
{
    int runtime = kh_state_dir_runtime_fd(p->dir);
    g_auto(KhFd) folder = open_folder(p, error);

    return folder >= 0 && check_not_held(p, folder, error) && make_files(p, folder, error) &&
           kh_instance_dir_remove(runtime, p->id, NULL, error) &&
           kh_instance_dir_create(runtime, p->id, p->uid, error);
}

static void
make_in_thread(GTask *task, gpointer source, gpointer data, GCancellable *cancellable)
{
    GError *error = NULL;

    if (make_folders(data, &error))
        g_task_return_boolean(task, TRUE);
    else
        g_task_return_error(task, error);
}

/* What the database says of the disk must be so after a power cut, too. */
static void
sync_in_thread(GTask *task, gpointer source, gpointer data, GCancellable *cancellable)
{
    const Preparation *p = data;
    GError *error = NULL;
    g_auto(KhFd) folder = kh_instance_dir_open(kh_state_dir_instances_fd(p->dir), p->id, &error);

    if (folder >= 0 && kh_instance_dir_sync_file(folder, KH_FILE_DATA, p->uid, &error))
        g_task_return_boolean(task, TRUE);
    else
        g_task_return_error(task, error);
}

/* It must be known that the disk holds something before anything is put there. */
static void
on_synced(GObject *source, GAsyncResult *result, gpointer data)
{
    g_autoptr(GTask) task = data;
    Preparation *p = g_task_get_task_data(task);
    GError *error = NULL;

    if (!g_task_propagate_boolean(G_TASK(result), &error)) {
        g_task_return_error(task, error);
        return;
    }
    p->record->formatted = TRUE;
    if (p->note_disk(p->record, p->note_data, &error)) {
        kh_crash_point("start:disk-noted");
        g_task_return_boolean(task, TRUE);
    } else {
        g_task_return_error(task, error);
    }
}

static void
finish(GTask *task)
{
    Preparation *p = g_task_get_task_data(task);
    g_autoptr(GTask) syncing = NULL;

    if (p->record->formatted) {
        g_task_return_boolean(task, TRUE);
        return;
    }
    syncing = g_task_new(NULL, NULL, on_synced, g_object_ref(task));
    g_task_set_task_data(syncing, p, NULL);
    g_task_run_in_thread(syncing, sync_in_thread);
}

static void
on_formatted(GObject *source, GAsyncResult *result, gpointer data)
{
    g_autoptr(GTask) task = data;
    GError *error = NULL;

    kh_crash_point("start:formatted");
    if (kh_launcher_format_finish(KH_LAUNCHER(source), result, &error))
        finish(task);
    else
        g_task_return_error(task, error);
}

static void
on_made(GObject *source, GAsyncResult *result, gpointer data)
{
    g_autoptr(GTask) task = data;
    Preparation *p = g_task_get_task_data(task);
    g_autofree char *folder = NULL;
    GError *error = NULL;

    kh_crash_point("start:files-made");
    if (!g_task_propagate_boolean(G_TASK(result), &error)) {
        g_task_return_error(task, error);
        return;
    }
    /* The guest makes the file system of a sealed one, within its own encryption. */
    if (p->formatted || p->config->sealed) {
        finish(task);
        return;
    }
    folder = kh_preparation_state_folder(p->machines, p->record);
    kh_launcher_format_async(p->machines->launcher, folder, KH_FILE_DATA, p->uid, on_formatted,
                             g_object_ref(task));
}

static void
on_verified(GObject *source, GAsyncResult *result, gpointer data)
{
    g_autoptr(GTask) task = data;
    Preparation *p = g_task_get_task_data(task);
    g_autoptr(GTask) making = NULL;
    GError *error = NULL;

    kh_crash_point("start:verified");
    if (!kh_image_store_verify_finish(KH_IMAGE_STORE(source), result, &error)) {
        g_task_return_error(task, error);
        return;
    }
    making = g_task_new(NULL, NULL, on_made, g_object_ref(task));
    g_task_set_task_data(making, p, NULL);
    g_task_run_in_thread(making, make_in_thread);
}

/* A confidential machine runs protected, or by the administrator's word not at all so. */
static gboolean
check_tee(const KhMachines *machines, const KhRecord *record, GError **error)
{
    g_autoptr(KhCheckContext) context = NULL;

    if (!record->config->tee || record->simulated)
        return TRUE;
    context = kh_host_context_new(machines);
    if (!kh_snp_host_check(context, error))
        return FALSE;
    if (machines->facts->kvm_usable)
        return TRUE;
    return kh_error_set(
        error, KH_ERROR_NOT_SUPPORTED,
        "A confidential machine needs KVM, which the machines cannot use on this host; the "
        "verb doctor says why");
}

static gboolean
check_claims(const KhMachines *machines, const KhRecord *record, GError **error)
{
    const KhConfig *config = record->config;

    if (g_str_equal(config->accelerator, "kvm") && !machines->facts->kvm_usable)
        return kh_error_set(
            error, KH_ERROR_NOT_SUPPORTED,
            "The instance has accelerator=kvm, which the machines cannot use on this host; "
            "the verb doctor says why, and accelerator=auto does without");
    if (!check_tee(machines, record, error))
        return FALSE;
    if (access(machines->settings->qemu, X_OK) != 0)
        return kh_error_set(error, KH_ERROR_LAUNCH_FAILED,
                            "QEMU cannot be run as %s: %s; install qemu-system-x86 or set qemu",
                            machines->settings->qemu, g_strerror(errno));
    if (record->vm_uid < 0 && geteuid() == 0)
        return kh_error_set(
            error, KH_ERROR_FAILED,
            "The instance was created by a service that was not root, and QEMU never runs "
            "as root; create another one");
    return (machines->uids == NULL || record->vm_uid < 0 ||
            kh_uid_pool_confirm(machines->uids, (guint32)record->vm_uid, error)) &&
           kh_port_probe(config->rpc_address, config->rpc_port, error);
}

static Preparation *
preparation_new(const KhMachines *machines, KhRecord *record)
{
    Preparation *p = g_new0(Preparation, 1);

    p->machines = machines;
    p->record = kh_record_ref(record);
    p->dir = g_object_ref(machines->state_dir);
    p->id = g_strdup(record->id);
    p->uid = record->vm_uid;
    p->config = kh_config_ref(record->config);
    p->formatted = record->formatted;
    return p;
}

void
kh_preparation_run_async(const KhMachines *machines, KhRecord *record, KhNoteDiskFunction note_disk,
                         gpointer note_data, GAsyncReadyCallback callback, gpointer user_data)
{
    g_autoptr(GTask) task = g_task_new(NULL, NULL, callback, user_data);
    Preparation *p = preparation_new(machines, record);
    GError *error = NULL;

    p->note_disk = note_disk;
    p->note_data = note_data;
    g_task_set_source_tag(task, kh_preparation_run_async);
    g_task_set_task_data(task, p, preparation_free);
    if (!kh_state_dir_renew_runtime(machines->state_dir, &error) ||
        !check_claims(machines, record, &error)) {
        g_task_return_error(task, error);
        return;
    }
    kh_image_store_verify_async(machines->images, record->config->image, NULL, on_verified,
                                g_object_ref(task));
}

gboolean
kh_preparation_run_finish(GAsyncResult *result, GError **error)
{
    return g_task_propagate_boolean(G_TASK(result), error);
}
