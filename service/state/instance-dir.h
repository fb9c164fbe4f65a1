/* SPDX-License-Identifier: MIT */
/*
 * Safe access to an instance's folders. QEMU may rename, link and connect there, so every name
 * in them is hostile: nothing is opened but relative to a descriptor and without following links.
 * Used by the instance, the log reader and the launcher; what is made and removed there:
 * instance-dir-making.h, instance-dir-removal.h.
 */
#pragma once

#include <glib.h>
#include <sys/types.h>

G_BEGIN_DECLS

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

/* What is in the file or folder @fd, called @name, is made known to the disk. */
gboolean kh_instance_dir_sync(int fd, const char *name, GError **error);

/*
 * "@name cannot be @doing: " and what errno says, of a name in @parent that need not even be text;
 * a link in the place of a folder is told with its path. FALSE, to be returned.
 */
gboolean kh_instance_dir_fail(int parent, const char *name, const char *doing, GError **error);

G_END_DECLS
