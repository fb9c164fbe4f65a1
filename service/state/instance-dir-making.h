/* SPDX-License-Identifier: MIT */
/*
 * What the service makes in an instance's folders: nothing but with O_EXCL, since every name in
 * them is hostile (instance-dir.h). Used by the manager, the preparation of a machine and the
 * store of images.
 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/*
 * Makes the folder @name (0700) in @parent, owned by @uid (-1: the service's own), and makes it
 * known to the disk: after a power cut it is there.
 */
gboolean kh_instance_dir_create(int parent, const char *name, gint64 uid, GError **error);

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

G_END_DECLS
