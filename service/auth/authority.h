/* SPDX-License-Identifier: MIT */
/*
 * Decides whether a caller may do something: by polkit on the system bus, by being the
 * service's own user elsewhere. Asked by the gate only.
 */
#pragma once

#include <gio/gio.h>

#include "limits.h"

G_BEGIN_DECLS

/**
 * KhAuthorityKind:
 * @KH_AUTHORITY_POLKIT: uid 0 may do all, polkit decides for everyone else
 * @KH_AUTHORITY_OWNER: the service's own user and uid 0 may do all, nobody else anything
 */
typedef enum {
    KH_AUTHORITY_POLKIT,
    KH_AUTHORITY_OWNER,
} KhAuthorityKind;

#define KH_TYPE_AUTHORITY (kh_authority_get_type())
G_DECLARE_FINAL_TYPE(KhAuthority, kh_authority, KH, AUTHORITY, GObject)

/* Questions to polkit count as KH_LIMIT_PROMPTS of @limits. */
KhAuthority *kh_authority_new(KhAuthorityKind kind, KhLimits *limits);

/*
 * Asks whether @sender, a unique name on @connection and @uid's, may do the polkit action
 * KH_ACTION_PREFIX + @action. @details (names to texts, may be NULL) are for polkit's rules
 * and messages. With @interactive a person may be asked. Errors: KH_ERROR_NOT_AUTHORIZED,
 * _CAN_OBTAIN, _DISMISSED, and KH_ERROR_LIMIT_EXCEEDED; whatever else goes wrong is the first
 * of them.
 */
void kh_authority_check_async(KhAuthority *self, GDBusConnection *connection, const char *sender,
                              guint32 uid, const char *action, GHashTable *details,
                              gboolean interactive, GAsyncReadyCallback callback,
                              gpointer user_data);

/* TRUE when he may. */
gboolean kh_authority_check_finish(KhAuthority *self, GAsyncResult *result, GError **error);

G_END_DECLS
