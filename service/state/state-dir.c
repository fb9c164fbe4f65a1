/* SPDX-License-Identifier: MIT */
/* The state and runtime folders; see state-dir.h. */
#include "state-dir.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "error.h"

struct _KhStateDir {
    GObject parent_instance;
    char *path;
    char *runtime;
    int lock_fd, instances_fd, images_fd, runtime_fd;
};

G_DEFINE_FINAL_TYPE(KhStateDir, kh_state_dir, G_TYPE_OBJECT)

static void
kh_state_dir_finalize(GObject *object)
{
    KhStateDir *self = KH_STATE_DIR(object);
    int fds[] = {self->instances_fd, self->images_fd, self->runtime_fd, self->lock_fd};

    for (guint i = 0; i < G_N_ELEMENTS(fds); i++)
        if (fds[i] >= 0)
            close(fds[i]);
    g_free(self->path);
    g_free(self->runtime);
    G_OBJECT_CLASS(kh_state_dir_parent_class)->finalize(object);
}

static void
kh_state_dir_class_init(KhStateDirClass *class)
{
    G_OBJECT_CLASS(class)->finalize = kh_state_dir_finalize;
}

static void
kh_state_dir_init(KhStateDir *self)
{
    self->lock_fd = self->instances_fd = self->images_fd = self->runtime_fd = -1;
}

/* Another path could not be given to a shell, a unit, QEMU or the bus without surprises. */
static gboolean
is_plain(const char *path)
{
    for (const char *c = path; *c != '\0'; c++)
        if (strchr("'\"\\", *c) != NULL || g_ascii_iscntrl(*c))
            return FALSE;
    return g_utf8_validate(path, -1, NULL);
}

static gboolean
check_path(const char *path, GError **error)
{
    g_autofree char *shown = NULL;

    if (!g_path_is_absolute(path)) {
        g_set_error(error, KH_ERROR, KH_ERROR_INVALID_ARGUMENT, "%s is not an absolute path", path);
        return FALSE;
    }
    if (is_plain(path))
        return TRUE;
    shown = g_strescape(path, NULL);
    g_set_error(error, KH_ERROR, KH_ERROR_INVALID_ARGUMENT,
                "The path %s has a quote, a backslash or a control character in it, or is no "
                "UTF-8; choose another one",
                shown);
    return FALSE;
}

static int
open_folder(int parent, const char *path, mode_t mode, GError **error)
{
    int fd;

    if (mkdirat(parent, path, mode) != 0 && errno != EEXIST) {
        kh_error_set_errno(error, path, "made");
        return -1;
    }
    fd = openat(parent, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        kh_error_set_errno(error, path, "opened");
        return -1;
    }
    if (fchmod(fd, mode) != 0) {
        kh_error_set_errno(error, path, "given its mode; does it belong to another user");
        close(fd);
        return -1;
    }
    return fd;
}

static gboolean
take_lock(KhStateDir *self, int state_fd, GError **error)
{
    self->lock_fd = openat(state_fd, "lock", O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (self->lock_fd < 0)
        return kh_error_set_errno(error, "lock", "opened");
    if (flock(self->lock_fd, LOCK_EX | LOCK_NB) == 0)
        return TRUE;
    g_set_error(error, KH_ERROR, KH_ERROR_BUSY,
                "Another katana-hypervisord uses the state folder %s; stop it, or set another "
                "state-dir",
                self->path);
    return FALSE;
}

static gboolean
open_all(KhStateDir *self, GError **error)
{
    int state_fd;
    gboolean locked;

    g_mkdir_with_parents(self->path, 0711);
    state_fd = open_folder(AT_FDCWD, self->path, 0711, error);
    if (state_fd < 0)
        return FALSE;
    locked = take_lock(self, state_fd, error);
    if (locked) {
        self->instances_fd = open_folder(state_fd, "instances", 0711, error);
        self->images_fd =
            self->instances_fd < 0 ? -1 : open_folder(state_fd, "images", 0711, error);
    }
    close(state_fd);
    if (self->images_fd < 0)
        return FALSE;
    g_mkdir_with_parents(self->runtime, 0711);
    self->runtime_fd = open_folder(AT_FDCWD, self->runtime, 0711, error);
    return self->runtime_fd >= 0;
}

KhStateDir *
kh_state_dir_open(const char *path, const char *runtime, GError **error)
{
    g_autoptr(KhStateDir) self = g_object_new(KH_TYPE_STATE_DIR, NULL);

    if (!check_path(path, error) || !check_path(runtime, error))
        return NULL;
    self->path = g_canonicalize_filename(path, "/");
    self->runtime = g_canonicalize_filename(runtime, "/");
    if (!open_all(self, error))
        return NULL;
    return g_steal_pointer(&self);
}

const char *
kh_state_dir_get_path(KhStateDir *self)
{
    return self->path;
}

const char *
kh_state_dir_get_runtime(KhStateDir *self)
{
    return self->runtime;
}

char *
kh_state_dir_build(KhStateDir *self, const char *name)
{
    return g_build_filename(self->path, name, NULL);
}

int
kh_state_dir_instances_fd(KhStateDir *self)
{
    return self->instances_fd;
}

int
kh_state_dir_images_fd(KhStateDir *self)
{
    return self->images_fd;
}

int
kh_state_dir_runtime_fd(KhStateDir *self)
{
    return self->runtime_fd;
}

/*
 * The largest file: what ftruncate accepts is asked of a nameless file, since no call
 * tells (ext4 with 4 KiB blocks: 16 TiB; tmpfs and XFS: more).
 */
guint64
kh_state_dir_file_max(KhStateDir *self)
{
    guint64 size = G_GUINT64_CONSTANT(1) << 43;
    int fd = openat(self->instances_fd, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

    while (fd >= 0 && size > 0 && ftruncate(fd, (off_t)size) != 0)
        size /= 2;
    if (fd >= 0)
        close(fd);
    return size;
}
