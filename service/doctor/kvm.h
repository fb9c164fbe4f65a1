/* SPDX-License-Identifier: MIT */
/*
 * Whether KVM makes machines, and confidential ones: the checks "kvm" and "snp-kvm" of the
 * doctor.
 */
#pragma once

#include "findings.h"
#include "check-context.h"

G_BEGIN_DECLS

typedef struct {
    int error;        /* errno of the step that failed; 0: a machine was made */
    const char *step; /* that step: "opened". Static */
    guint types;      /* KVM_CAP_VM_TYPES, a bit per type */
} KhKvmFacts;

/* Makes a machine without anything in it, and lets it go. Blocks. */
void kh_kvm_probe(const KhCheckContext *context, KhKvmFacts *facts);

/* What @facts mean. */
void kh_kvm_judge(const KhCheckContext *context, const KhKvmFacts *facts, KhFindings *findings);

G_END_DECLS
