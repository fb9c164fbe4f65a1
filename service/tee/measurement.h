/* SPDX-License-Identifier: MIT */
/*
 * The launch measurement of SEV-SNP, computed from what a machine is started with: what its
 * attestation report will say if nothing else was started. Used by measure, create --tee,
 * attest and the search for a mismatch. Loading blocks: the service does it in a thread.
 */
#pragma once

#include <glib.h>

#include "firmware.h"

G_BEGIN_DECLS

/* Linux on x86 takes no initrd beyond 2 GiB (boot protocol, initrd_addr_max). */
#define KH_KERNEL_MAX (G_GUINT64_CONSTANT(1) << 31)
#define KH_CMDLINE_MAX 65536
#define KH_MEASURED_VCPUS_MAX 512

/* The files of a launch, loaded and hashed. */
typedef struct {
    KhFirmware *firmware;
    gboolean has_kernel;
    gboolean has_initrd;
    KhFileHash kernel;
    KhFileHash initrd; /* without one: the SHA-256 of nothing */
} KhBootParts;

/* What is measured besides files and command line. */
typedef struct {
    guint vcpus;            /* 1 to 512 */
    guint32 vcpu_signature; /* see cpu-types.h */
    guint64 guest_features; /* SEV_FEATURES: 0x1 is SNP alone, 0x21 with debug-swap */
    KhVmm vmm;
} KhLaunchShape;

typedef struct {
    const KhBootParts *parts;
    const char *cmdline; /* bytes; NULL is "". Without a kernel it is not measured */
    KhLaunchShape shape;
} KhLaunch;

/*
 * Loads the firmware @ovmf, and @kernel and @initrd unless NULL. KH_ERROR_INVALID_ARGUMENT:
 * an initrd without a kernel; KH_ERROR_NOT_SUPPORTED: a firmware that is none, or measures
 * no kernel though one is given, or a file that is too large; KH_ERROR_NOT_FOUND.
 */
KhBootParts *kh_boot_parts_load(const char *ovmf, const char *kernel, const char *initrd,
                                GError **error);
void kh_boot_parts_free(KhBootParts *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(KhBootParts, kh_boot_parts_free)

/* The measurement of @launch. KH_ERROR_INVALID_ARGUMENT: a number out of range. */
gboolean kh_launch_measure(const KhLaunch *launch, guint8 measurement[KH_LAUNCH_DIGEST_SIZE],
                           GError **error);

/*
 * Brings @digest up to before the first processor's page, which does not depend on the shape
 * but for the monitor. KH_ERROR_NOT_SUPPORTED: the firmware measures no kernel.
 */
gboolean kh_launch_measure_memory(KhLaunchDigest *digest, const KhBootParts *parts,
                                  const char *cmdline, KhVmm vmm, GError **error);

/* What is added to it for the first processor (@bsp) and for each other. */
void kh_launch_measure_vmsa(KhLaunchDigest *digest, const KhBootParts *parts,
                            const KhLaunchShape *shape, gboolean bsp,
                            guint8 contents[KH_LAUNCH_DIGEST_SIZE]);

G_END_DECLS
