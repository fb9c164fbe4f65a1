/* SPDX-License-Identifier: MIT */
/*
 * Whether the service, and with it what is to start at boot, starts with the host: the check
 * "start-at-boot" of the doctor. There is none where no systemd says anything of it.
 */
#pragma once

#include "findings.h"
#include "check-context.h"
#include "unit-file.h"

G_BEGIN_DECLS

/* What @state of the service's unit means. Looks at one file where the service is a session's. */
void kh_boot_start_judge(const KhCheckContext *context, KhUnitFile state, KhFindings *findings);

G_END_DECLS
