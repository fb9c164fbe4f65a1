/* SPDX-License-Identifier: MIT */
/*
 * A firmware image (OVMF) as SEV-SNP measures it: its pages, and what its tables say of the
 * memory that the monitor has to fill. The image is hostile. Used by measurement.c, create
 * --tee and doctor.
 */
#pragma once

#include <glib.h>

#include "launch-digest.h"
#include "input-file.h"

G_BEGIN_DECLS

#define KH_FIRMWARE_MAX (16 * 1024 * 1024)
#define KH_FIRMWARE_SECTIONS_MAX 64

/* What a section of the SEV metadata holds (OvmfPkg's ResetVector, OvmfSevMetadata). */
typedef enum {
    KH_SECTION_MEMORY = 1,
    KH_SECTION_SECRETS = 2,
    KH_SECTION_CPUID = 3,
    KH_SECTION_SVSM_CAA = 4,
    KH_SECTION_KERNEL_HASHES = 0x10,
} KhSectionType;

typedef struct {
    guint32 gpa;
    guint32 size;
    guint32 type;
} KhFirmwareSection;

typedef struct {
    char *name;     /* for messages: its path */
    guint64 size;   /* bytes */
    guint64 gpa;    /* where it begins: it ends at 4 GiB */
    guint32 ap_eip; /* where every processor but the first begins */
    guint8 sha256[KH_SHA256_SIZE];
    guint8 pages_digest[KH_LAUNCH_DIGEST_SIZE];           /* the launch digest after its pages */
    KhFirmwareSection sections[KH_FIRMWARE_SECTIONS_MAX]; /* in the file's order */
    guint n_sections;
    gboolean measures_kernel; /* has a page and a place in it for the hashes of a kernel */
    guint16 hashes_offset;    /* that place */
} KhFirmware;

/*
 * Reads the image of @size bytes; @name names it in errors, and may be any bytes.
 * KH_ERROR_NOT_SUPPORTED says what is wrong with it.
 */
KhFirmware *kh_firmware_parse(const guint8 *data, gsize size, const char *name, GError **error);

/* The same of a file. KH_ERROR_NOT_FOUND, KH_ERROR_NOT_SUPPORTED, KH_ERROR_FAILED. */
KhFirmware *kh_firmware_load(const char *path, GError **error);

/*
 * Whether a kernel given to it is measured; KH_ERROR_NOT_SUPPORTED: not, and which firmware
 * would do.
 */
gboolean kh_firmware_check_kernel(const KhFirmware *self, GError **error);

void kh_firmware_free(KhFirmware *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(KhFirmware, kh_firmware_free)

G_END_DECLS
