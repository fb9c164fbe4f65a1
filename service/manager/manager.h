/* SPDX-License-Identifier: MIT */
/*
 * All instances: creates, finds and forgets them. Knows nothing of the bus; the manager's
 * bus object calls it and exports what it adds.
 */
#pragma once

#include "confidential/confidential.h"
#include "instance/instance.h"
#include "start-progress.h"
#include "strangers.h"

G_BEGIN_DECLS

#define KH_TYPE_MANAGER (kh_manager_get_type())
G_DECLARE_FINAL_TYPE(KhManager, kh_manager, KH, MANAGER, GObject)

/*
 * Signals: "added" and "removed" (KhInstance), "changed" (counts or default image),
 * "image-users" (an image's id: others are pinned to it; after what has changed that).
 */
KhManager *kh_manager_new(const KhMachines *machines, KhStore *store, KhJobs *jobs,
                          KhShutdown *shutdown);

/* Makes an instance of every row of the store, and touches nothing; once. */
gboolean kh_manager_load(KhManager *self, KhStartProgress *progress, GError **error);

/*
 * Goes on where the service before this one ended: follows machines, rolls back a create that
 * was cut off, drops what has been leaked. Once, when nobody else can be at it: with the
 * folders locked and the bus name owned.
 */
void kh_manager_take_over(KhManager *self, KhStartProgress *progress);

/*
 * Creates the instance @name for @owner_uid, pinned to today's boot components; finishes
 * with it (transfer full). A failure leaves nothing behind. Errors: those of
 * kh_name_check(), kh_config_new(), kh_store_insert(), confidential.h, the image store and the
 * registries.
 */
void kh_manager_create_async(KhManager *self, const char *name, GVariant *config,
                             const KhOverrides *overrides, guint32 owner_uid,
                             GAsyncReadyCallback callback, gpointer user_data);
KhInstance *kh_manager_create_finish(KhManager *self, GAsyncResult *result, GError **error);

/*
 * Checks as create does, without changing anything; @name may be "". The whole
 * configuration (a{sv}), with the port it would get; transfer full.
 */
GVariant *kh_manager_validate(KhManager *self, const char *name, GVariant *config, GError **error);

/*
 * Whether @changes (a{sv}, unchecked) move where @instance is reached, or what answers there,
 * and it is reached from beyond this host, or reaches beyond it, now or after its next start.
 */
gboolean kh_manager_change_is_exposed(KhInstance *instance, GVariant *changes);

/*
 * Changes the configuration of @instance by @changes (a{sv}): all of them or nothing.
 * @may_expose: @caller, a uid, has the action "expose"; what comes to need it on the way is refused
 * without. Errors: those of create, KH_ERROR_NOT_FOUND (image), NOT_SUPPORTED (storage-bytes of
 * a disk that has its file system), BUSY (another change came in between).
 */
void kh_manager_configure_async(KhManager *self, KhInstance *instance, GVariant *changes,
                                gboolean may_expose, guint32 caller, GAsyncReadyCallback callback,
                                gpointer user_data);
gboolean kh_manager_configure_finish(KhManager *self, GAsyncResult *result, GError **error);

/*
 * By exact name, else id, else a prefix of an id of at least 4 digits. KH_ERROR_NOT_FOUND;
 * ALREADY_EXISTS where a prefix fits several. Owned by the manager.
 */
KhInstance *kh_manager_find(KhManager *self, const char *name_or_id, GError **error);

/* By nothing but its id: any name may be another's id. NULL for none. Owned by the manager. */
KhInstance *kh_manager_find_id(KhManager *self, const char *id);

/* All, oldest first: GPtrArray of KhInstance, owned by the manager. */
GPtrArray *kh_manager_list(KhManager *self);

/* Those pinned to @image. Owned by the manager; NULL for none. */
const GPtrArray *kh_manager_users_of_image(KhManager *self, const char *image);

/* What a new instance was last pinned to; NULL before the first. Owned by @self. */
const char *kh_manager_get_default_image(KhManager *self);

/* What there is of no row, as of the last look: NULL before the first. Owned by @self. */
const KhStrangers *kh_manager_get_strangers(KhManager *self);

/* The same after a look; "changed" is emitted. */
const KhStrangers *kh_manager_find_strangers(KhManager *self);

/* An administrator says that what is there of no row is to be lived with: create goes on. */
gboolean kh_manager_adopt_strangers(KhManager *self, GError **error);

guint kh_manager_count_running(KhManager *self);

G_END_DECLS
