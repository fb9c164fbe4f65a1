/* SPDX-License-Identifier: MIT */
/* Processes that do nothing, in the place of a shim and its QEMU. Used by unit tests. */
#pragma once

#include "launch/process.h"

/* A child, which ends with the test's process, or after a minute: one that failed leaves none. */
KhProcess sleeper_start(void);

/* The same under @uid, which needs root; it has that uid when this returns. */
KhProcess sleeper_start_as(guint32 uid);

/* Kills it and waits for its end. */
void sleeper_end(const KhProcess *sleeper);
