/* SPDX-License-Identifier: MIT */
/*
 * org.katana.Hypervisor.Manager: creates, finds and lists instances. Made by the exporter.
 */
#pragma once

#include "auth/gate.h"
#include "dbus-generated.h"
#include "manager/manager.h"
#include "tree.h"

G_BEGIN_DECLS

#define KH_TYPE_MANAGER_OBJECT (kh_manager_object_get_type())
G_DECLARE_FINAL_TYPE(KhManagerObject, kh_manager_object, KH, MANAGER_OBJECT, KhDbusManagerSkeleton)

/* @tree has the exported instances; their properties are what a list shows. */
KhManagerObject *kh_manager_object_new(KhManager *manager, const KhMachines *machines, KhGate *gate,
                                       KhTree *tree);

G_END_DECLS
