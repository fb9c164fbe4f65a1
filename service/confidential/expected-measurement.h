/* SPDX-License-Identifier: MIT */
/*
 * The launch measurement that a configuration leads to: computed in a thread over the parts
 * of its image, after QEMU was asked whether it has the processor. Used by the manager for
 * create and configure.
 */
#pragma once

#include <gio/gio.h>

#include "model/config.h"
#include "image/image.h"

G_BEGIN_DECLS

/* Bytes of a measurement, which are kept as hexadecimal digits. */
#define KH_MEASUREMENT_BYTES 48

/* What a measurement is of; owned by the caller. */
typedef struct {
    const KhConfig *config;
    const char *id;           /* the instance's, which is its sealed disk's UUID */
    const KhImage *image;     /* that it is pinned to */
    const char *image_folder; /* where its parts lie */
    const char *qemu;
} KhMeasuredLaunch;

/*
 * Errors: KH_ERROR_INVALID_ARGUMENT (QEMU lacks the processor), LAUNCH_FAILED (QEMU cannot be
 * asked), NOT_SUPPORTED (the firmware measures no kernel), INTEGRITY_MISMATCH (a part is not
 * what the image has), NOT_FOUND.
 */
void kh_expected_measurement_async(const KhMeasuredLaunch *launch, GAsyncReadyCallback callback,
                                   gpointer user_data);

/* Lower-case hexadecimal digits; transfer full. */
char *kh_expected_measurement_finish(GAsyncResult *result, GError **error);

/*
 * Whether machines of the two configurations differ in what is measured, or in whether it is.
 * Their images are compared as they stand there.
 */
gboolean kh_config_measures_differently(const KhConfig *a, const KhConfig *b);

G_END_DECLS
