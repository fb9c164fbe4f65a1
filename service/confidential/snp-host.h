/* SPDX-License-Identifier: MIT */
/*
 * Whether this host can run confidential machines (SEV-SNP), by those of the doctor's checks
 * that read the processor and sysfs only. Asked by the manager at create and by the
 * preparation of each start.
 */
#pragma once

#include "doctor/check-context.h"
#include "doctor/findings.h"

G_BEGIN_DECLS

/*
 * Loads @context and looks. KH_ERROR_NOT_SUPPORTED says what the doctor has found first, and how
 * to mend it.
 */
gboolean kh_snp_host_check(KhCheckContext *context, GError **error);

/* The same of checks that have been made. */
gboolean kh_snp_host_judge(KhFindings *findings, GError **error);

/* The place of the C-bit in an address; on another host what AMD's servers have. */
guint kh_snp_host_c_bit(void);

G_END_DECLS
