/* SPDX-License-Identifier: MIT */
/* Processes that do nothing, in the place of a shim and its QEMU. Used by unit tests. */
#pragma once

#include "launch/process.h"

/* A child, which ends by itself after a minute: a test that failed leaves none. */
KhProcess sleeper_start(void);

/* Kills it and waits for its end. */
void sleeper_end(const KhProcess *sleeper);
