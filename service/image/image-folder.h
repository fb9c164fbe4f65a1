/* SPDX-License-Identifier: MIT */
/*
 * One image as it lies on the disk, in the folder of its id: its manifest, and whether its parts
 * are what that says. Used by the image store and by imports, in any thread.
 */
#pragma once

#include "image.h"

G_BEGIN_DECLS

/* What the manifest of the image @id below @images_fd says. Transfer full. */
KhImage *kh_image_folder_load(int images_fd, const char *id, GError **error);

/*
 * Reads the manifest anew, and each part. KH_ERROR_INTEGRITY_MISMATCH names the part that has been
 * changed, KH_ERROR_RESOURCE_UNAVAILABLE an image that is not there.
 */
gboolean kh_image_folder_verify(int images_fd, const char *id, GError **error);

G_END_DECLS
