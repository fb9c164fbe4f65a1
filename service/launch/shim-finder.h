/* SPDX-License-Identifier: MIT */
/*
 * Finds a shim without knowing its pid: by who made its control socket (SO_PEERCRED,
 * unix(7)), and QEMU as its child; where that shows nothing, by the machine's user. Used by
 * the direct launcher after the service was killed between a launch and the note of its pids.
 */
#pragma once

#include "launcher.h"

G_BEGIN_DECLS

/* Both processes of the machine; KH_ERROR_NOT_FOUND when there are none. Transfer full. */
KhVm *kh_shim_finder_find(const KhTraces *traces, GError **error);

G_END_DECLS
