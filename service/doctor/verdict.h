/* SPDX-License-Identifier: MIT */
/*
 * What all findings come to: the last two of the doctor, "plain-instances" and
 * "snp-instances", with "yes", "slow" or "no" and why. Who asks whether an instance will run
 * here reads no other.
 */
#pragma once

#include "findings.h"

G_BEGIN_DECLS

#define KH_VERDICT_PLAIN "plain-instances"
#define KH_VERDICT_SNP "snp-instances"

/* Adds both; @self has all others. A check whose name begins with "snp-" is the second's alone. */
void kh_verdict_add(KhFindings *self);

G_END_DECLS
