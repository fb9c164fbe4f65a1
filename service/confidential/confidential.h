/* SPDX-License-Identifier: MIT */
/*
 * What a confidential instance asks for besides the rules of every configuration: of the
 * host, of its image, of a change. Nothing here concerns an ordinary instance. Called by the
 * manager.
 */
#pragma once

#include "doctor/check-context.h"
#include "image/image-store.h"
#include "model/record.h"
#include "settings.h"

G_BEGIN_DECLS

/* What a caller of create wants in spite of what speaks against it. */
typedef struct {
    gboolean force;     /* a host without SEV-SNP: it cannot be started there */
    gboolean allow_dev; /* Katana's development mode, whose keys are known to all */
} KhOverrides;

/*
 * KH_ERROR_NOT_SUPPORTED with what the host, by @context, lacks that would have to run the
 * confidential @config; KH_ERROR_INVALID_ARGUMENT.
 */
gboolean kh_confidential_check_host(KhCheckContext *context, const KhSettings *settings,
                                    const KhConfig *config, const KhOverrides *overrides,
                                    GError **error);

/* KH_ERROR_NOT_SUPPORTED: the image that @config is pinned to has not what it takes. */
gboolean kh_confidential_check_image(KhImageStore *images, const KhConfig *config, GError **error);

/*
 * Whether @record may get @config, which is pinned. KH_ERROR_NOT_SUPPORTED: it would be
 * confidential no more or only now, or its sealed disk would not open any more.
 */
gboolean kh_confidential_check_change(const KhRecord *record, const KhConfig *config,
                                      GError **error);

/* The measurement of @config where @record has it already; else NULL. Owned by @record. */
const char *kh_confidential_known_measurement(const KhRecord *record, const KhConfig *config);

/* That of the instance @id with the pinned @config; see expected-measurement.h for the end. */
void kh_confidential_measure_async(KhImageStore *images, const char *qemu, const KhConfig *config,
                                   const char *id, GAsyncReadyCallback callback,
                                   gpointer user_data);

G_END_DECLS
