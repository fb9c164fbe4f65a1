/* SPDX-License-Identifier: MIT */
/* Which of the two launchers the service uses. Called by the daemon at its start. */
#pragma once

#include "launcher.h"
#include "settings.h"

G_BEGIN_DECLS

/*
 * The launcher that the settings ask for. "auto" is systemd for a service that is root on
 * the system bus where systemd runs (sd_booted(3)), else direct. KH_ERROR_NOT_SUPPORTED
 * for systemd where it cannot be; direct on a booted system bus is a warning. Transfer
 * full.
 */
KhLauncher *kh_launcher_choose(const KhSettings *settings, GError **error);

G_END_DECLS
