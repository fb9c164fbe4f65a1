/* SPDX-License-Identifier: MIT */
/* One image as it lies on the disk; see image-folder.h. */
#include "image-folder.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "auto-fd.h"
#include "error.h"
#include "hash.h"
#include "state/instance-dir.h"

#define TEXT_MAX (64 * 1024)

static char *
read_text(int folder, const char *name, GError **error)
{
    return kh_instance_dir_read(folder, name, -1, TEXT_MAX, error);
}

KhImage *
kh_image_folder_load(int images_fd, const char *id, GError **error)
{
    g_autofree char *manifest = NULL, *info = NULL;
    g_autoptr(KhImage) image = NULL;
    g_auto(KhFd) folder = kh_instance_dir_open(images_fd, id, error);

    if (folder < 0)
        return NULL;
    manifest = read_text(folder, KH_IMAGE_MANIFEST, error);
    info = manifest == NULL ? NULL : read_text(folder, KH_IMAGE_BUILD_INFO, NULL);
    if (manifest == NULL)
        return NULL;
    image = kh_image_from_manifest(id, manifest, error);
    if (image != NULL && info != NULL)
        kh_image_read_build_info(image, info);
    return g_steal_pointer(&image);
}

static gboolean
verify_part(int folder, const char *id, const KhImagePart *part, GError **error)
{
    g_autofree char *sha256 = NULL;
    guint64 size;
    g_auto(KhFd) fd = kh_instance_dir_open_file(folder, part->name, -1, error);

    if (fd < 0) {
        g_prefix_error(error, "The image %s is incomplete: ", id);
        if (g_error_matches(*error, KH_ERROR, KH_ERROR_NOT_FOUND))
            (*error)->code = KH_ERROR_INTEGRITY_MISMATCH;
        return FALSE;
    }
    sha256 = kh_hash_fd(fd, &size, error);
    if (sha256 == NULL)
        return FALSE;
    if (g_str_equal(sha256, part->sha256))
        return TRUE;
    return kh_error_set(
        error, KH_ERROR_INTEGRITY_MISMATCH,
        "The boot component %s of the image %s has been changed: its SHA-256 is %s, the "
        "instance was pinned to %s",
        part->name, id, sha256, part->sha256);
}

/* The whole of it, or its list of parts; takes @reason. */
static gboolean
refuse_missing(int images_fd, const char *id, GError *reason, GError **error)
{
    g_autoptr(GError) owned = reason;
    gboolean gone = faccessat(images_fd, id, F_OK, AT_SYMLINK_NOFOLLOW) != 0 && errno == ENOENT;

    if (!g_error_matches(reason, KH_ERROR, KH_ERROR_NOT_FOUND))
        g_propagate_error(error, g_steal_pointer(&owned));
    else if (gone)
        g_set_error(error, KH_ERROR, KH_ERROR_RESOURCE_UNAVAILABLE,
                    "The folder of the image %s is not there; put it back, or take today's boot "
                    "components with image=default",
                    id);
    else
        g_set_error(error, KH_ERROR, KH_ERROR_INTEGRITY_MISMATCH, "The image %s is incomplete: %s",
                    id, reason->message);
    return FALSE;
}

gboolean
kh_image_folder_verify(int images_fd, const char *id, GError **error)
{
    GError *reason = NULL;
    g_autoptr(KhImage) image = kh_image_folder_load(images_fd, id, &reason);
    g_auto(KhFd) folder = image == NULL ? -1 : kh_instance_dir_open(images_fd, id, &reason);
    gboolean same = folder >= 0;

    if (folder < 0)
        return refuse_missing(images_fd, id, reason, error);
    for (guint i = 0; same && i < image->parts->len; i++)
        same = verify_part(folder, id, image->parts->pdata[i], error);
    return same;
}
