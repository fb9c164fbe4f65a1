/* SPDX-License-Identifier: MIT */
/*
 * Gives each instance a uid of its own, host-wide: kept in the state database, claimed
 * by a lock file that every service on the host respects. Used by the manager (claim at
 * create, release at delete, confirm at start-up). Absent when the service is not root.
 */
#pragma once

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
 * Claims a uid that no instance has, no lock file names and no process runs as: one never
 * used before any other, then the one free for longest. -1 and KH_ERROR_LIMIT_EXCEEDED, or
 * RESOURCE_UNAVAILABLE where the processes cannot be looked at.
 */
gint64 kh_uid_pool_claim(KhUidPool *self, GError **error);

/*
 * Makes the claim of a uid that the database holds good again after a reboot, or after the
 * state folder was moved. KH_ERROR_RESOURCE_UNAVAILABLE when another service has taken it.
 */
gboolean kh_uid_pool_confirm(KhUidPool *self, guint32 uid, GError **error);

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
