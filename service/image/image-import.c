/* SPDX-License-Identifier: MIT */
/* Copies boot components into an image; see image-import.h. */
#include "image-import.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "auto-fd.h"
#include "crash-point.h"
#include "error.h"
#include "hash.h"
#include "image-folder.h"
#include "state/instance-dir-making.h"
#include "state/instance-dir-removal.h"
#include "state/instance-dir.h"
#include "write-all.h"

#define PART_MAX (G_GUINT64_CONSTANT(1) << 30)
#define COPY_CHUNK (256 * 1024)

struct _KhImageImport {
    char *folder;    /* the source */
    char *temporary; /* name below images/ */
    int source_fd, images_fd, target_fd;
    KhImage *image;
    char *looks; /* of the source files */
};

void
kh_image_import_free(KhImageImport *self)
{
    if (self->source_fd >= 0)
        close(self->source_fd);
    if (self->target_fd >= 0)
        close(self->target_fd);
    g_clear_pointer(&self->image, kh_image_free);
    g_free(self->folder);
    g_free(self->temporary);
    g_free(self->looks);
    g_free(self);
}

/* No NotFound: that is an instance which is not there. */
static gboolean
refuse_part(const char *folder, const char *name, const char *found, GError **error)
{
    return kh_error_set(
        error, KH_ERROR_RESOURCE_UNAVAILABLE,
        "The boot component %s/%s %s; build it with boot-components/build.sh or set "
        "boot-components",
        folder, name, found);
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
open_part(KhImageImport *self, const char *name, GError **error)
{
    g_auto(KhFd) fd = openat(self->source_fd, name, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    const char *fault;
    struct stat st;

    if (fd < 0 || fstat(fd, &st) != 0)
        set_part_error(self->folder, name, error);
    else if ((fault = fault_of(&st)) != NULL)
        refuse_part(self->folder, name, fault, error);
    else
        return g_steal_fd(&fd);
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
copy_part(KhImageImport *self, const char *name, GError **error)
{
    g_auto(KhFd) from = open_part(self, name, error);
    g_auto(KhFd) to = -1;

    if (from < 0)
        return -1;
    to = openat(self->target_fd, name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0444);
    if (to >= 0 && copy_bytes(from, to) && fchmod(to, 0444) == 0)
        return g_steal_fd(&to);
    set_part_error(self->folder, name, error);
    return -1;
}

static gboolean
import_part(KhImageImport *self, const char *name, gboolean needed, GError **error)
{
    g_autofree char *sha256 = NULL;
    g_auto(KhFd) fd = -1;
    guint64 size;

    if (!needed && faccessat(self->source_fd, name, F_OK, 0) != 0 && errno == ENOENT)
        return TRUE;
    fd = copy_part(self, name, error);
    sha256 = fd < 0 ? NULL : kh_hash_fd(fd, &size, error);
    if (sha256 == NULL)
        return FALSE;
    if (!g_str_equal(name, KH_IMAGE_BUILD_INFO))
        kh_image_add_part(self->image, name, size, sha256);
    return TRUE;
}

static gboolean
write_manifest(KhImageImport *self, GError **error)
{
    g_autofree char *text = kh_image_to_manifest(self->image);

    self->image->id = kh_image_compute_id(self->image);
    return kh_instance_dir_write(self->target_fd, KH_IMAGE_MANIFEST, -1, text, error) &&
           (fchmodat(self->target_fd, KH_IMAGE_MANIFEST, 0444, 0) == 0 ||
            set_part_error(self->folder, KH_IMAGE_MANIFEST, error));
}

static gboolean
sync_entry(int folder, const char *name)
{
    g_auto(KhFd) fd = openat(folder, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);

    return fd < 0 ? errno == ENOENT : fsync(fd) == 0;
}

/* Before the name: a power cut leaves the image whole, or none of that name. */
static gboolean
sync_parts(KhImageImport *self, GError **error)
{
    static const char *const names[] = {KH_IMAGE_KERNEL, KH_IMAGE_INITRD, KH_IMAGE_FIRMWARE,
                                        KH_IMAGE_BUILD_INFO, KH_IMAGE_MANIFEST};

    for (guint i = 0; i < G_N_ELEMENTS(names); i++)
        if (!sync_entry(self->target_fd, names[i]))
            return set_part_error(self->folder, names[i], error);
    return (fchmod(self->target_fd, 0755) == 0 && fsync(self->target_fd) == 0) ||
           set_part_error(self->folder, "", error);
}

static gboolean
rename_import(const KhImageImport *self)
{
    return renameat(self->images_fd, self->temporary, self->images_fd, self->image->id) == 0;
}

/* Puts away what has been changed, so that the import takes its place. */
static gboolean
replace(KhImageImport *self, GError **error)
{
    g_autofree char *old = g_strconcat(self->temporary, "-old", NULL);

    if (renameat(self->images_fd, self->image->id, self->images_fd, old) != 0 && errno != ENOENT)
        return set_part_error(self->folder, "", error);
    if (!rename_import(self))
        return set_part_error(self->folder, "", error);
    return kh_instance_dir_remove(self->images_fd, old, NULL, error);
}

/* An image of that id may be there already: then it should be the same one. */
static gboolean
put_in_place(KhImageImport *self, GError **error)
{
    g_autoptr(GError) changed = NULL;

    if (!sync_parts(self, error))
        return FALSE;
    kh_crash_point("import:copied");
    if (!rename_import(self)) {
        if (errno != EEXIST && errno != ENOTEMPTY)
            return set_part_error(self->folder, "", error);
        if (kh_image_folder_verify(self->images_fd, self->image->id, &changed))
            return kh_instance_dir_remove(self->images_fd, self->temporary, NULL, error);
        if (!replace(self, error))
            return FALSE;
        g_message("An image that was damaged is replaced: %s", changed->message);
    }
    kh_crash_point("import:in-place");
    return fsync(self->images_fd) == 0 || set_part_error(self->folder, "", error);
}

static gboolean
import_all(KhImageImport *self, GError **error)
{
    if (mkdirat(self->images_fd, self->temporary, 0700) != 0)
        return set_part_error(self->folder, "", error);
    self->target_fd = kh_instance_dir_open(self->images_fd, self->temporary, error);
    return self->target_fd >= 0 && import_part(self, KH_IMAGE_KERNEL, TRUE, error) &&
           import_part(self, KH_IMAGE_INITRD, TRUE, error) &&
           import_part(self, KH_IMAGE_FIRMWARE, FALSE, error) &&
           import_part(self, KH_IMAGE_BUILD_INFO, FALSE, error) && write_manifest(self, error) &&
           put_in_place(self, error);
}

const char *
kh_image_import_run(KhImageImport *self, GError **error)
{
    if (import_all(self, error))
        return self->image->id;
    kh_instance_dir_remove(self->images_fd, self->temporary, NULL, NULL);
    return NULL;
}

const char *
kh_image_import_get_looks(const KhImageImport *self)
{
    return self->looks;
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

char *
kh_image_import_build_name(void)
{
    return g_strdup_printf(KH_IMAGE_IMPORT_PREFIX "%08x%08x", g_random_int(), g_random_int());
}

KhImageImport *
kh_image_import_new(int images_fd, const char *folder, GError **error)
{
    KhImageImport *self = g_new0(KhImageImport, 1);

    self->folder = g_strdup(folder);
    self->temporary = kh_image_import_build_name();
    self->images_fd = images_fd;
    self->target_fd = -1;
    self->image = kh_image_new();
    self->source_fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (self->source_fd < 0) {
        set_part_error(folder, "", error);
        kh_image_import_free(self);
        return NULL;
    }
    self->looks = looks_of(self->source_fd);
    return self;
}
