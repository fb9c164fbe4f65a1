/* SPDX-License-Identifier: MIT */
/*
 * Which images are needed, so that all others may go: those that something in the database refers
 * to, the default, and, while something is about to be pinned, all. The manager tells of what
 * changes, and when to drop what has come to be unused.
 *
 * Users are instances, noted as they change: to ask every one for every change of another is
 * quadratic in their number. They are for Image.InUseBy, and spare asking the database.
 */
#pragma once

#include "image-store.h"
#include "state/state-dir.h"
#include "state/store.h"

G_BEGIN_DECLS

typedef struct _KhImagePins KhImagePins;

/* The default is what the database says, if it is there. All three outlive it. */
KhImagePins *kh_image_pins_new(KhStore *store, KhImageStore *images, KhStateDir *state_dir);
void kh_image_pins_free(KhImagePins *self);

/*
 * Notes that @user, which is only compared, is pinned to the images @now and @next from now
 * on; NULL for none. The ids of those whose users are others by that; transfer full.
 */
char **kh_image_pins_note(KhImagePins *self, gpointer user, const char *now, const char *next);

/* Those of @image, in the order in which they came to it. Owned by @self; NULL for none. */
const GPtrArray *kh_image_pins_list(KhImagePins *self, const char *image);

/* What a new instance was last pinned to; NULL before the first. Owned by @self. */
const char *kh_image_pins_get_default(KhImagePins *self);

/* Whether it is another by that, and saved. */
gboolean kh_image_pins_set_default(KhImagePins *self, const char *image);

/*
 * Between these no image is dropped: one may be being imported or measured, and nobody knows
 * which an import will come to. What came of it is pinned when the last hold is released, or has
 * come to nothing, and is dropped.
 */
void kh_image_pins_hold(KhImagePins *self);
void kh_image_pins_release(KhImagePins *self);

/*
 * Whether all are kept, as they are before the first word of it: what the database does not know
 * may be of an instance that needs one.
 */
void kh_image_pins_keep_all(KhImagePins *self, gboolean keep);

/* Drops what nobody needs any more; what cannot be dropped yet is looked at the next time. */
void kh_image_pins_drop_unused(KhImagePins *self);

G_END_DECLS
