/* SPDX-License-Identifier: MIT */
/*
 * All checks of the host, in their order: what blocks in a thread, QEMU's answers in the
 * main loop. One round at a time: who asks while one is under way gets its findings, so that
 * anybody may ask. Owned by the manager's bus object.
 */
#pragma once

#include <gio/gio.h>

#include "findings.h"
#include "places.h"

G_BEGIN_DECLS

#define KH_TYPE_DOCTOR (kh_doctor_get_type())
G_DECLARE_FINAL_TYPE(KhDoctor, kh_doctor, KH, DOCTOR, GObject)

KhDoctor *kh_doctor_new(void);

/* Checks the host at @places (taken). Finishes with the findings, transfer full; never fails. */
void kh_doctor_check_async(KhDoctor *self, KhPlaces *places, GAsyncReadyCallback callback,
                           gpointer user_data);
KhFindings *kh_doctor_check_finish(KhDoctor *self, GAsyncResult *result);

G_END_DECLS
