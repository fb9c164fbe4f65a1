/* SPDX-License-Identifier: MIT */
/* Safe access to an instance's folders; see instance-dir.h. */
#include "instance-dir.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "crash-point.h"
#include "error.h"
#include "names.h"
#include "trash-name.h"
#include "write-all.h"

/* Deeper folders are lifted to the top and removed from there. */
#define DEPTH_MAX 32
/* What is held of a folder's names at once; an attacker may have made any number. */
#define NAMES_MAX 16384

static uid_t
owner_of(gint64 uid)
{
    return uid < 0 ? geteuid() : (uid_t)uid;
}

static gboolean
give(int fd, gint64 uid)
{
    return uid < 0 || fchown(fd, (uid_t)uid, (gid_t)uid) == 0;
}

/* Some file systems have no fsync of folders: then there is nothing to wait for. */
static gboolean
sync_to_disk(int fd, const char *name, GError **error)
{
    return fsync(fd) == 0 || errno == EINVAL || errno == ENOTSUP ||
           kh_error_set_errno(error, name, "written to the disk");
}

static gboolean
is_link(int parent, const char *name)
{
    struct stat st;

    return fstatat(parent, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISLNK(st.st_mode);
}

static char *
path_in(int parent, const char *name)
{
    g_autofree char *link = g_strdup_printf("/proc/self/fd/%d", parent);
    g_autofree char *folder = g_file_read_link(link, NULL);

    return folder == NULL ? g_strdup(name) : g_build_filename(folder, name, NULL);
}

/* A link in a folder's place is ENOTDIR to open(2). An administrator has put it there. */
static gboolean
fail_folder(int parent, const char *name, const char *doing, GError **error)
{
    int saved = errno;
    gboolean linked = saved == ENOTDIR && is_link(parent, name);
    g_autofree char *path = linked ? path_in(parent, name) : g_strdup(name);

    errno = linked ? ELOOP : saved;
    return kh_error_set_errno(error, path, doing);
}

/* Of a name that the machine may have made: it need not even be text. */
static gboolean
fail_entry(const char *name, const char *doing, GError **error)
{
    int saved = errno;
    g_autofree char *shown = kh_text_sanitize(name, NAME_MAX);

    errno = saved;
    return kh_error_set_errno(error, shown, doing);
}

gboolean
kh_instance_dir_create(int parent, const char *name, gint64 uid, GError **error)
{
    int fd;
    gboolean given;

    if (mkdirat(parent, name, 0700) != 0)
        return kh_error_set_errno(error, name, "made");
    kh_crash_point("folder:bare");
    fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    given = (fd >= 0 && fchmod(fd, 0700) == 0 && give(fd, uid)) ||
            kh_error_set_errno(error, name, "given to the machine's user");
    given = given && sync_to_disk(fd, name, error) && sync_to_disk(parent, name, error);
    if (!given)
        unlinkat(parent, name, AT_REMOVEDIR);
    if (fd >= 0)
        close(fd);
    return given;
}

int
kh_instance_dir_open(int parent, const char *name, GError **error)
{
    int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

    if (fd < 0)
        fail_folder(parent, name, "opened", error);
    return fd;
}

/* Names of one pass; what is beyond them, and lifted folders, turn up in the next. */
static GPtrArray *
names_in(int folder, const char *keep, GError **error)
{
    g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
    int copy = openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = copy < 0 ? NULL : fdopendir(copy);
    struct dirent *entry;

    if (dir == NULL) {
        kh_error_set_errno(error, "What is in the folder", "read");
        if (copy >= 0)
            close(copy);
        return NULL;
    }
    while (names->len < NAMES_MAX && (entry = readdir(dir)) != NULL)
        if (!g_str_equal(entry->d_name, ".") && !g_str_equal(entry->d_name, "..") &&
            g_strcmp0(entry->d_name, keep) != 0)
            g_ptr_array_add(names, g_strdup(entry->d_name));
    closedir(dir);
    return g_steal_pointer(&names);
}

/* Whether nothing else is in @folder. One name that differs is enough, so that few are read. */
static gboolean
holds_only(int folder, const char *name)
{
    int copy = openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = copy < 0 ? NULL : fdopendir(copy);
    struct dirent *entry = NULL;
    gboolean only = FALSE;

    if (dir != NULL) {
        do {
            errno = 0;
            entry = readdir(dir);
        } while (entry != NULL &&
                 (g_str_equal(entry->d_name, ".") || g_str_equal(entry->d_name, "..") ||
                  g_str_equal(entry->d_name, name)));
        only = entry == NULL && errno == 0;
        closedir(dir);
    } else if (copy >= 0) {
        close(copy);
    }
    return only;
}

/* Of a folder that is the service's own: the data may be another's where this was cut off. */
static gboolean
is_kept(int folder, const char *data, guint32 *owner)
{
    struct stat st;

    if (fstatat(folder, data, &st, AT_SYMLINK_NOFOLLOW) != 0)
        return errno == ENOENT && holds_only(folder, data);
    if (st.st_uid != geteuid()) {
        *owner = st.st_uid;
        return FALSE;
    }
    return S_ISREG(st.st_mode) && st.st_nlink == 1 && holds_only(folder, data);
}

KhFolderKind
kh_instance_dir_classify(int parent, const char *name, const char *data, guint32 *owner)
{
    gboolean kept;
    struct stat st;
    int fd;

    *owner = KH_FOLDER_NO_OWNER;
    if (fstatat(parent, name, &st, AT_SYMLINK_NOFOLLOW) != 0)
        return KH_FOLDER_UNKNOWN;
    *owner = st.st_uid;
    if (!S_ISDIR(st.st_mode))
        return KH_FOLDER_UNKNOWN;
    if (g_str_has_suffix(name, KH_DIR_DELETED_SUFFIX))
        return KH_FOLDER_DELETED;
    if (st.st_uid != geteuid() || (st.st_mode & (S_IWGRP | S_IWOTH)) != 0)
        return KH_FOLDER_UNKNOWN;
    fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    kept = fd >= 0 && is_kept(fd, data, owner);
    if (fd >= 0)
        close(fd);
    return kept ? KH_FOLDER_KEPT : KH_FOLDER_UNKNOWN;
}

static gboolean
is_plain_file_of(int fd, uid_t uid)
{
    struct stat st;

    return fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_nlink == 1 && st.st_uid == uid;
}

int
kh_instance_dir_open_file(int folder, const char *name, gint64 uid, GError **error)
{
    int fd = openat(folder, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);

    if (fd < 0) {
        kh_error_set_errno(error, name, "opened");
        return -1;
    }
    if (!is_plain_file_of(fd, owner_of(uid))) {
        close(fd);
        g_set_error(error, KH_ERROR, KH_ERROR_FAILED,
                    "%s is not a plain file of the machine's user; it was left alone", name);
        return -1;
    }
    return fd;
}

char *
kh_instance_dir_read(int folder, const char *name, gint64 uid, gsize max, GError **error)
{
    int fd = kh_instance_dir_open_file(folder, name, uid, error);
    g_autofree char *text = NULL;
    ssize_t n;

    if (fd < 0)
        return NULL;
    text = g_malloc0(max + 1);
    n = pread(fd, text, max, 0);
    close(fd);
    if (n < 0) {
        kh_error_set_errno(error, name, "read");
        return NULL;
    }
    return g_steal_pointer(&text);
}

static int
create_file(int folder, const char *name, gint64 uid, GError **error)
{
    int fd = openat(folder, name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);

    if (fd < 0) {
        kh_error_set_errno(error, name, "created");
        return -1;
    }
    if (!give(fd, uid)) {
        kh_error_set_errno(error, name, "given to the machine's user");
        close(fd);
        unlinkat(folder, name, 0);
        return -1;
    }
    return fd;
}

static gboolean remove_entry(int folder, const char *name, int top, guint depth, GError **error);

/* A folder goes out of the way under a name that nobody needs, whatever it holds. */
static gboolean
set_aside(int parent, const char *name, int top)
{
    g_autofree char *aside =
        g_strdup_printf(KH_TRASH_PREFIX "%08x%08x", g_random_int(), g_random_int());

    return renameat(parent, name, top, aside) == 0;
}

/* Whatever the machine has put there. A disk that is full may have no room for another name. */
static gboolean
clear_name(int folder, const char *name, GError **error)
{
    if (unlinkat(folder, name, 0) == 0 || errno == ENOENT)
        return TRUE;
    if (errno != EISDIR && errno != EPERM)
        return fail_entry(name, "removed", error);
    if (set_aside(folder, name, folder))
        return TRUE;
    return errno == ENOSPC || errno == EDQUOT ? remove_entry(folder, name, folder, 0, error)
                                              : fail_entry(name, "moved away", error);
}

gboolean
kh_instance_dir_write(int folder, const char *name, gint64 uid, const char *text, GError **error)
{
    gsize length = strlen(text);
    gboolean written;
    int fd;

    if (!clear_name(folder, name, error))
        return FALSE;
    fd = create_file(folder, name, uid, error);
    if (fd < 0)
        return FALSE;
    written =
        kh_write_all(fd, text, length) == length || kh_error_set_errno(error, name, "written");
    close(fd);
    if (!written)
        unlinkat(folder, name, 0);
    return written;
}

gboolean
kh_instance_dir_sync_file(int folder, const char *name, gint64 uid, GError **error)
{
    int fd = kh_instance_dir_open_file(folder, name, uid, error);
    gboolean synced;

    if (fd < 0)
        return FALSE;
    synced = (fdatasync(fd) == 0 || kh_error_set_errno(error, name, "written to the disk")) &&
             sync_to_disk(folder, name, error);
    close(fd);
    return synced;
}

gboolean
kh_instance_dir_create_disk(int folder, const char *name, gint64 uid, guint64 size, GError **error)
{
    int fd = create_file(folder, name, uid, error);
    gboolean sized;

    if (fd < 0)
        return FALSE;
    sized = ftruncate(fd, (off_t)size) == 0 || kh_error_set_errno(error, name, "given its size");
    close(fd);
    if (!sized)
        unlinkat(folder, name, 0);
    return sized;
}

/* Of the socket itself, by its own descriptor: nothing else can be in its place any more. */
static int
connect_to(int place)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    g_snprintf(address.sun_path, sizeof address.sun_path, "/proc/self/fd/%d", place);
    if (fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof address) != 0) {
        int saved = errno;

        close(fd);
        errno = saved;
        return -1;
    }
    return fd;
}

