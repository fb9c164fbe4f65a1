/* SPDX-License-Identifier: MIT */
/*
 * Starts a machine's shim as the transient unit katana-vm-<id>.service: of the system's
 * systemd, or of a user's for the machines of a session. The unit has a sandbox and limits of its
 * own and lives on when the service ends; both pids stand in its status text. See launcher.h and
 * unit-properties.h.
 */
#pragma once

#include "launcher.h"

G_BEGIN_DECLS

#define KH_TYPE_SYSTEMD_LAUNCHER (kh_systemd_launcher_get_type())
G_DECLARE_FINAL_TYPE(KhSystemdLauncher, kh_systemd_launcher, KH, SYSTEMD_LAUNCHER, GObject)

/*
 * @shim is the path of katana-hypervisor-shim; @address that of the user's session bus, NULL
 * for the system's systemd; @control_group that systemd's own, below the mount of cgroup v2.
 * No wait for systemd is longer than @patience_ms: G_MAXUINT but for tests.
 */
KhLauncher *kh_systemd_launcher_new(const char *shim, const char *address,
                                    const char *control_group, guint patience_ms);

G_END_DECLS
