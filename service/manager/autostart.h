/* SPDX-License-Identifier: MIT */
/* The instances that start with the service. Called by the daemon when it begins. */
#pragma once

#include "manager.h"

G_BEGIN_DECLS

/*
 * Starts those with "start-at-boot", one after the other, oldest first; what fails is
 * logged. One that an operator has stopped since the host booted is left alone.
 */
void kh_autostart_begin(KhManager *manager, const KhFacts *facts, KhShutdown *shutdown);

G_END_DECLS
