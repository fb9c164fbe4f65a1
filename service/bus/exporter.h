/* SPDX-License-Identifier: MIT */
/*
 * Everything the service has, as objects under an ObjectManager: exports what manager,
 * jobs and image store add, takes back what they remove. Made by the daemon.
 */
#pragma once

#include "auth/gate.h"
#include "job/jobs.h"
#include "manager/manager.h"

G_BEGIN_DECLS

#define KH_TYPE_EXPORTER (kh_exporter_get_type())
G_DECLARE_FINAL_TYPE(KhExporter, kh_exporter, KH, EXPORTER, GObject)

/* Exports all on @connection at once, which @progress (may be NULL) tells of. */
KhExporter *kh_exporter_new(KhManager *manager, KhJobs *jobs, const KhMachines *machines,
                            KhGate *gate, GDBusConnection *connection, KhStartProgress *progress);

G_END_DECLS
