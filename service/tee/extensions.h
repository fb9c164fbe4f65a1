/* SPDX-License-Identifier: MIT */
/*
 * What AMD writes into the certificate of a chip's or a host's key: product, security versions,
 * chip id or the name of the cloud provider (AMD 57230, "Versioned Chip Endorsement Key (VCEK)
 * Certificate and KDS Interface Specification"). Used by the chain's checks.
 */
#pragma once

#include "certificates.h"
#include "tcb.h"

G_BEGIN_DECLS

typedef struct {
    KhProduct product;
    char *product_name; /* "Milan-B0", harmless for a terminal */
    KhTcb tcb;          /* fmc is KH_TCB_NONE where there is no such extension */
    guint8 hardware_id[64];
    gsize hardware_id_length; /* 64, 8, or 0 for a VLEK */
    char *csp_id;             /* of a VLEK, as it is; NULL for a VCEK */
} KhExtensions;

void kh_extensions_free(KhExtensions *extensions);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(KhExtensions, kh_extensions_free)

/*
 * Reads those of @leaf, a VCEK or VLEK. KH_ERROR_FAILED names an extension that is missing,
 * there twice, too long, ill-formed, or does not belong there. Transfer full.
 */
KhExtensions *kh_extensions_read(const KhCertificate *leaf, GError **error);

G_END_DECLS
