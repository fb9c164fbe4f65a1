/* SPDX-License-Identifier: MIT */
/*
 * The register page (VMSA) that a virtual machine monitor gives to each virtual processor,
 * as it is measured. Used by measurement.c and mismatch-search.c.
 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

#define KH_PAGE_SIZE 4096

/* Monitors differ in what they put into the page, and in the pages that they measure. */
typedef enum {
    KH_VMM_QEMU,
    KH_VMM_EC2,
    KH_VMM_GCE,
} KhVmm;

#define KH_N_VMMS (KH_VMM_GCE + 1)

/* The reset vector, where the first processor begins. */
#define KH_VMSA_BSP_EIP 0xfffffff0u

/* "qemu", "ec2", "gce"; static. */
const char *kh_vmm_name(KhVmm vmm);

/* The monitor called @name, in any case. KH_ERROR_INVALID_ARGUMENT lists them. */
gboolean kh_vmm_parse(const char *name, KhVmm *vmm, GError **error);

/* Whether the page holds the processor's signature: only QEMU's does. */
gboolean kh_vmm_has_signature(KhVmm vmm);

/* The page of a processor that begins at @eip. */
void kh_vmsa_fill(guint8 page[KH_PAGE_SIZE], KhVmm vmm, guint32 eip, guint32 signature,
                  guint64 guest_features);

G_END_DECLS
