/* SPDX-License-Identifier: MIT */
/*
 * What the parts of the manager share: manager.c, the instances and the images that they are
 * pinned to, manager-create.c and manager-configure.c. Nobody else includes it.
 */
#pragma once

#include "image/pins.h"
#include "manager.h"

G_BEGIN_DECLS

struct _KhManager {
    GObject parent_instance;
    const KhMachines *machines;
    KhStore *store;
    KhJobs *jobs;
    KhShutdown *shutdown;
    GPtrArray *instances; /* oldest first */
    GHashTable *by_name;  /* of two with one name, as damaged rows may have it, the older */
    gboolean namesakes;   /* whether there were such */
    GTree *by_id;
    KhImagePins *pins;  /* which of them are pinned to what, and what else is needed */
    GHashTable *shares; /* instance -> what it adds to the two below */
    guint running;      /* how many are */
    guint64 labels_bytes;
    GQueue creations; /* tasks at their last step, one at a time */
    KhStrangers *strangers;
};

/* The one of exactly that name; NULL for none. Owned by @self. */
KhInstance *kh_manager_find_name(KhManager *self, const char *name);

/* Makes the instance of @record, which it takes, and tells of it. Owned by @self. */
KhInstance *kh_manager_add(KhManager *self, KhRecord *record);

gboolean kh_manager_wants_default_image(const KhConfig *config);

/* KH_ERROR_NOT_FOUND unless the image of @config is there, or is the default. */
gboolean kh_manager_check_image(KhManager *self, const KhConfig *config, GError **error);

/*
 * Copies today's boot components; @callback gets the store's result and a reference to @task,
 * and releases the images when what came of it is pinned to an instance, or has come to nothing.
 */
void kh_manager_import(KhManager *self, GAsyncReadyCallback callback, GTask *task);

/*
 * Measures @config for the instance @id; as for kh_manager_import(), since nobody else uses
 * its image yet.
 */
void kh_manager_measure(KhManager *self, const KhConfig *config, const char *id,
                        GAsyncReadyCallback callback, GTask *task);

/*
 * KH_ERROR_LIMIT_EXCEEDED where the labels and descriptions of all instances would be longer,
 * with those of @config in the place of those of @before (NULL: none), than the bus could send at
 * once.
 */
gboolean kh_manager_check_labels(KhManager *self, const KhConfig *config, const KhConfig *before,
                                 GError **error);

/* The instance @id has been deleted: whatever the last look has found, no folder of it is missed.
 */
void kh_manager_forget_missing(KhManager *self, const char *id);

void kh_manager_set_default_image(KhManager *self, const char *image);

/*
 * KH_ERROR_INVALID_STATE where the database has been lost, as it seems: machines live that it
 * does not know, or it is empty beside folders of instances, and nobody has adopted that.
 */
gboolean kh_manager_check_database(KhManager *self, GError **error);

G_END_DECLS
