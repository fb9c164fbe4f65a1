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

#include "auto-fd.h"
#include "error.h"
#include "read-only.h"

#define FOLDER_MODE 0711
/* What a killed service was just starting has its locks until it runs its own program. */
#define LOCK_PATIENCE_USEC G_USEC_PER_SEC
#define LOCK_INTERVAL_USEC (20 * 1000)

struct _KhStateDir {
    GObject parent_instance;
    char *path, *runtime, *instances, *images; /* without links */
    int state_fd, lock_fd, instances_fd, images_fd, runtime_fd, runtime_lock_fd;
};

G_DEFINE_FINAL_TYPE(KhStateDir, kh_state_dir, G_TYPE_OBJECT)

static void
kh_state_dir_finalize(GObject *object)
{
    KhStateDir *self = KH_STATE_DIR(object);
    int fds[] = {self->instances_fd, self->images_fd, self->runtime_fd,
                 self->state_fd,     self->lock_fd,   self->runtime_lock_fd};

    for (guint i = 0; i < G_N_ELEMENTS(fds); i++)
        if (fds[i] >= 0)
            close(fds[i]);
    g_free(self->path);
    g_free(self->runtime);
    g_free(self->instances);
    g_free(self->images);
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
    self->state_fd = self->lock_fd = self->instances_fd = self->images_fd = -1;
    self->runtime_fd = self->runtime_lock_fd = -1;
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

    if (!g_path_is_absolute(path))
        return kh_error_set(error, KH_ERROR_INVALID_ARGUMENT, "%s is not an absolute path", path);
    if (is_plain(path))
        return TRUE;
    shown = g_strescape(path, NULL);
    return kh_error_set(
        error, KH_ERROR_INVALID_ARGUMENT,
        "The path %s has a quote, a backslash or a control character in it, or is not "
        "UTF-8; choose another one",
        shown);
}

/* Of a file system that is not mounted yet, most likely: nothing is made in its place. */
static gboolean
check_link(const char *path, GError **error)
{
    g_autofree char *target = g_file_read_link(path, NULL);

    if (target == NULL || g_file_test(path, G_FILE_TEST_EXISTS))
        return TRUE;
    return kh_error_set(
        error, KH_ERROR_FAILED,
        "%s is a symbolic link to %s, which is not there; mount its file system, or "
        "correct the link",
        path, target);
}

/* Each part of @path from the root on. */
static gboolean
check_links(const char *path, GError **error)
{
    for (const char *end = strchr(path + 1, '/'); end != NULL; end = strchr(end + 1, '/')) {
        g_autofree char *part = g_strndup(path, (gsize)(end - path));

        if (!check_link(part, error))
            return FALSE;
    }
    return check_link(path, error);
}

/* That of a file system which is read-only cannot be changed, not even to what it is. */
static gboolean
set_mode(int fd)
{
    struct stat status;

    return fchmod(fd, FOLDER_MODE) == 0 ||
           (errno == EROFS && fstat(fd, &status) == 0 && status.st_uid == geteuid());
}

