/* SPDX-License-Identifier: MIT */
/*
 * One set of boot components, named by its content: the SHA-256 over the lines
 * "PART SHA256\n" of vmlinuz, initrd.img and ovmf.fd, in that order, absent ones left
 * out. Made by the image store; read by the instance and the bus object.
 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

#define KH_IMAGE_KERNEL "vmlinuz"
#define KH_IMAGE_INITRD "initrd.img"
#define KH_IMAGE_FIRMWARE "ovmf.fd"
#define KH_IMAGE_BUILD_INFO "build-info.txt"
#define KH_IMAGE_MANIFEST "parts"

typedef struct {
    char *name;
    guint64 size; /* bytes */
    char *sha256; /* hex */
} KhImagePart;

typedef struct {
    char *id;
    GPtrArray *parts;       /* of KhImagePart */
    GHashTable *build_info; /* what build-info.txt says: key to value */
} KhImage;

KhImage *kh_image_new(void);
void kh_image_free(KhImage *image);

void kh_image_add_part(KhImage *image, const char *name, guint64 size, const char *sha256);

/* The part called @name; NULL when there is none. */
const KhImagePart *kh_image_part(const KhImage *image, const char *name);

/* Computes the id of the parts that @image has; transfer full. */
char *kh_image_compute_id(const KhImage *image);

/* "SHA256 SIZE PART\n" for each part: the content of the file "parts". Transfer full. */
char *kh_image_to_manifest(const KhImage *image);

/*
 * Reads such a file, at most a few KiB. KH_ERROR_INTEGRITY_MISMATCH unless its parts
 * give the id @id. Transfer full.
 */
KhImage *kh_image_from_manifest(const char *id, const char *text, GError **error);

/* Takes the lines KEY=VALUE of build-info.txt, bounded and made harmless. */
void kh_image_read_build_info(KhImage *image, const char *text);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(KhImage, kh_image_free)

G_END_DECLS
