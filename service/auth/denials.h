/* SPDX-License-Identifier: MIT */
/*
 * What is refused is in the journal, and a user who is refused without end does not fill it:
 * ten lines a minute for each user, and a line that counts the others. Used by the gate.
 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

typedef struct _KhDenials KhDenials;

KhDenials *kh_denials_new(void);
void kh_denials_free(KhDenials *self);

/* Writes the line, or counts it, for @uid; about @instance with @id, which may be NULL. */
void kh_denials_log(KhDenials *self, guint32 uid, const char *instance, const char *id,
                    const char *format, ...) G_GNUC_PRINTF(5, 6);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(KhDenials, kh_denials_free)

G_END_DECLS
