/* SPDX-License-Identifier: MIT */
/*
 * Boot components kept by content in <state>/images/<id>/ (0755, files 0444). The
 * manager imports the configured ones at each create and pins the instance to them; the
 * instance has its image checked before every start. Copying and hashing run in threads.
 */
#pragma once

#include <gio/gio.h>

#include "image.h"

G_BEGIN_DECLS

#define KH_TYPE_IMAGE_STORE (kh_image_store_get_type())
G_DECLARE_FINAL_TYPE(KhImageStore, kh_image_store, KH, IMAGE_STORE, GObject)

/*
 * Reads the images below @images_fd (@path is its name, for messages). One that cannot
 * be read is left out with a warning. Signals: "added" and "removed", each with the id.
 */
KhImageStore *kh_image_store_new(int images_fd, const char *path);

/* The image @id, owned by the store; NULL when there is none. */
const KhImage *kh_image_store_find(KhImageStore *self, const char *id);

/* Every id; transfer container. */
GPtrArray *kh_image_store_list(KhImageStore *self);

/* The folder of the image @id; transfer full. */
char *kh_image_store_folder(KhImageStore *self, const char *id);

/*
 * Takes the parts of @folder in, unless they look as they did when they were taken in; an
 * image of the same id that has been changed is replaced. Finishes with the id, transfer full.
 * Errors: KH_ERROR_RESOURCE_UNAVAILABLE (a part is missing, empty or no file; no room), FAILED.
 */
void kh_image_store_import_async(KhImageStore *self, const char *folder, GCancellable *cancellable,
                                 GAsyncReadyCallback callback, gpointer user_data);
char *kh_image_store_import_finish(KhImageStore *self, GAsyncResult *result, GError **error);

/*
 * Hashes the image @id again. KH_ERROR_INTEGRITY_MISMATCH names the part and both
 * hashes, or a part that is gone; the next import mends either.
 */
void kh_image_store_verify_async(KhImageStore *self, const char *id, GCancellable *cancellable,
                                 GAsyncReadyCallback callback, gpointer user_data);
gboolean kh_image_store_verify_finish(KhImageStore *self, GAsyncResult *result, GError **error);

/* Removes an image that nobody uses, files and all. */
void kh_image_store_remove(KhImageStore *self, const char *id);

G_END_DECLS
