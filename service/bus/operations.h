/* SPDX-License-Identifier: MIT */
/*
 * The methods of org.katana.Hypervisor.Instance that change its state: turns calls, which
 * the gate has let in, into jobs. Used by the instance's bus object.
 */
#pragma once

#include "auth/gate.h"
#include "dbus-generated.h"
#include "instance/instance.h"

G_BEGIN_DECLS

/* Serves Start, Stop, Restart, Reset, Pause, Resume and Delete on @skeleton. */
void kh_operations_serve(KhDbusInstance *skeleton, KhInstance *instance, KhJobs *jobs,
                         const KhSettings *settings, KhGate *gate);

/* Adds what polkit's rules and messages may use of @instance. */
void kh_operations_describe(KhInstance *instance, GHashTable *details);

G_END_DECLS