static gboolean
is_socket_of(int place, uid_t uid)
{
    struct stat st;

    return fstat(place, &st) == 0 && S_ISSOCK(st.st_mode) && st.st_uid == uid;
}

static gboolean
is_served_by(int fd, uid_t uid, pid_t *pid)
{
    struct ucred peer = {0};
    socklen_t length = sizeof peer;
    gboolean known = getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &length) == 0;

    *pid = peer.pid;
    return known && peer.uid == uid;
}

int
kh_instance_dir_connect(int folder, const char *name, gint64 uid, pid_t *pid, GError **error)
{
    int place = openat(folder, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    gboolean good = place >= 0 && is_socket_of(place, owner_of(uid));
    int fd = good ? connect_to(place) : -1;

    if (good && fd < 0 && errno == ECONNREFUSED)
        g_set_error(error, KH_ERROR, KH_ERROR_NOT_FOUND, "Nobody listens on %s any more", name);
    else if (place < 0 || (good && fd < 0))
        kh_error_set_errno(error, name, "connected to");
    if (place >= 0)
        close(place);
    if (fd >= 0 && !is_served_by(fd, owner_of(uid), pid)) {
        close(fd);
        fd = -1;
        good = FALSE;
    }
    if (place >= 0 && !good)
        g_set_error(error, KH_ERROR, KH_ERROR_NOT_AUTHORIZED,
                    "%s is not a socket of the machine's user %u, served by it", name,
                    owner_of(uid));
    return fd;
}

/* A folder may have lost its mode's bits; giving them back must follow no link either. */
static int
open_removable(int parent, const char *name)
{
    g_autofree char *path = NULL;
    int place = openat(parent, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    int fd, saved;

    if (place < 0)
        return -1;
    path = g_strdup_printf("/proc/self/fd/%d", place);
    fd = chmod(path, 0700) != 0 ? -1 : openat(place, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    saved = errno;
    close(place);
    errno = saved;
    return fd;
}

int
kh_instance_dir_open_closed(int parent, const char *name, GError **error)
{
    int fd = open_removable(parent, name);

    if (fd < 0)
        fail_folder(parent, name, "opened", error);
    return fd;
}

static gboolean remove_content(int folder, int top, guint depth, const char *keep, GError **error);

/* What can be opened can be moved, too: that needs the same bits of its mode. */
static gboolean
remove_folder(int parent, const char *name, int top, guint depth, GError **error)
{
    gboolean emptied;
    int fd = open_removable(parent, name);

    if (fd < 0)
        return fail_entry(name, "opened", error);
    if (depth >= DEPTH_MAX)
        emptied = set_aside(parent, name, top) || fail_entry(name, "moved", error);
    else
        emptied = remove_content(fd, top, depth + 1, NULL, error) &&
                  (unlinkat(parent, name, AT_REMOVEDIR) == 0 || fail_entry(name, "removed", error));
    close(fd);
    return emptied;
}

static gboolean
remove_entry(int folder, const char *name, int top, guint depth, GError **error)
{
    if (unlinkat(folder, name, 0) == 0 || errno == ENOENT)
        return TRUE;
    if (errno == EISDIR || errno == EPERM)
        return remove_folder(folder, name, top, depth, error);
    return fail_entry(name, "removed", error);
}

static gboolean
remove_content(int folder, int top, guint depth, const char *keep, GError **error)
{
    g_autoptr(GPtrArray) names = names_in(folder, keep, error);

    while (names != NULL && names->len > 0) {
        for (guint i = 0; i < names->len; i++)
            if (!remove_entry(folder, names->pdata[i], top, depth, error))
                return FALSE;
        g_ptr_array_unref(names);
        names = names_in(folder, keep, error);
    }
    return names != NULL;
}

/* TRUE with *@fd -1 where there is none. It is the service's own where this was cut off before. */
static gboolean
open_kept(int folder, const char *name, gint64 uid, int *fd, GError **error)
{
    g_autoptr(GError) failure = NULL;

    *fd = kh_instance_dir_open_file(folder, name, -1, NULL);
    if (*fd < 0)
        *fd = kh_instance_dir_open_file(folder, name, uid, &failure);
    if (*fd >= 0 || g_error_matches(failure, KH_ERROR, KH_ERROR_NOT_FOUND))
        return TRUE;
    g_propagate_error(error, g_steal_pointer(&failure));
    return FALSE;
}

gboolean
kh_instance_dir_check_kept(int parent, const char *name, const char *file, gint64 uid,
                           GError **error)
{
    int folder = open_removable(parent, name), fd = -1;
    gboolean good;

    if (folder < 0)
        return errno == ENOENT || fail_folder(parent, name, "opened", error);
    good = open_kept(folder, file, uid, &fd, error);
    if (fd >= 0)
        close(fd);
    close(folder);
    return good;
}

static gboolean
take_file_back(int folder, const char *name, gint64 uid, GError **error)
{
    gboolean taken;
    int fd;

    if (!open_kept(folder, name, uid, &fd, error))
        return FALSE;
    if (fd < 0)
        return TRUE;
    taken = (fchown(fd, geteuid(), getegid()) == 0 && fchmod(fd, 0600) == 0) ||
            kh_error_set_errno(error, name, "taken back");
    taken = taken && sync_to_disk(fd, name, error);
    close(fd);
    return taken;
}

/* The folder comes last: as long as it is the machine's, so may be what lies in it. */
gboolean
kh_instance_dir_take_back(int parent, const char *name, const char *file, gint64 uid,
                          GError **error)
{
    int fd = open_removable(parent, name);
    gboolean taken;

    if (fd < 0)
        return errno == ENOENT || fail_folder(parent, name, "opened", error);
    taken = take_file_back(fd, file, uid, error);
    if (taken && fchown(fd, geteuid(), getegid()) != 0)
        taken = kh_error_set_errno(error, name, "taken back");
    taken = taken && sync_to_disk(fd, name, error);
    close(fd);
    return taken;
}

/* A folder that is to stay has lost the rest of what it held. */
static gboolean
empty(int parent, const char *name, const char *keep, GError **error)
{
    int fd = open_removable(parent, name);
    gboolean emptied;

    if (fd < 0)
        return errno == ENOENT || fail_folder(parent, name, "opened", error);
    emptied =
        remove_content(fd, fd, 0, keep, error) && (keep == NULL || sync_to_disk(fd, name, error));
    close(fd);
    return emptied;
}

gboolean
kh_instance_dir_remove(int parent, const char *name, const char *keep, GError **error)
{
    if (!empty(parent, name, keep, error))
        return FALSE;
    if (keep != NULL)
        return TRUE;
    if (unlinkat(parent, name, AT_REMOVEDIR) != 0)
        return errno == ENOENT || kh_error_set_errno(error, name, "removed");
    return parent < 0 || sync_to_disk(parent, name, error);
}

/* An older mark of the same name, whatever it is: what it held was as deleted. */
static gboolean
remove_mark(int parent, const char *name, GError **error)
{
    if (unlinkat(parent, name, 0) == 0 || errno == ENOENT)
        return TRUE;
    return kh_instance_dir_remove(parent, name, NULL, error);
}

static gboolean
mark_folder(int parent, const char *id, GError **error)
{
    g_autofree char *name = g_strconcat(id, KH_DIR_DELETED_SUFFIX, NULL);
    struct stat st;

    if (fstatat(parent, id, &st, AT_SYMLINK_NOFOLLOW) != 0)
        return errno == ENOENT || kh_error_set_errno(error, id, "marked as deleted");
    if (!S_ISDIR(st.st_mode)) {
        errno = ENOTDIR;
        return fail_folder(parent, id, "marked as deleted", error);
    }
    return remove_mark(parent, name, error) && (renameat(parent, id, parent, name) == 0 ||
                                                kh_error_set_errno(error, id, "marked as deleted"));
}

gboolean
kh_instance_dir_mark_deleted(int parent, const char *id, GError **error)
{
    return mark_folder(parent, id, error) && sync_to_disk(parent, id, error);
}
