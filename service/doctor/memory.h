/* SPDX-License-Identifier: MIT */
/*
 * Memory and clock of the host: the checks "memory", "memory-lock", "huge-pages" and "clock"
 * of the doctor.
 */
#pragma once

#include "findings.h"
#include "check-context.h"

G_BEGIN_DECLS

void kh_memory_check(const KhCheckContext *context, KhFindings *findings);

G_END_DECLS
