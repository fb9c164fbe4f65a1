/* SPDX-License-Identifier: MIT */
/*
 * Safe access to an instance's folders. QEMU may rename, link and connect there, so
 * every name in them is hostile: nothing is opened but relative to a descriptor and
 * without following links, nothing is created but with O_EXCL. Used by the instance,
 * the log reader and the launcher.
 */
#pragma once

#include <glib.h>
#include <sys/types.h>

G_BEGIN_DECLS

/* What is to be removed is called so, in a folder that is the service's own. */
#define KH_DIR_DELETED_SUFFIX ".deleted"

/*
 * Makes the folder @name (0700) in @parent, owned by @uid (-1: the service's own), and makes it
 * known to the disk: after a power cut it is there.
 */
gboolean kh_instance_dir_create(int parent, const char *name, gint64 uid, GError **error);

typedef enum {
    KH_FOLDER_UNKNOWN, /* of an instance, or it cannot be looked at */
    KH_FOLDER_KEPT,    /* the service's own, with at most a plain file of data of its own */
    KH_FOLDER_DELETED, /* marked by kh_instance_dir_mark_deleted() */
} KhFolderKind;

/* Of what cannot be looked at. */
#define KH_FOLDER_NO_OWNER ((guint32)-1)

/*
 * What the folder @name in @parent is by itself, data being called @data: by its name, its owner
 * and the names in it, of which few are read. @owner gets whose it is, or else its data are.
 */
KhFolderKind kh_instance_dir_classify(int parent, const char *name, const char *data,
                                      guint32 *owner);

/*
 * Gives the folder @id in @parent the name of what is to be removed, and makes that known to the
 * disk. It is no error that it has it already, or that there is none; what has that name from
 * before goes with all it holds, which may take long. What is no folder is an error.
 */
gboolean kh_instance_dir_mark_deleted(int parent, const char *id, GError **error);

/* Opens the folder @name in @parent; -1 and @error (KH_ERROR_NOT_FOUND, FAILED). */
int kh_instance_dir_open(int parent, const char *name, GError **error);

/* The same, and closes it to others (0700), whatever mode the machine has given to it. */
int kh_instance_dir_open_closed(int parent, const char *name, GError **error);

/*
 * Opens the regular file @name in @folder for reading. What is no regular file, has a
 * second link, or belongs to another than @uid (-1: the service's own) is refused.
 */
int kh_instance_dir_open_file(int folder, const char *name, gint64 uid, GError **error);

/* Reads at most @max bytes of such a file; transfer full, NUL-terminated. */
char *kh_instance_dir_read(int folder, const char *name, gint64 uid, gsize max, GError **error);

/*
 * Connects to the socket @name, without waiting: one with a full queue is an error, try
 * again. What is no socket of @uid (-1: the service's own), or is served by another user, is
 * refused (KH_ERROR_NOT_AUTHORIZED). KH_ERROR_NOT_FOUND only where there is none, or nobody
 * serves it; else RESOURCE_UNAVAILABLE, FAILED. @pid gets who serves it.
 */
int kh_instance_dir_connect(int folder, const char *name, gint64 uid, pid_t *pid, GError **error);

/*
 * Replaces @name, whatever it is, by a new file (0600) of @uid with that content. A folder that
 * was there is set aside (trash-name.h), for the machine's shim to remove.
 */
gboolean kh_instance_dir_write(int folder, const char *name, gint64 uid, const char *text,
                               GError **error);

/* What is in the file @name of @uid, and that it is there, is made known to the disk. */
gboolean kh_instance_dir_sync_file(int folder, const char *name, gint64 uid, GError **error);

/* Makes the sparse file @name (0600) of @uid with @size bytes; it must not exist. */
gboolean kh_instance_dir_create_disk(int folder, const char *name, gint64 uid, guint64 size,
                                     GError **error);

/* Whether kh_instance_dir_take_back() would take that file; it is asked before others go. */
gboolean kh_instance_dir_check_kept(int parent, const char *name, const char *file, gint64 uid,
                                    GError **error);

/*
 * Gives the folder @name in @parent, and the plain file @file of @uid in it, to the service's
 * own user (0700, 0600), and makes that known to the disk. What is no such file is left as it is,
 * and is an error; absent ones are none.
 */
gboolean kh_instance_dir_take_back(int parent, const char *name, const char *file, gint64 uid,
                                   GError **error);

/*
 * Removes the folder @name in @parent with all it holds, following no link. With @keep the
 * folder and what has that name in it stay. An absent folder is no error. That it has gone is
 * known to the disk. May take long: call it in a thread.
 */
gboolean kh_instance_dir_remove(int parent, const char *name, const char *keep, GError **error);

G_END_DECLS
