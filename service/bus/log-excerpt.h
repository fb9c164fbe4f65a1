/* SPDX-License-Identifier: MIT */
/*
 * The answer to a Start that failed: the error, and for a caller who may read the log its
 * last lines, which no property and no journal line ever holds. Used by the instance on
 * the bus.
 */
#pragma once

#include "auth/gate.h"
#include "instance/instance.h"

G_BEGIN_DECLS

/*
 * Answers @invocation, a call on @skeleton that came through @gate, with @error (taken).
 * The lines are those of QEMU's log for KH_ERROR_LAUNCH_FAILED, of the guest's for
 * KH_ERROR_TIMED_OUT and KH_ERROR_GUEST_FAILED; any other error is answered as it is. The
 * answer is sent later when polkit has to be asked; it does not prompt.
 */
void kh_log_excerpt_answer(KhInstance *instance, const KhSettings *settings, KhGate *gate,
                           GDBusInterfaceSkeleton *skeleton, GDBusMethodInvocation *invocation,
                           GError *error);

G_END_DECLS
