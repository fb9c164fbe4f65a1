/* SPDX-License-Identifier: MIT */
/* Exports objects; see exporter.h. */
#include "exporter.h"

#include "image-object.h"
#include "instance-object.h"
#include "job-object.h"
#include "manager-object.h"
#include "tee-object.h"
#include "tree.h"

struct _KhExporter {
    GObject parent_instance;
    KhManager *manager;
    KhJobs *jobs;
    const KhMachines *machines;
    KhFolderWatcher *watcher; /* of those who follow logs */
    KhGate *gate;
    GDBusConnection *connection;
    GDBusObjectManagerServer *objects; /* exports them, and signals what comes and goes */
    KhTree *tree;                      /* is what clients read of them */
};

G_DEFINE_FINAL_TYPE(KhExporter, kh_exporter, G_TYPE_OBJECT)

static void
kh_exporter_dispose(GObject *object)
{
    KhExporter *self = KH_EXPORTER(object);

    if (self->manager != NULL) {
        g_signal_handlers_disconnect_by_data(self->manager, self);
        g_signal_handlers_disconnect_by_data(self->jobs, self);
        g_signal_handlers_disconnect_by_data(self->machines->images, self);
    }
    if (self->objects != NULL)
        g_dbus_object_manager_server_set_connection(self->objects, NULL);
    if (self->tree != NULL)
        kh_tree_close(self->tree, self->connection);
    g_clear_object(&self->tree);
    g_clear_object(&self->objects);
    g_clear_object(&self->connection);
    g_clear_object(&self->manager);
    g_clear_object(&self->jobs);
    g_clear_object(&self->watcher);
    g_clear_object(&self->gate);
    G_OBJECT_CLASS(kh_exporter_parent_class)->dispose(object);
}

static void
kh_exporter_class_init(KhExporterClass *class)
{
    G_OBJECT_CLASS(class)->dispose = kh_exporter_dispose;
}

static void
kh_exporter_init(KhExporter *self)
{
}

/* @more may be NULL. */
static void
export_both(KhExporter *self, const char *path, GDBusInterfaceSkeleton *interface,
            GDBusInterfaceSkeleton *more)
{
    g_autoptr(GDBusObjectSkeleton) object = g_dbus_object_skeleton_new(path);

    g_dbus_object_skeleton_add_interface(object, interface);
    if (more != NULL)
        g_dbus_object_skeleton_add_interface(object, more);
    g_dbus_object_manager_server_export(self->objects, object);
    kh_tree_add(self->tree, object);
}

static void export(KhExporter *self, const char *path, GDBusInterfaceSkeleton *interface)
{
    export_both(self, path, interface, NULL);
}

static void
unexport(KhExporter *self, const char *path)
{
    kh_tree_remove(self->tree, path);
    g_dbus_object_manager_server_unexport(self->objects, path);
}

static void
on_instance_added(KhManager *manager, KhInstance *instance, KhExporter *self)
{
    const KhRecord *record = kh_instance_get_record(instance);
    g_autofree char *path = kh_path_of_instance(record->id);
    g_autoptr(KhInstanceObject) object = kh_instance_object_new(
        instance, self->manager, self->jobs, self->machines, self->watcher, self->gate);
    g_autoptr(KhTeeObject) tee = NULL;

    if (record->config->tee)
        tee = kh_tee_object_new(instance, self->machines->state_dir, self->gate);
    export_both(self, path, G_DBUS_INTERFACE_SKELETON(object), (GDBusInterfaceSkeleton *)tee);
}

static void
on_instance_removed(KhManager *manager, KhInstance *instance, KhExporter *self)
{
    g_autofree char *path = kh_path_of_instance(kh_instance_get_record(instance)->id);

    unexport(self, path);
}

