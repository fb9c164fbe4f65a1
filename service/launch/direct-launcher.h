/* SPDX-License-Identifier: MIT */
/*
 * Starts a machine's shim as a direct child of the service, which reports both pids over a
 * pipe: where systemd is not PID 1, in a session without a systemd of its own, in containers.
 * See launcher.h.
 */
#pragma once

#include "launcher.h"

G_BEGIN_DECLS

#define KH_TYPE_DIRECT_LAUNCHER (kh_direct_launcher_get_type())
G_DECLARE_FINAL_TYPE(KhDirectLauncher, kh_direct_launcher, KH, DIRECT_LAUNCHER, GObject)

/* @shim is the path of katana-hypervisor-shim. */
KhLauncher *kh_direct_launcher_new(const char *shim);

G_END_DECLS
