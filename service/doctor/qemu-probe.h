/* SPDX-License-Identifier: MIT */
/*
 * What QEMU says of itself: its version, whether it has sev-snp-guest and user networking.
 * The checks "qemu", "qemu-user-network" and "snp-qemu" of the doctor. QEMU is asked without
 * a machine, in processes that end, or are ended, within a bounded time.
 */
#pragma once

#include <gio/gio.h>

#include "findings.h"
#include "check-context.h"

G_BEGIN_DECLS

typedef struct {
    char *version; /* the output of --version; NULL: no answer */
    char *objects; /* of -object help */
    char *netdevs; /* of -netdev help */
    char *failure; /* why there is no answer; NULL: there is one to each */
} KhQemuFacts;

void kh_qemu_facts_free(KhQemuFacts *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(KhQemuFacts, kh_qemu_facts_free)

/* Asks @qemu, each question for at most @timeout_ms; never fails. */
void kh_qemu_probe_async(const char *qemu, guint timeout_ms, GAsyncReadyCallback callback,
                         gpointer user_data);
KhQemuFacts *kh_qemu_probe_finish(GAsyncResult *result);

/* What @facts mean. */
void kh_qemu_judge(const KhCheckContext *context, const KhQemuFacts *facts, KhFindings *findings);

G_END_DECLS
