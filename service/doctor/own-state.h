/* SPDX-License-Identifier: MIT */
/*
 * Whether what the service has on disk and in memory agrees with its database, and how many
 * machines its descriptors suffice for; as the service has told. Called by the doctor.
 */
#pragma once

#include "findings.h"
#include "check-context.h"

G_BEGIN_DECLS

void kh_own_state_check(const KhCheckContext *context, KhFindings *findings);

G_END_DECLS
