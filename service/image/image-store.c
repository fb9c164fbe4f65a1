/* SPDX-License-Identifier: MIT */
/* Boot components by content; see image-store.h. */
#include "image-store.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "image-folder.h"
#include "image-import.h"
#include "state/instance-dir-removal.h"
#include "state/instance-dir.h"

struct _KhImageStore {
    GObject parent_instance;
    int fd;
    char *path;
    GHashTable *images;  /* id -> KhImage */
    GHashTable *sources; /* id -> what the source files looked like */
};

G_DEFINE_FINAL_TYPE(KhImageStore, kh_image_store, G_TYPE_OBJECT)

enum { SIGNAL_ADDED, SIGNAL_REMOVED, N_SIGNALS };

static guint signals[N_SIGNALS];

static void
kh_image_store_finalize(GObject *object)
{
    KhImageStore *self = KH_IMAGE_STORE(object);

    if (self->fd >= 0)
        close(self->fd);
    g_free(self->path);
    g_hash_table_unref(self->images);
    g_hash_table_unref(self->sources);
    G_OBJECT_CLASS(kh_image_store_parent_class)->finalize(object);
}

static void
kh_image_store_class_init(KhImageStoreClass *class)
{
    G_OBJECT_CLASS(class)->finalize = kh_image_store_finalize;
    signals[SIGNAL_ADDED] = g_signal_new("added", KH_TYPE_IMAGE_STORE, G_SIGNAL_RUN_LAST, 0, NULL,
                                         NULL, NULL, G_TYPE_NONE, 1, G_TYPE_STRING);
    signals[SIGNAL_REMOVED] = g_signal_new("removed", KH_TYPE_IMAGE_STORE, G_SIGNAL_RUN_LAST, 0,
                                           NULL, NULL, NULL, G_TYPE_NONE, 1, G_TYPE_STRING);
}

static void
kh_image_store_init(KhImageStore *self)
{
    self->fd = -1;
    self->images =
        g_hash_table_new_full(g_str_hash, g_str_equal, NULL, (GDestroyNotify)kh_image_free);
    self->sources = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
}

static gboolean
is_id(const char *name)
{
    return strlen(name) == 64 && strspn(name, "0123456789abcdef") == 64;
}

static void
load_all(KhImageStore *self)
{
    g_autoptr(GDir) dir = g_dir_open(self->path, 0, NULL);
    const char *name;

    while (dir != NULL && (name = g_dir_read_name(dir)) != NULL) {
        g_autoptr(GError) error = NULL;
        KhImage *image;

        /* What an import that was cut off has left. */
        if (g_str_has_prefix(name, KH_IMAGE_IMPORT_PREFIX))
            kh_instance_dir_remove(self->fd, name, NULL, NULL);
        if (!is_id(name))
            continue;
        image = kh_image_folder_load(self->fd, name, &error);
        if (image != NULL)
            g_hash_table_replace(self->images, image->id, image);
        else
            g_warning("The image %s is left out: %s", name, error->message);
    }
}

KhImageStore *
kh_image_store_new(int images_fd, const char *path)
{
    KhImageStore *self = g_object_new(KH_TYPE_IMAGE_STORE, NULL);

    self->fd = fcntl(images_fd, F_DUPFD_CLOEXEC, 0);
    self->path = g_strdup(path);
    load_all(self);
    return self;
}

const KhImage *
kh_image_store_find(KhImageStore *self, const char *id)
{
    return g_hash_table_lookup(self->images, id);
}

GPtrArray *
kh_image_store_list(KhImageStore *self)
{
    g_autoptr(GPtrArray) ids = g_ptr_array_new();
    GHashTableIter iter;
    gpointer id;

    g_hash_table_iter_init(&iter, self->images);
    while (g_hash_table_iter_next(&iter, &id, NULL))
        g_ptr_array_add(ids, id);
    return g_steal_pointer(&ids);
}

char *
kh_image_store_folder(KhImageStore *self, const char *id)
{
    return g_build_filename(self->path, id, NULL);
}

static void
import_in_thread(GTask *task, gpointer source, gpointer data, GCancellable *cancellable)
{
    GError *error = NULL;
    const char *id = kh_image_import_run(data, &error);

    if (id != NULL)
        g_task_return_pointer(task, g_strdup(id), g_free);
    else
        g_task_return_error(task, error);
}

/* The image that a source which looked like that gave; NULL for none. */
static const char *
find_by_looks(KhImageStore *self, const char *looks)
{
    GHashTableIter iter;
    gpointer id, known;

    g_hash_table_iter_init(&iter, self->sources);
    while (g_hash_table_iter_next(&iter, &id, &known))
        if (g_str_equal(known, looks))
            return id;
    return NULL;
}

