/* SPDX-License-Identifier: MIT */
/* How folders of an instance go, and what is found of those; see instance-dir-removal.h. */
#include "instance-dir-removal.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#include "auto-fd.h"
#include "error.h"
#include "instance-dir.h"
#include "trash-name.h"

/* Deeper folders are lifted to the top and removed from there. */
#define DEPTH_MAX 32
/* What is held of a folder's names at once; an attacker may have made any number. */
#define NAMES_MAX 16384

/* --- what is in a folder -------------------------------------------------------------- */

static DIR *
open_names(int folder)
{
    g_auto(KhFd) copy = openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = copy < 0 ? NULL : fdopendir(copy);

    if (dir != NULL)
        copy = -1; /* is the DIR's */
    return dir;
}

/* NULL after the last, or with an errno where they cannot be read on. */
static const char *
next_name(DIR *dir)
{
    const struct dirent *entry;

    do {
        errno = 0;
        entry = readdir(dir);
    } while (entry != NULL &&
             (g_str_equal(entry->d_name, ".") || g_str_equal(entry->d_name, "..")));
    return entry == NULL ? NULL : entry->d_name;
}

/* Names of one pass; what is beyond them, and lifted folders, turn up in the next. */
static GPtrArray *
names_in(int folder, const char *keep, GError **error)
{
    GPtrArray *names;
    DIR *dir = open_names(folder);
    const char *name;

    if (dir == NULL) {
        kh_error_set_errno(error, "What is in the folder", "read");
        return NULL;
    }
    names = g_ptr_array_new_with_free_func(g_free);
    while (names->len < NAMES_MAX && (name = next_name(dir)) != NULL)
        if (g_strcmp0(name, keep) != 0)
            g_ptr_array_add(names, g_strdup(name));
    closedir(dir);
    return names;
}

/* Whether nothing else is in @folder. One name that differs is enough, so that few are read. */
static gboolean
holds_only(int folder, const char *name)
{
    DIR *dir = open_names(folder);
    const char *other;
    gboolean only;

    if (dir == NULL)
        return FALSE;
    while ((other = next_name(dir)) != NULL && g_str_equal(other, name))
        ;
    only = other == NULL && errno == 0;
    closedir(dir);
    return only;
}

/* --- removal -------------------------------------------------------------------------- */

static gboolean remove_content(int folder, int top, guint depth, const char *keep, GError **error);

/* A folder goes out of the way under a name that nobody needs, whatever it holds. */
static gboolean
set_aside(int parent, const char *name, int top)
{
    g_autofree char *aside =
        g_strdup_printf(KH_TRASH_PREFIX "%08x%08x", g_random_int(), g_random_int());

    return renameat(parent, name, top, aside) == 0;
}

/* What can be opened can be moved, too: that needs the same bits of its mode. */
static gboolean
remove_folder(int parent, const char *name, int top, guint depth, GError **error)
{
    g_auto(KhFd) fd = kh_instance_dir_open_closed(parent, name, error);

    if (fd < 0)
        return FALSE;
    if (depth >= DEPTH_MAX)
        return set_aside(parent, name, top) || kh_instance_dir_fail(parent, name, "moved", error);
    return remove_content(fd, top, depth + 1, NULL, error) &&
           (unlinkat(parent, name, AT_REMOVEDIR) == 0 ||
            kh_instance_dir_fail(parent, name, "removed", error));
}

