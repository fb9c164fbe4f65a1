/* SPDX-License-Identifier: MIT */
/*
 * One import of boot components: copies the parts into a temporary folder, hashes the copies, and
 * renames the folder to the id that they give: so what was hashed is what is kept, whatever
 * happens to the source meanwhile. Made by the image store, carried out in a thread.
 */
#pragma once

#include "image.h"

G_BEGIN_DECLS

/* Of all that is no image, but is to become one, or was one. */
#define KH_IMAGE_IMPORT_PREFIX ".import-"

typedef struct _KhImageImport KhImageImport;

/*
 * From @folder into the one of @images_fd, which outlives it. KH_ERROR_RESOURCE_UNAVAILABLE names
 * what is not there.
 */
KhImageImport *kh_image_import_new(int images_fd, const char *folder, GError **error);
void kh_image_import_free(KhImageImport *self);

/* What tells whether a source has changed since it was hashed; owned by @self. */
const char *kh_image_import_get_looks(const KhImageImport *self);

/* Copies; blocks. The id, owned by @self, or NULL and nothing is left. */
const char *kh_image_import_run(KhImageImport *self, GError **error);

/* A name below the images for what is no image. Transfer full. */
char *kh_image_import_build_name(void);

G_END_DECLS
