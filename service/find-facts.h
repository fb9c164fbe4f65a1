/* SPDX-License-Identifier: MIT */
/* Looks for what a service has to know of its host: once, for the daemon, when that starts. */
#pragma once

#include "launch/launcher.h"
#include "model/facts.h"
#include "settings.h"
#include "state/state-dir.h"

G_BEGIN_DECLS

/*
 * Blocks. KH_ERROR_NOT_SUPPORTED where @settings want KVM and @launcher's machines cannot have
 * it.
 */
gboolean kh_find_facts(const KhSettings *settings, KhLauncher *launcher, KhStateDir *state_dir,
                       KhFacts *facts, GError **error);

G_END_DECLS
