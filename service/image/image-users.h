/* SPDX-License-Identifier: MIT */
/*
 * Which instances are pinned to which images, noted as it changes: to ask every instance for
 * every change of one is quadratic in their number. Kept by the manager.
 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

typedef struct _KhImageUsers KhImageUsers;

KhImageUsers *kh_image_users_new(void);
void kh_image_users_free(KhImageUsers *self);

/*
 * Notes that @user, which is only compared, is pinned to the images @now and @next from now
 * on; NULL for none. The ids of those whose users are others by that; transfer full.
 */
char **kh_image_users_note(KhImageUsers *self, gpointer user, const char *now, const char *next);

/* Those of @image, in the order in which they came to it. Owned by @self; NULL for none. */
const GPtrArray *kh_image_users_list(KhImageUsers *self, const char *image);

G_END_DECLS
