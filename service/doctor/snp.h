/* SPDX-License-Identifier: MIT */
/*
 * SEV-SNP in kernel and firmware: the checks "snp-kernel", "snp-sev-es", "snp-device",
 * "snp-firmware-state" and "snp-asids" of the doctor.
 */
#pragma once

#include "findings.h"
#include "check-context.h"

G_BEGIN_DECLS

/* Blocks. */
void kh_snp_check(const KhCheckContext *context, KhFindings *findings);

/* All but "snp-firmware-state", which asks the firmware: these read sysfs and look at /dev/sev. */
void kh_snp_check_kernel(const KhCheckContext *context, KhFindings *findings);

G_END_DECLS
