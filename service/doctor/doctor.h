/* SPDX-License-Identifier: MIT */
/*
 * All checks of the host, in their order, and what they come to: what blocks in a thread, the
 * answers of QEMU and of systemd in the main loop. One round at a time: who asks while one is under
 * way gets its findings, so that anybody may ask. Owned by the manager's bus object.
 */
#pragma once

#include <gio/gio.h>

#include "findings.h"
#include "check-context.h"

G_BEGIN_DECLS

#define KH_TYPE_DOCTOR (kh_doctor_get_type())
G_DECLARE_FINAL_TYPE(KhDoctor, kh_doctor, KH, DOCTOR, GObject)

KhDoctor *kh_doctor_new(void);

/*
 * Checks the host of @context (taken), whose systemd is on @bus (NULL: is not asked). Finishes
 * with the findings, transfer full; never fails.
 */
void kh_doctor_check_async(KhDoctor *self, KhCheckContext *context, GDBusConnection *bus,
                           GAsyncReadyCallback callback, gpointer user_data);

/* Asks for the findings of the round under way, which finishes as above; FALSE: there is none. */
gboolean kh_doctor_join_async(KhDoctor *self, GAsyncReadyCallback callback, gpointer user_data);

KhFindings *kh_doctor_check_finish(KhDoctor *self, GAsyncResult *result);

G_END_DECLS
