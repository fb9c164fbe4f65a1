/* SPDX-License-Identifier: MIT */
/*
 * The two folders of an instance, whose contents QEMU may have changed in any way: all is
 * done relative to their descriptors, no link is followed, nothing found is opened.
 * Called by shim-run.c, shim-log.c and shim-boots.c.
 */
#pragma once

#include <sys/stat.h>

#include "shim-error.h"

/*
 * Opens a folder, not through a link. -1 with errno. Tried before the drop of rights (a
 * parent may be closed to the VM's user) and after it (root without CAP_DAC_OVERRIDE
 * cannot open a 0700 folder of another user).
 */
int kh_shim_folder_open(const char *path);

/* Checks that the folder is the process's own and closed to others. */
bool kh_shim_folder_check(int folder, const char *path, KhShimError *error);

/* Opens a regular file read-only without waiting; follows links, the path is the service's. */
int kh_shim_open_component(const char *path, KhShimError *error);

/*
 * Takes away what `name` is; a folder that is not empty is set aside (shim-trash.h), so that this
 * takes no time. True when nothing of that name is left, else false with errno.
 */
bool kh_shim_remove(int folder, const char *name);

/* Says, after kh_shim_remove() has failed, what lies there, why it stays, and what to do. */
bool kh_shim_fail_in_the_way(int folder, const char *name, KhShimError *error);

/* Creates a new 0600 file for appending, in place of whatever has the name. -1 with errno. */
int kh_shim_create(int folder, const char *name);

/* Renames within or between folders, removing what is in the way. */
bool kh_shim_move(int from, const char *name, int to, const char *target);

/* True when the status is a regular file of this process's user with one link. */
bool kh_shim_is_own_file(const struct stat *status);

/*
 * A listening socket (0600, close-on-exec, not blocking) with that name in the folder, in
 * place of whatever has the name. Changes the working directory to the folder.
 */
int kh_shim_listen(int folder, const char *name, KhShimError *error);

/*
 * Accepts one connection, from `service_uid` or root only: -1 for any other and when there
 * is none. Never blocks.
 */
int kh_shim_accept(int listener, uid_t service_uid);
