/* SPDX-License-Identifier: MIT */
/*
 * The guest's control channel, virtio-serial port org.katana.control.0: starts Katana,
 * watches over it, and stops the guest. One line per command and per answer, "start",
 * "status" and "stop", as Katana's own images speak it. Used by the instance.
 */
#pragma once

#include "qemu/line-channel.h"

G_BEGIN_DECLS

#define KH_TYPE_GUEST_CONTROL (kh_guest_control_get_type())
G_DECLARE_FINAL_TYPE(KhGuestControl, kh_guest_control, KH, GUEST_CONTROL, GObject)

/*
 * Asks for the status every @interval_ms until the guest answers, then has it start
 * Katana unless that runs, and goes on asking. An answer that was lost is asked for again.
 * Signals: "started" (once), "failed" (sanitized reason: the guest refused to start
 * Katana), "exited" (int exit code: Katana ran and has ended), "closed" (GError).
 */
KhGuestControl *kh_guest_control_new(KhLineChannel *channel, guint interval_ms);

/* Asks no more, and tells the guest to stop. The sign of success is QEMU's end. */
void kh_guest_control_stop(KhGuestControl *self);

G_END_DECLS
