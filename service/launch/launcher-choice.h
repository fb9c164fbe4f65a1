/* SPDX-License-Identifier: MIT */
/* Which of the two launchers the service uses. Called by the daemon at its start. */
#pragma once

#include "launcher.h"
#include "settings.h"

G_BEGIN_DECLS

/*
 * The launcher that the settings ask for. "auto" is systemd for a service that is root on
 * the system bus where systemd runs (sd_booted(3)), and for one on a session bus where the
 * user's own systemd answers; else direct. KH_ERROR_NOT_SUPPORTED for systemd where it
 * cannot be; direct where it could be is a warning. Blocks: for start-up only. Transfer full.
 */
KhLauncher *kh_launcher_choose(const KhSettings *settings, GError **error);

G_END_DECLS