static void
on_image_users(KhManager *manager, const char *id, KhExporter *self)
{
    g_autofree char *path = kh_path_of_image(id);
    g_autoptr(GDBusInterface) image = g_dbus_object_manager_get_interface(
        G_DBUS_OBJECT_MANAGER(self->objects), path, KH_INTERFACE_IMAGE);

    if (image != NULL)
        kh_image_object_invalidate_users(KH_IMAGE_OBJECT(image));
    kh_tree_touch(self->tree, path);
}

static void
on_job_added(KhJobs *jobs, KhJob *job, KhExporter *self)
{
    g_autofree char *path = kh_path_of_job(kh_job_get_number(job));
    g_autoptr(KhJobObject) object = kh_job_object_new(job, self->manager, self->gate);

    export(self, path, G_DBUS_INTERFACE_SKELETON(object));
}

static void
on_job_removed(KhJobs *jobs, KhJob *job, KhExporter *self)
{
    g_autofree char *path = kh_path_of_job(kh_job_get_number(job));

    unexport(self, path);
}

static void
on_image_added(KhImageStore *images, const char *id, KhExporter *self)
{
    g_autofree char *path = kh_path_of_image(id);
    g_autoptr(KhImageObject) object =
        kh_image_object_new(kh_image_store_find(images, id), self->manager, self->gate);

    export(self, path, G_DBUS_INTERFACE_SKELETON(object));
}

static void
on_image_removed(KhImageStore *images, const char *id, KhExporter *self)
{
    g_autofree char *path = kh_path_of_image(id);

    unexport(self, path);
}

static void
export_what_is_there(KhExporter *self, KhStartProgress *progress)
{
    GPtrArray *instances = kh_manager_list(self->manager);
    g_autoptr(GPtrArray) images = kh_image_store_list(self->machines->images);

    for (guint i = 0; i < images->len; i++)
        on_image_added(self->machines->images, images->pdata[i], self);
    for (guint i = 0; i < instances->len; i++) {
        kh_start_progress_note(progress, "Exporting instances", i, instances->len);
        on_instance_added(self->manager, instances->pdata[i], self);
    }
    for (guint i = 0; i < kh_jobs_list(self->jobs)->len; i++)
        on_job_added(self->jobs, kh_jobs_list(self->jobs)->pdata[i], self);
}

KhExporter *
kh_exporter_new(KhManager *manager, KhJobs *jobs, const KhMachines *machines, KhGate *gate,
                GDBusConnection *connection, KhStartProgress *progress)
{
    KhExporter *self = g_object_new(KH_TYPE_EXPORTER, NULL);
    g_autoptr(KhManagerObject) object = NULL;

    self->manager = g_object_ref(manager);
    self->jobs = g_object_ref(jobs);
    self->machines = machines;
    self->watcher = kh_folder_watcher_new();
    self->gate = g_object_ref(gate);
    self->connection = g_object_ref(connection);
    self->objects = g_dbus_object_manager_server_new(KH_PATH_ROOT);
    self->tree = kh_tree_new(kh_gate_get_turns(gate));
    object = kh_manager_object_new(manager, machines, gate, self->tree);
    export(self, KH_PATH_MANAGER, G_DBUS_INTERFACE_SKELETON(object));
    export_what_is_there(self, progress);
    g_signal_connect(manager, "added", G_CALLBACK(on_instance_added), self);
    g_signal_connect(manager, "removed", G_CALLBACK(on_instance_removed), self);
    g_signal_connect(manager, "image-users", G_CALLBACK(on_image_users), self);
    g_signal_connect(jobs, "added", G_CALLBACK(on_job_added), self);
    g_signal_connect(jobs, "removed", G_CALLBACK(on_job_removed), self);
    g_signal_connect(machines->images, "added", G_CALLBACK(on_image_added), self);
    g_signal_connect(machines->images, "removed", G_CALLBACK(on_image_removed), self);
    g_dbus_object_manager_server_set_connection(self->objects, connection);
    kh_tree_serve(self->tree, connection);
    return self;
}
