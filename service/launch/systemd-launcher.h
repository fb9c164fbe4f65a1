/* SPDX-License-Identifier: MIT */
/*
 * Starts a machine's shim as the transient unit katana-vm-<id>.service: where systemd is
 * PID 1. The unit has a sandbox and limits of its own and lives on when the service ends;
 * both pids stand in its status text. See launcher.h and unit-properties.h.
 */
#pragma once

#include "launcher.h"

G_BEGIN_DECLS

#define KH_TYPE_SYSTEMD_LAUNCHER (kh_systemd_launcher_get_type())
G_DECLARE_FINAL_TYPE(KhSystemdLauncher, kh_systemd_launcher, KH, SYSTEMD_LAUNCHER, GObject)

/* @shim is the path of katana-hypervisor-shim. */
KhLauncher *kh_systemd_launcher_new(const char *shim);

G_END_DECLS