static gboolean
remove_entry(int folder, const char *name, int top, guint depth, GError **error)
{
    if (unlinkat(folder, name, 0) == 0 || errno == ENOENT)
        return TRUE;
    if (errno == EISDIR || errno == EPERM)
        return remove_folder(folder, name, top, depth, error);
    return kh_instance_dir_fail(folder, name, "removed", error);
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

/* Whatever the machine has put there. A disk that is full may have no room for another name. */
gboolean
kh_instance_dir_clear(int folder, const char *name, GError **error)
{
    if (unlinkat(folder, name, 0) == 0 || errno == ENOENT)
        return TRUE;
    if (errno != EISDIR && errno != EPERM)
        return kh_instance_dir_fail(folder, name, "removed", error);
    if (set_aside(folder, name, folder))
        return TRUE;
    return errno == ENOSPC || errno == EDQUOT
               ? remove_entry(folder, name, folder, 0, error)
               : kh_instance_dir_fail(folder, name, "moved away", error);
}

/* Takes @failure, or NULL; that something is not there is no error. */
static gboolean
excuse_absent(GError *failure, GError **error)
{
    g_autoptr(GError) owned = failure;

    if (failure == NULL || g_error_matches(failure, KH_ERROR, KH_ERROR_NOT_FOUND))
        return TRUE;
    g_propagate_error(error, g_steal_pointer(&owned));
    return FALSE;
}

/* A folder that is to stay has lost the rest of what it held. */
static gboolean
empty(int parent, const char *name, const char *keep, GError **error)
{
    g_autoptr(GError) failure = NULL;
    g_auto(KhFd) fd = kh_instance_dir_open_closed(parent, name, &failure);

    if (fd < 0)
        return excuse_absent(g_steal_pointer(&failure), error);
    return remove_content(fd, fd, 0, keep, error) &&
           (keep == NULL || kh_instance_dir_sync(fd, name, error));
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
    return parent < 0 || kh_instance_dir_sync(parent, name, error);
}

/* --- marks ---------------------------------------------------------------------------- */

static gboolean
mark_folder(int parent, const char *id, GError **error)
{
    g_autofree char *name = g_strconcat(id, KH_DIR_DELETED_SUFFIX, NULL);
    struct stat st;

    if (fstatat(parent, id, &st, AT_SYMLINK_NOFOLLOW) != 0)
        return errno == ENOENT || kh_error_set_errno(error, id, "marked as deleted");
    if (!S_ISDIR(st.st_mode)) {
        errno = ENOTDIR;
        return kh_instance_dir_fail(parent, id, "marked as deleted", error);
    }
    /* An older mark of the same name, whatever it is: what it held was as deleted. */
    return (unlinkat(parent, name, 0) == 0 || kh_instance_dir_remove(parent, name, NULL, error)) &&
           (renameat(parent, id, parent, name) == 0 ||
            kh_error_set_errno(error, id, "marked as deleted"));
}

gboolean
kh_instance_dir_mark_deleted(int parent, const char *id, GError **error)
{
    return mark_folder(parent, id, error) && kh_instance_dir_sync(parent, id, error);
}

/* --- data that stay ------------------------------------------------------------------- */

/* TRUE with *@fd -1 where there is none. It is the service's own where this was cut off before. */
static gboolean
open_kept(int folder, const char *name, gint64 uid, KhFd *fd, GError **error)
{
    g_autoptr(GError) failure = NULL;

    *fd = kh_instance_dir_open_file(folder, name, -1, NULL);
    if (*fd < 0)
        *fd = kh_instance_dir_open_file(folder, name, uid, &failure);
    return excuse_absent(g_steal_pointer(&failure), error);
}

gboolean
kh_instance_dir_check_kept(int parent, const char *name, const char *file, gint64 uid,
                           GError **error)
{
    g_autoptr(GError) failure = NULL;
    g_auto(KhFd) folder = kh_instance_dir_open_closed(parent, name, &failure);
    g_auto(KhFd) fd = -1;

    return folder < 0 ? excuse_absent(g_steal_pointer(&failure), error)
                      : open_kept(folder, file, uid, &fd, error);
}

static gboolean
take_back(int fd, mode_t mode, const char *name, GError **error)
{
    return ((fchown(fd, geteuid(), getegid()) == 0 && fchmod(fd, mode) == 0) ||
            kh_error_set_errno(error, name, "taken back")) &&
           kh_instance_dir_sync(fd, name, error);
}

/* The folder comes last: as long as it is the machine's, so may be what lies in it. */
gboolean
kh_instance_dir_take_back(int parent, const char *name, const char *file, gint64 uid,
                          GError **error)
{
    g_autoptr(GError) failure = NULL;
    g_auto(KhFd) folder = kh_instance_dir_open_closed(parent, name, &failure);
    g_auto(KhFd) fd = -1;

    if (folder < 0)
        return excuse_absent(g_steal_pointer(&failure), error);
    return open_kept(folder, file, uid, &fd, error) &&
           (fd < 0 || take_back(fd, 0600, file, error)) && take_back(folder, 0700, name, error);
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
    g_auto(KhFd) fd = -1;
    struct stat st;

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
    fd = kh_instance_dir_open(parent, name, NULL);
    return fd >= 0 && is_kept(fd, data, owner) ? KH_FOLDER_KEPT : KH_FOLDER_UNKNOWN;
}