static int
open_folder(const char *path, GError **error)
{
    g_auto(KhFd) fd = -1;

    if (!check_links(path, error))
        return -1;
    if (g_mkdir_with_parents(path, FOLDER_MODE) != 0)
        kh_error_set_errno(error, path, "made");
    else if ((fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0)
        kh_error_set_errno(error, path, "opened");
    else if (set_mode(fd))
        return g_steal_fd(&fd);
    else
        kh_error_set_errno(error, path, "given the mode 0711, which only its owner can do");
    return -1;
}

/*
 * Opens *@path and makes it what it is without links: SQLite, the shim and systemd follow
 * none, and whether a folder lies below /home is told by its name.
 */
static int
open_real(char **path, GError **error)
{
    g_auto(KhFd) fd = open_folder(*path, error);
    g_autofree char *link = g_strdup_printf("/proc/self/fd/%d", fd);
    g_autoptr(GError) failure = NULL;
    g_autofree char *real = NULL;

    if (fd < 0)
        return -1;
    real = g_file_read_link(link, &failure);
    if (real == NULL)
        kh_error_set(error, KH_ERROR_FAILED, "The links in the path %s cannot be resolved: %s",
                     *path, failure->message);
    if (real == NULL || !check_path(real, error))
        return -1;
    g_free(*path);
    *path = g_steal_pointer(&real);
    return g_steal_fd(&fd);
}

/* Where a file system is read-only, that of the folder itself stands for one that is not there. */
static int
open_lock(int folder)
{
    int fd = openat(folder, "lock", O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);

    if (fd >= 0 || errno != EROFS)
        return fd;
    fd = openat(folder, "lock", O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT)
        fd = openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return fd;
}

/* Waits no longer than @patience, in microseconds. */
static gboolean
lock(int fd, gint64 patience)
{
    gint64 deadline = g_get_monotonic_time() + patience;

    while (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        if (errno != EWOULDBLOCK || g_get_monotonic_time() >= deadline)
            return FALSE;
        g_usleep(LOCK_INTERVAL_USEC);
    }
    return TRUE;
}

/* Of the folder @path, that @setting names; -1 and @error. */
static int
take_lock(int folder, const char *path, const char *setting, gint64 patience, GError **error)
{
    g_autofree char *name = g_build_filename(path, "lock", NULL);
    g_auto(KhFd) fd = open_lock(folder);

    if (fd < 0)
        kh_error_set_errno(error, name, "opened");
    else if (lock(fd, patience))
        return g_steal_fd(&fd);
    else
        kh_error_set(error, KH_ERROR_BUSY,
                     "Another katana-hypervisord uses the folder %s; stop it, or set another %s",
                     path, setting);
    return -1;
}

/* One folder for both would be locked against itself. */
static gboolean
check_apart(KhStateDir *self, GError **error)
{
    if (!g_str_equal(self->path, self->runtime))
        return TRUE;
    return kh_error_set(error, KH_ERROR_INVALID_ARGUMENT,
                        "%s is both state-dir and runtime-dir; set another runtime-dir",
                        self->path);
}

/*
 * Both locks come before anything in the folders is made or looked at: the sockets of one
 * service's machines are in the way of another one's, whose state lies elsewhere.
 */
static gboolean
open_locked(KhStateDir *self, GError **error)
{
    self->state_fd = open_real(&self->path, error);
    if (self->state_fd < 0)
        return FALSE;
    self->lock_fd = take_lock(self->state_fd, self->path, "state-dir", LOCK_PATIENCE_USEC, error);
    if (self->lock_fd < 0)
        return FALSE;
    self->runtime_fd = open_real(&self->runtime, error);
    if (self->runtime_fd < 0 || !check_apart(self, error))
        return FALSE;
    self->runtime_lock_fd =
        take_lock(self->runtime_fd, self->runtime, "runtime-dir", LOCK_PATIENCE_USEC, error);
    return self->runtime_lock_fd >= 0;
}

/* What lies in the runtime folder is removed with each start. */
static gboolean
check_parts(KhStateDir *self, GError **error)
{
    const char *const parts[] = {self->path, self->instances, self->images};

    for (guint i = 0; i < G_N_ELEMENTS(parts); i++)
        if (g_str_equal(parts[i], self->runtime))
            return kh_error_set(
                error, KH_ERROR_INVALID_ARGUMENT,
                "The runtime folder is %s, where state is kept; set another runtime-dir",
                self->runtime);
    return TRUE;
}

static gboolean
open_all(KhStateDir *self, GError **error)
{
    if (!open_locked(self, error))
        return FALSE;
    self->instances = kh_state_dir_build(self, "instances");
    self->images = kh_state_dir_build(self, "images");
    self->instances_fd = open_real(&self->instances, error);
    if (self->instances_fd >= 0)
        self->images_fd = open_real(&self->images, error);
    return self->images_fd >= 0 && check_parts(self, error);
}

/* What is answered later lies in them: they outlive a power cut themselves. */
static gboolean
sync_folders(KhStateDir *self, GError **error)
{
    g_auto(KhFd) parent = openat(self->state_fd, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (parent >= 0)
        fsync(parent);
    return fsync(self->state_fd) == 0 || errno == EINVAL || errno == ENOTSUP || errno == EROFS ||
           kh_error_set_errno(error, self->path, "written to the disk");
}

KhStateDir *
kh_state_dir_open(const char *path, const char *runtime, GError **error)
{
    g_autoptr(KhStateDir) self = g_object_new(KH_TYPE_STATE_DIR, NULL);

    if (!check_path(path, error) || !check_path(runtime, error))
        return NULL;
    self->path = g_strdup(path);
    self->runtime = g_strdup(runtime);
    if (!open_all(self, error) || !sync_folders(self, error))
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

const char *
kh_state_dir_get_instances(KhStateDir *self)
{
    return self->instances;
}

const char *
kh_state_dir_get_images(KhStateDir *self)
{
    return self->images;
}

char *
kh_state_dir_build(KhStateDir *self, const char *name)
{
    return g_build_filename(self->path, name, NULL);
}

int
kh_state_dir_fd(KhStateDir *self)
{
    return self->state_fd;
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

const char *
kh_state_dir_find_read_only(KhStateDir *self)
{
    if (kh_read_only_folder(self->state_fd))
        return self->path;
    if (kh_read_only_folder(self->instances_fd))
        return self->instances;
    return kh_read_only_folder(self->images_fd) ? self->images : NULL;
}

gboolean
kh_state_dir_check_writable(KhStateDir *self, GError **error)
{
    const char *folder = kh_state_dir_find_read_only(self);

    if (folder == NULL)
        return TRUE;
    return kh_error_set(
        error, KH_ERROR_FAILED,
        "%s is on a read-only file system: until that is mounted writable, instances can "
        "be shown and stopped, but nothing else",
        folder);
}

gboolean
kh_state_dir_renew_runtime(KhStateDir *self, GError **error)
{
    struct stat status;
    g_auto(KhFd) fd = -1;
    g_auto(KhFd) lock_fd = -1;

    if (fstat(self->runtime_fd, &status) != 0 || status.st_nlink > 0)
        return TRUE;
    fd = open_folder(self->runtime, error);
    lock_fd = fd < 0 ? -1 : take_lock(fd, self->runtime, "runtime-dir", 0, error);
    if (lock_fd < 0)
        return FALSE;
    g_message("The runtime folder %s was removed, and has been made again", self->runtime);
    /* Under their numbers: threads may be at work with those. */
    dup3(fd, self->runtime_fd, O_CLOEXEC);
    dup3(lock_fd, self->runtime_lock_fd, O_CLOEXEC);
    return TRUE;
}

/*
 * The largest file: what ftruncate accepts is asked of a nameless file, since no call
 * tells (ext4 with 4 KiB blocks: 16 TiB; tmpfs and XFS: more).
 */
guint64
kh_state_dir_file_max(KhStateDir *self)
{
    guint64 size = G_GUINT64_CONSTANT(1) << 43;
    g_auto(KhFd) fd = openat(self->instances_fd, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

    while (fd >= 0 && size > 0 && ftruncate(fd, (off_t)size) != 0)
        size /= 2;
    return size;
}
