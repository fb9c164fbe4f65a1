/* SPDX-License-Identifier: MIT */
/* GUIDs as firmware stores them. Used by firmware.c and kernel-hashes.c. */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

#define KH_GUID_SIZE 16

/*
 * The bytes of @text, "96b582de-1fb2-45f7-baea-a366c55a082d", in EFI's mixed byte order: the
 * first three groups are little-endian. @text is a constant of ours.
 */
void kh_guid_from_text(const char *text, guint8 guid[KH_GUID_SIZE]);

/* Whether the 16 bytes at @bytes are the GUID @text. */
gboolean kh_guid_equal(const guint8 *bytes, const char *text);

G_END_DECLS
