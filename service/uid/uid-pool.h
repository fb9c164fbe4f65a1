/* SPDX-License-Identifier: MIT */
/*
 * Gives each instance a uid of its own, host-wide: kept in the state database, claimed
 * by a lock file that every service on the host respects. Used by the manager (claim at
 * create, release at delete, confirm at start-up). Absent when the service is not root.
 */
#pragma once

#include <gio/gio.h>

#include "model/ranges.h"
#include "state/store.h"
#include "uid-processes.h"

G_BEGIN_DECLS

/* Shared by all services of the host, whatever their state folder. */
#define KH_UID_LOCK_FOLDER "/run/katana-hypervisor/uids"

/* Whether the text of a /proc/PID/uid_map covers @range (user_namespaces(7)). */
gboolean kh_uid_range_is_mapped(const KhUidRange *range, const char *uid_map);

#define KH_TYPE_UID_POOL (kh_uid_pool_get_type())
G_DECLARE_FINAL_TYPE(KhUidPool, kh_uid_pool, KH, UID_POOL, GObject)

/*
 * @lock_folder is made with 0700 when it is missing; @owner, the state folder's path, is
 * written into the lock files, and @owner_fd, the folder itself, tells by which of them it is
 * meant: it may have been moved, or be reached through links. The descriptor is duplicated.
 * KH_ERROR_FAILED when this process's user namespace does not map the whole range. Transfer
 * full.
 */
KhUidPool *kh_uid_pool_new(KhStore *store, const KhUidRange *range, const char *lock_folder,
                           const char *owner, int owner_fd, GError **error);

/*
 * Looks at all processes of the host, in a thread, for kh_uid_pool_claim(): the more there are,
 * the longer it takes. One look serves all who have asked before it began. Finishes with what
 * kh_uids_of_processes() has found; transfer full.
 */
void kh_uid_pool_look_async(KhUidPool *self, GAsyncReadyCallback callback, gpointer user_data);
GHashTable *kh_uid_pool_look_finish(KhUidPool *self, GAsyncResult *result);

/*
 * Claims a uid that no instance has, no lock file names and no process runs as: one never
 * used before any other, then the one free for longest. @running is a look that began after it
 * was known that one is needed. What has come under a uid since then is found all the same where
 * it is its real one (kh_uids_include()), as it is of all that a machine has ever started; and
 * no other service starts a machine under a uid that it has not claimed. -1 and
 * KH_ERROR_LIMIT_EXCEEDED, or RESOURCE_UNAVAILABLE where the processes cannot be looked at.
 */
gint64 kh_uid_pool_claim(KhUidPool *self, GHashTable *running, GError **error);

/*
 * Makes the claim of a uid that the database holds good again after a reboot, or after the
 * state folder was moved. KH_ERROR_RESOURCE_UNAVAILABLE when another service has taken it.
 */
gboolean kh_uid_pool_confirm(KhUidPool *self, guint32 uid, GError **error);

/* Gives up the claim of @uid, which has become free in the database, or has not come to be there.
 */
void kh_uid_pool_release(KhUidPool *self, guint32 uid);

/* Whether the claim of @uid is another service's whose state folder is there, and no doubt. */
gboolean kh_uid_pool_is_foreign(KhUidPool *self, guint32 uid);

/*
 * From now on @uids (as pointers) are not given out: they own what is not known. Instead of
 * those of an earlier call; NULL for none.
 */
void kh_uid_pool_spare(KhUidPool *self, GHashTable *uids);

/*
 * Drops claims of ours that belong to no row, neither to @spared (uids as pointers, or NULL) nor
 * to a process: a service was killed between the two. At start-up, before any claim.
 */
void kh_uid_pool_drop_leaked(KhUidPool *self, GHashTable *spared);

G_END_DECLS
