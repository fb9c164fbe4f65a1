/* SPDX-License-Identifier: MIT */
/* The checks "architecture", "processor", "microcode" and "snp-cbit" of the doctor. */
#pragma once

#include "findings.h"
#include "check-context.h"

G_BEGIN_DECLS

void kh_processor_check(const KhCheckContext *context, KhFindings *findings);

/* "snp-cbit" alone. */
void kh_processor_check_snp(const KhCheckContext *context, KhFindings *findings);

/*
 * Whether it can run guests by "cpuinfo" in the folder @proc, whatever /dev/kvm says: the service
 * asks the same when it starts.
 */
gboolean kh_processor_virtualizes(const char *proc);

G_END_DECLS
