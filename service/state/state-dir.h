/* SPDX-License-Identifier: MIT */
/*
 * The state and runtime folders of the service (design: "Modes and places"): made with
 * their modes, and both locked against a second service. Opened by the daemon before anything
 * else; asked for paths and descriptors by everyone.
 */
#pragma once

#include <gio/gio.h>

G_BEGIN_DECLS

#define KH_TYPE_STATE_DIR (kh_state_dir_get_type())
G_DECLARE_FINAL_TYPE(KhStateDir, kh_state_dir, KH, STATE_DIR, GObject)

/*
 * Makes what is missing of @path (state) and @runtime, and locks both before anything in
 * them is touched. Both must be absolute. Errors: KH_ERROR_INVALID_ARGUMENT for a path with a
 * quote, a backslash or a control character, KH_ERROR_BUSY when another service holds one for
 * more than a second, KH_ERROR_FAILED for a symbolic link to what is not there. Transfer full.
 */
KhStateDir *kh_state_dir_open(const char *path, const char *runtime, GError **error);

/*
 * Paths of the folders that were opened, without symbolic links: one may be, or lie below,
 * a link to another place. Of the state folder, the runtime folder, and the two below state.
 */
const char *kh_state_dir_get_path(KhStateDir *self);
const char *kh_state_dir_get_runtime(KhStateDir *self);
const char *kh_state_dir_get_instances(KhStateDir *self);
const char *kh_state_dir_get_images(KhStateDir *self);

/* @name in the state folder; transfer full. */
char *kh_state_dir_build(KhStateDir *self, const char *name);

/* Descriptors of state folder, "instances", "images" and runtime folder; owned by @self. */
int kh_state_dir_fd(KhStateDir *self);
int kh_state_dir_instances_fd(KhStateDir *self);
int kh_state_dir_images_fd(KhStateDir *self);
int kh_state_dir_runtime_fd(KhStateDir *self);

/*
 * Which of the folders that hold state lies on a file system that is read-only by now; NULL for
 * none. The lock is held all the same.
 */
const char *kh_state_dir_find_read_only(KhStateDir *self);

/* Whether there is none; else KH_ERROR_FAILED, with its path and what may be done. */
gboolean kh_state_dir_check_writable(KhStateDir *self, GError **error);

/*
 * Makes the runtime folder again where somebody has removed it, as a logout does; its
 * descriptor stays the same number. KH_ERROR_BUSY where another service has been faster.
 */
gboolean kh_state_dir_renew_runtime(KhStateDir *self, GError **error);

/* The largest file in bytes that its file system can hold, by statvfs and the type. */
guint64 kh_state_dir_file_max(KhStateDir *self);

G_END_DECLS
