/* SPDX-License-Identifier: MIT */
/*
 * What a machine's transient unit is: the properties of StartTransientUnit for the shim
 * and for its tools. The sandbox is around shim and QEMU alike; it holds what was tried
 * with systemd 252, by a user's own as well. Used by the systemd launcher.
 */
#pragma once

#include "launcher.h"

G_BEGIN_DECLS

/* How long the shim may take from its start to QEMU's exec, and a tool in all. */
#define KH_UNIT_START_TIMEOUT 20
#define KH_UNIT_TOOL_TIMEOUT 300

/* Whose units they are: the system's systemd's, or a user's own. */
typedef enum { KH_UNIT_MANAGER_SYSTEM, KH_UNIT_MANAGER_USER } KhUnitManager;

/* a(sv), floating. A user's systemd gets what it may do: no file is hidden from a machine. */
GVariant *kh_unit_properties_of_machine(KhUnitManager manager, const char *shim,
                                        const KhLaunchSpec *launch);

/* The same for `SHIM ARGS`, which ends by itself. */
GVariant *kh_unit_properties_of_tool(KhUnitManager manager, const char *shim,
                                     const char *const *args);

/* CPUQuotaPerSecUSec for @percent of one processor, 0 being no limit; a(sv), floating. */
GVariant *kh_unit_properties_of_quota(guint percent);

G_END_DECLS
