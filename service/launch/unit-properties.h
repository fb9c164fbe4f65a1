/* SPDX-License-Identifier: MIT */
/*
 * What a machine's transient unit is: the properties of StartTransientUnit for the shim
 * and for its tools. The sandbox is around shim and QEMU alike; it holds what was tried
 * with systemd 252. Used by the systemd launcher.
 */
#pragma once

#include "launcher.h"

G_BEGIN_DECLS

/* How long the shim may take from its start to QEMU's exec, and a tool in all. */
#define KH_UNIT_START_TIMEOUT 20
#define KH_UNIT_TOOL_TIMEOUT 300

/* a(sv), floating. */
GVariant *kh_unit_properties_of_machine(const char *shim, const KhLaunchSpec *launch);

/* The same for `SHIM ARGS`, which ends by itself. */
GVariant *kh_unit_properties_of_tool(const char *shim, const char *const *args);

/* CPUQuotaPerSecUSec for @percent of one processor, 0 being no limit; a(sv), floating. */
GVariant *kh_unit_properties_of_quota(guint percent);

G_END_DECLS
