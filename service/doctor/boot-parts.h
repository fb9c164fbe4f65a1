/* SPDX-License-Identifier: MIT */
/*
 * What new instances boot from: present, as build-info.txt says, the firmware one that
 * measures a kernel. The checks "boot-components" and "snp-boot-firmware" of the doctor.
 */
#pragma once

#include "findings.h"
#include "check-context.h"

G_BEGIN_DECLS

/* Blocks: it hashes files. */
void kh_boot_parts_check(const KhCheckContext *context, KhFindings *findings);

G_END_DECLS
