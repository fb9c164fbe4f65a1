/* SPDX-License-Identifier: MIT */
/*
 * Boot components by content; see image-store.h. An import copies the parts into a
 * temporary folder, hashes the copies, and renames the folder to the id they give: so
 * what was hashed is what is kept, whatever happens to the source meanwhile.
 */
#include "image-store.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "crash-point.h"
#include "error.h"
#include "hash.h"
#include "state/instance-dir.h"
#include "write-all.h"

#define PART_MAX (G_GUINT64_CONSTANT(1) << 30)
#define TEXT_MAX (64 * 1024)
#define COPY_CHUNK (256 * 1024)

#define IMPORT_PREFIX ".import-"

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

static char *
read_text(int folder, const char *name, GError **error)
{
    return kh_instance_dir_read(folder, name, -1, TEXT_MAX, error);
}

static KhImage *
load_image(int images_fd, const char *id, GError **error)
{
    g_autofree char *manifest = NULL, *info = NULL;
    g_autoptr(KhImage) image = NULL;
    int folder = kh_instance_dir_open(images_fd, id, error);

    if (folder < 0)
        return NULL;
    manifest = read_text(folder, KH_IMAGE_MANIFEST, error);
    info = manifest == NULL ? NULL : read_text(folder, KH_IMAGE_BUILD_INFO, NULL);
    close(folder);
    if (manifest == NULL)
        return NULL;
    image = kh_image_from_manifest(id, manifest, error);
    if (image != NULL && info != NULL)
        kh_image_read_build_info(image, info);
    return g_steal_pointer(&image);
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
        if (g_str_has_prefix(name, IMPORT_PREFIX))
            kh_instance_dir_remove(self->fd, name, NULL, NULL);
        if (!is_id(name))
            continue;
        image = load_image(self->fd, name, &error);
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

static gboolean
verify_part(int folder, const char *id, const KhImagePart *part, GError **error)
{
    g_autofree char *sha256 = NULL;
    guint64 size;
    int fd = kh_instance_dir_open_file(folder, part->name, -1, error);

    if (fd < 0) {
        g_prefix_error(error, "The image %s is incomplete: ", id);
        if (g_error_matches(*error, KH_ERROR, KH_ERROR_NOT_FOUND))
            (*error)->code = KH_ERROR_INTEGRITY_MISMATCH;
        return FALSE;
    }
    sha256 = kh_hash_fd(fd, &size, error);
    close(fd);
    if (sha256 == NULL)
        return FALSE;
    if (g_str_equal(sha256, part->sha256))
        return TRUE;
    g_set_error(error, KH_ERROR, KH_ERROR_INTEGRITY_MISMATCH,
                "The boot component %s of the image %s has been changed: its SHA-256 is %s, the "
                "instance was pinned to %s",
                part->name, id, sha256, part->sha256);
    return FALSE;
}

/* The whole of it, or its list of parts; takes @reason. */
static gboolean
refuse_missing(int images_fd, const char *id, GError *reason, GError **error)
{
    g_autoptr(GError) owned = reason;
    gboolean gone = faccessat(images_fd, id, F_OK, AT_SYMLINK_NOFOLLOW) != 0 && errno == ENOENT;

    if (!g_error_matches(reason, KH_ERROR, KH_ERROR_NOT_FOUND))
        g_propagate_error(error, g_steal_pointer(&owned));
    else if (gone)
        g_set_error(error, KH_ERROR, KH_ERROR_RESOURCE_UNAVAILABLE,
                    "The folder of the image %s is not there; put it back, or take today's boot "
                    "components with image=default",
                    id);
    else
        g_set_error(error, KH_ERROR, KH_ERROR_INTEGRITY_MISMATCH, "The image %s is incomplete: %s",
                    id, reason->message);
    return FALSE;
}

/* Reads the manifest anew, so that a thread shares nothing with the main loop. */
static gboolean
verify_image(int images_fd, const char *id, GError **error)
{
    GError *reason = NULL;
    g_autoptr(KhImage) image = load_image(images_fd, id, &reason);
    int folder = image == NULL ? -1 : kh_instance_dir_open(images_fd, id, &reason);
    gboolean same = folder >= 0;

    if (folder < 0)
        return refuse_missing(images_fd, id, reason, error);
    for (guint i = 0; same && i < image->parts->len; i++)
        same = verify_part(folder, id, image->parts->pdata[i], error);
    close(folder);
    return same;
}

/* One import; lives in the GTask, and in its thread while that runs. */
typedef struct {
    char *folder;    /* the source */
    char *temporary; /* name below images/ */
    int source_fd, images_fd, target_fd;
    KhImage *image;
    char *looks; /* of the source files */
} Import;

static void
import_free(gpointer data)
{
    Import *import = data;

    if (import->source_fd >= 0)
        close(import->source_fd);
    if (import->target_fd >= 0)
        close(import->target_fd);
    g_clear_pointer(&import->image, kh_image_free);
    g_free(import->folder);
    g_free(import->temporary);
    g_free(import->looks);
    g_free(import);
}

/* No NotFound: that is an instance which is not there. */
static gboolean
refuse_part(const char *folder, const char *name, const char *found, GError **error)
{
    g_set_error(error, KH_ERROR, KH_ERROR_RESOURCE_UNAVAILABLE,
                "The boot component %s/%s %s; build it with boot-components/build.sh or set "
                "boot-components",
                folder, name, found);
    return FALSE;
}

static gboolean
set_part_error(const char *folder, const char *name, GError **error)
{
    g_autofree char *found = g_strdup_printf("cannot be imported: %s", g_strerror(errno));

    return refuse_part(folder, name, found, error);
}

/* What makes a file no boot component; NULL if it is one. */
static const char *
fault_of(const struct stat *st)
{
    if (!S_ISREG(st->st_mode))
        return "is not a regular file";
    if (st->st_size == 0)
        return "is empty";
    return (guint64)st->st_size > PART_MAX ? "is larger than 1 GiB" : NULL;
}

/* A FIFO in its place must not block, a folder must not be read. */
static int
open_part(Import *import, const char *name, GError **error)
{
    int fd = openat(import->source_fd, name, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    const char *fault;
    struct stat st;

    if (fd < 0 || fstat(fd, &st) != 0)
        set_part_error(import->folder, name, error);
    else if ((fault = fault_of(&st)) != NULL)
        refuse_part(import->folder, name, fault, error);
    else
        return fd;
    if (fd >= 0)
        close(fd);
    return -1;
}

/* By the kernel, as far as it can; TRUE with what is left to whoever reads on. */
static gboolean
copy_in_kernel(int from, int to, guint64 *copied)
{
    ssize_t n;

    while ((n = copy_file_range(from, NULL, to, NULL, PART_MAX, 0)) > 0 && *copied <= PART_MAX)
        *copied += (guint64)n;
    /* Of two file systems, or of one that does not know it; 0 can be the end or a refusal. */
    return n >= 0 || errno == EXDEV || errno == EINVAL || errno == ENOSYS || errno == EOPNOTSUPP ||
           errno == EPERM;
}

static gboolean
copy_bytes(int from, int to)
{
    g_autofree char *buffer = g_malloc(COPY_CHUNK);
    guint64 copied = 0;
    ssize_t n = 0;

    if (ioctl(to, FICLONE, from) == 0)
        return TRUE;
    if (!copy_in_kernel(from, to, &copied))
        return FALSE;
    while (copied <= PART_MAX &&
           ((n = read(from, buffer, COPY_CHUNK)) > 0 || (n < 0 && errno == EINTR))) {
        if (n > 0 && kh_write_all(to, buffer, (gsize)n) < (gsize)n)
            return FALSE;
        copied += (guint64)MAX(n, 0);
    }
    if (copied > PART_MAX)
        errno = EFBIG;
    return n == 0 && copied <= PART_MAX;
}

/* Copies one file; the descriptor of the copy, or -1. */
static int
copy_part(Import *import, const char *name, GError **error)
{
    int from = open_part(import, name, error);
    int to;

    if (from < 0)
        return -1;
    to = openat(import->target_fd, name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0444);
    if (to < 0 || !copy_bytes(from, to) || fchmod(to, 0444) != 0) {
        set_part_error(import->folder, name, error);
        if (to >= 0)
            close(to);
        to = -1;
    }
    close(from);
    return to;
}

static gboolean
import_part(Import *import, const char *name, gboolean needed, GError **error)
{
    g_autofree char *sha256 = NULL;
    guint64 size;
    int fd;

    if (!needed && faccessat(import->source_fd, name, F_OK, 0) != 0 && errno == ENOENT)
        return TRUE;
    fd = copy_part(import, name, error);
    if (fd < 0)
        return FALSE;
    sha256 = kh_hash_fd(fd, &size, error);
    close(fd);
    if (sha256 == NULL)
        return FALSE;
    if (!g_str_equal(name, KH_IMAGE_BUILD_INFO))
        kh_image_add_part(import->image, name, size, sha256);
    return TRUE;
}

static gboolean
write_manifest(Import *import, GError **error)
{
    g_autofree char *text = kh_image_to_manifest(import->image);

    import->image->id = kh_image_compute_id(import->image);
    return kh_instance_dir_write(import->target_fd, KH_IMAGE_MANIFEST, -1, text, error) &&
           (fchmodat(import->target_fd, KH_IMAGE_MANIFEST, 0444, 0) == 0 ||
            set_part_error(import->folder, KH_IMAGE_MANIFEST, error));
}

static gboolean
sync_entry(int folder, const char *name)
{
    int fd = openat(folder, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    gboolean synced = fd < 0 ? errno == ENOENT : fsync(fd) == 0;

    if (fd >= 0)
        close(fd);
    return synced;
}

/* Before the name: a power cut leaves the image whole, or none of that name. */
static gboolean
sync_parts(Import *import, GError **error)
{
    static const char *const names[] = {KH_IMAGE_KERNEL, KH_IMAGE_INITRD, KH_IMAGE_FIRMWARE,
                                        KH_IMAGE_BUILD_INFO, KH_IMAGE_MANIFEST};

    for (guint i = 0; i < G_N_ELEMENTS(names); i++)
        if (!sync_entry(import->target_fd, names[i]))
            return set_part_error(import->folder, names[i], error);
    return (fchmod(import->target_fd, 0755) == 0 && fsync(import->target_fd) == 0) ||
           set_part_error(import->folder, "", error);
}

static gboolean
rename_import(const Import *import)
{
    return renameat(import->images_fd, import->temporary, import->images_fd, import->image->id) ==
           0;
}

/* Puts away what has been changed, so that the import takes its place. */
static gboolean
replace(Import *import, GError **error)
{
    g_autofree char *old = g_strconcat(import->temporary, "-old", NULL);

    if (renameat(import->images_fd, import->image->id, import->images_fd, old) != 0 &&
        errno != ENOENT)
        return set_part_error(import->folder, "", error);
    if (!rename_import(import))
        return set_part_error(import->folder, "", error);
    return kh_instance_dir_remove(import->images_fd, old, NULL, error);
}

/* An image of that id may be there already: then it should be the same one. */
static gboolean
put_in_place(Import *import, GError **error)
{
    g_autoptr(GError) changed = NULL;

    if (!sync_parts(import, error))
        return FALSE;
    kh_crash_point("import:copied");
    if (!rename_import(import)) {
        if (errno != EEXIST && errno != ENOTEMPTY)
            return set_part_error(import->folder, "", error);
        if (verify_image(import->images_fd, import->image->id, &changed))
            return kh_instance_dir_remove(import->images_fd, import->temporary, NULL, error);
        if (!replace(import, error))
            return FALSE;
        g_message("An image that was damaged is replaced: %s", changed->message);
    }
    kh_crash_point("import:in-place");
    return fsync(import->images_fd) == 0 || set_part_error(import->folder, "", error);
}

static gboolean
import_all(Import *import, GError **error)
{
    if (mkdirat(import->images_fd, import->temporary, 0700) != 0)
        return set_part_error(import->folder, "", error);
    import->target_fd = kh_instance_dir_open(import->images_fd, import->temporary, error);
    return import->target_fd >= 0 && import_part(import, KH_IMAGE_KERNEL, TRUE, error) &&
           import_part(import, KH_IMAGE_INITRD, TRUE, error) &&
           import_part(import, KH_IMAGE_FIRMWARE, FALSE, error) &&
           import_part(import, KH_IMAGE_BUILD_INFO, FALSE, error) &&
           write_manifest(import, error) && put_in_place(import, error);
}

static void
import_in_thread(GTask *task, gpointer source, gpointer data, GCancellable *cancellable)
{
    Import *import = data;
    GError *error = NULL;

    if (import_all(import, &error)) {
        g_task_return_pointer(task, g_strdup(import->image->id), g_free);
        return;
    }
    kh_instance_dir_remove(import->images_fd, import->temporary, NULL, NULL);
    g_task_return_error(task, error);
}

/* What tells whether a source has changed since it was hashed. */
static char *
looks_of(int folder_fd)
{
    static const char *const names[] = {KH_IMAGE_KERNEL, KH_IMAGE_INITRD, KH_IMAGE_FIRMWARE,
                                        KH_IMAGE_BUILD_INFO};
    GString *looks = g_string_new(NULL);
    struct stat st;

    for (guint i = 0; i < G_N_ELEMENTS(names); i++)
        if (fstatat(folder_fd, names[i], &st, 0) == 0)
            g_string_append_printf(looks, "%s %lu:%lu %ld %ld.%09ld %ld.%09ld\n", names[i],
                                   (gulong)st.st_dev, (gulong)st.st_ino, (long)st.st_size,
                                   (long)st.st_mtim.tv_sec, st.st_mtim.tv_nsec,
                                   (long)st.st_ctim.tv_sec, st.st_ctim.tv_nsec);
    return g_string_free(looks, FALSE);
}

static char *
new_temporary_name(void)
{
    return g_strdup_printf(IMPORT_PREFIX "%08x%08x", g_random_int(), g_random_int());
}

static Import *
import_new(KhImageStore *self, const char *folder, GError **error)
{
    Import *import = g_new0(Import, 1);

    import->folder = g_strdup(folder);
    import->temporary = new_temporary_name();
    import->images_fd = self->fd;
    import->target_fd = -1;
    import->image = kh_image_new();
    import->source_fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (import->source_fd < 0) {
        set_part_error(folder, "", error);
        import_free(import);
        return NULL;
    }
    import->looks = looks_of(import->source_fd);
    return import;
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
    Import *import = import_new(self, folder, &error);
    const char *known;

    g_task_set_source_tag(task, kh_image_store_import_async);
    if (import == NULL) {
        g_task_return_error(task, g_steal_pointer(&error));
        return;
    }
    g_task_set_task_data(task, import, import_free);
    known = find_by_looks(self, import->looks);
    if (known != NULL)
        g_task_return_pointer(task, g_strdup(known), g_free);
    else
        g_task_run_in_thread(task, import_in_thread);
}

char *
kh_image_store_import_finish(KhImageStore *self, GAsyncResult *result, GError **error)
{
    Import *import = g_task_get_task_data(G_TASK(result));
    g_autofree char *id = g_task_propagate_pointer(G_TASK(result), error);
    KhImage *image;

    if (id == NULL)
        return NULL;
    if (kh_image_store_find(self, id) != NULL) {
        g_hash_table_replace(self->sources, g_strdup(id), g_strdup(import->looks));
        return g_steal_pointer(&id);
    }
    image = load_image(self->fd, id, error);
    if (image == NULL)
        return NULL;
    g_hash_table_replace(self->images, image->id, image);
    g_hash_table_replace(self->sources, g_strdup(id), g_strdup(import->looks));
    g_signal_emit(self, signals[SIGNAL_ADDED], 0, id);
    return g_steal_pointer(&id);
}

static void
verify_in_thread(GTask *task, gpointer source, gpointer data, GCancellable *cancellable)
{
    GError *error = NULL;

    if (verify_image(KH_IMAGE_STORE(source)->fd, data, &error))
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
    g_autofree char *old = new_temporary_name();
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
