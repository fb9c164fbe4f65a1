/* SPDX-License-Identifier: MIT */
/*
 * org.katana.Hypervisor.Instance of one instance: mirrors its record as properties and
 * serves its configuration and its logs; what changes its state is in operations.h. Made by
 * the exporter.
 */
#pragma once

#include "auth/gate.h"
#include "dbus-generated.h"
#include "job/job.h"
#include "log/folder-watcher.h"
#include "manager/manager.h"

G_BEGIN_DECLS

#define KH_TYPE_INSTANCE_OBJECT (kh_instance_object_get_type())
G_DECLARE_FINAL_TYPE(KhInstanceObject, kh_instance_object, KH, INSTANCE_OBJECT,
                     KhDbusInstanceSkeleton)

/* Over @instance of @manager, behind @gate. */
KhInstanceObject *kh_instance_object_new(KhInstance *instance, KhManager *manager, KhJobs *jobs,
                                         const KhMachines *machines, KhFolderWatcher *watcher,
                                         KhGate *gate);

G_END_DECLS
