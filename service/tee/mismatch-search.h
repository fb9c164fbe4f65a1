/* SPDX-License-Identifier: MIT */
/*
 * Why a measurement differs: looks for the launch near the expected one that has the observed
 * measurement. It explains, and never changes a verdict. Used by attest after V9 has failed.
 */
#pragma once

#include <glib.h>

#include "measurement.h"

G_BEGIN_DECLS

/* More images than these are not looked at. */
#define KH_NEIGHBOUR_IMAGES_MAX 8

typedef struct {
    const KhBootParts *parts;
    const char *name; /* what to call it */
} KhNeighbourImage;

/* What besides the fixed neighbours is at hand. */
typedef struct {
    const KhNeighbourImage *images;
    gsize n_images;
    const char *luks_uuid; /* of the sealed disk; NULL: none but the canonical one */
} KhNeighbours;

typedef struct {
    gboolean found;
    guint n_changes;      /* inputs that differ; 0 with @found: none, it is the expected one */
    guint64 n_candidates; /* launches that were measured */
    char *text;           /* one sentence, harmless for a terminal */
} KhExplanation;

/*
 * Searches for @observed near @launch: vCPU counts 1 to 512, processor types, guest features
 * 0x0, 0x1 and 0x21, the command line with and without trailing newline or space, sealed and
 * not, empty and the default one, the images of @neighbours (NULL: none), the firmware without
 * a kernel; each alone, and in combination. Bounded to some hundred milliseconds.
 * Errors: as kh_launch_measure() has for @launch. Transfer full.
 */
KhExplanation *kh_mismatch_search(const KhLaunch *launch,
                                  const guint8 observed[KH_LAUNCH_DIGEST_SIZE],
                                  const KhNeighbours *neighbours, GError **error);

void kh_explanation_free(KhExplanation *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(KhExplanation, kh_explanation_free)

G_END_DECLS
