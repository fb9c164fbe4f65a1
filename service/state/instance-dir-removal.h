/* SPDX-License-Identifier: MIT */
/*
 * How folders of an instance go: removed with all that a machine has put there, marked as
 * deleted before that, or emptied but for the data that their owner keeps. Used by the deletion
 * of instances and images, and by the manager for what was left over.
 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* What is to be removed is called so, in a folder that is the service's own. */
#define KH_DIR_DELETED_SUFFIX ".deleted"

/*
 * Removes the folder @name in @parent with all it holds, following no link. With @keep the
 * folder and what has that name in it stay. An absent folder is no error. That it has gone is
 * known to the disk. May take long: call it in a thread.
 */
gboolean kh_instance_dir_remove(int parent, const char *name, const char *keep, GError **error);

/*
 * Removes the name, whatever it is. A folder that was there is set aside (trash-name.h), for the
 * machine's shim to remove.
 */
gboolean kh_instance_dir_clear(int folder, const char *name, GError **error);

/*
 * Gives the folder @id in @parent the name of what is to be removed, and makes that known to the
 * disk. It is no error that it has it already, or that there is none; what has that name from
 * before goes with all it holds, which may take long. What is no folder is an error.
 */
gboolean kh_instance_dir_mark_deleted(int parent, const char *id, GError **error);

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

G_END_DECLS