void
kh_image_store_import_async(KhImageStore *self, const char *folder, GCancellable *cancellable,
                            GAsyncReadyCallback callback, gpointer user_data)
{
    g_autoptr(GTask) task = g_task_new(self, cancellable, callback, user_data);
    g_autoptr(GError) error = NULL;
    KhImageImport *import = kh_image_import_new(self->fd, folder, &error);
    const char *known;

    g_task_set_source_tag(task, kh_image_store_import_async);
    if (import == NULL) {
        g_task_return_error(task, g_steal_pointer(&error));
        return;
    }
    g_task_set_task_data(task, import, (GDestroyNotify)kh_image_import_free);
    known = find_by_looks(self, kh_image_import_get_looks(import));
    if (known != NULL)
        g_task_return_pointer(task, g_strdup(known), g_free);
    else
        g_task_run_in_thread(task, import_in_thread);
}

char *
kh_image_store_import_finish(KhImageStore *self, GAsyncResult *result, GError **error)
{
    const KhImageImport *import = g_task_get_task_data(G_TASK(result));
    g_autofree char *id = g_task_propagate_pointer(G_TASK(result), error);
    KhImage *image;

    if (id == NULL)
        return NULL;
    if (kh_image_store_find(self, id) != NULL) {
        g_hash_table_replace(self->sources, g_strdup(id),
                             g_strdup(kh_image_import_get_looks(import)));
        return g_steal_pointer(&id);
    }
    image = kh_image_folder_load(self->fd, id, error);
    if (image == NULL)
        return NULL;
    g_hash_table_replace(self->images, image->id, image);
    g_hash_table_replace(self->sources, g_strdup(id), g_strdup(kh_image_import_get_looks(import)));
    g_signal_emit(self, signals[SIGNAL_ADDED], 0, id);
    return g_steal_pointer(&id);
}

static void
verify_in_thread(GTask *task, gpointer source, gpointer data, GCancellable *cancellable)
{
    GError *error = NULL;

    if (kh_image_folder_verify(KH_IMAGE_STORE(source)->fd, data, &error))
        g_task_return_boolean(task, TRUE);
    else
        g_task_return_error(task, error);
}

void
kh_image_store_verify_async(KhImageStore *self, const char *id, GCancellable *cancellable,
                            GAsyncReadyCallback callback, gpointer user_data)
{
    g_autoptr(GTask) task = g_task_new(self, cancellable, callback, user_data);

    g_task_set_source_tag(task, kh_image_store_verify_async);
    g_task_set_task_data(task, g_strdup(id), g_free);
    g_task_run_in_thread(task, verify_in_thread);
}

gboolean
kh_image_store_verify_finish(KhImageStore *self, GAsyncResult *result, GError **error)
{
    /* The next import is to look at it, and to mend it. */
    if (g_task_had_error(G_TASK(result)))
        g_hash_table_remove(self->sources, g_task_get_task_data(G_TASK(result)));
    return g_task_propagate_boolean(G_TASK(result), error);
}

static void
remove_in_thread(GTask *task, gpointer source, gpointer data, GCancellable *cancellable)
{
    g_autoptr(GError) error = NULL;

    if (!kh_instance_dir_remove(KH_IMAGE_STORE(source)->fd, data, NULL, &error))
        g_warning("What is left of an image cannot be removed: %s", error->message);
    g_task_return_boolean(task, TRUE);
}

/*
 * The name goes at once, the files in a thread: a file system takes a quarter of a second for
 * a gigabyte. What is left when the service ends meanwhile goes at the next start.
 */
static void
remove_files(KhImageStore *self, const char *id)
{
    g_autofree char *old = kh_image_import_build_name();
    g_autoptr(GTask) task = NULL;

    if (renameat(self->fd, id, self->fd, old) != 0) {
        if (errno != ENOENT)
            g_warning("The image %s cannot be removed: %s", id, g_strerror(errno));
        return;
    }
    task = g_task_new(self, NULL, NULL, NULL);
    g_task_set_source_tag(task, remove_files);
    g_task_set_task_data(task, g_steal_pointer(&old), g_free);
    g_task_run_in_thread(task, remove_in_thread);
}

void
kh_image_store_remove(KhImageStore *self, const char *id)
{
    g_autofree char *gone = g_strdup(id);

    g_hash_table_remove(self->sources, gone);
    if (!g_hash_table_remove(self->images, gone))
        return;
    remove_files(self, gone);
    g_signal_emit(self, signals[SIGNAL_REMOVED], 0, gone);
}
