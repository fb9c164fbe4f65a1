/* SPDX-License-Identifier: MIT */
/*
 * org.katana.Hypervisor.Tee of a confidential instance, on the same object as its Instance.
 * Made by the exporter.
 */
#pragma once

#include "auth/gate.h"
#include "dbus-generated.h"
#include "instance/instance.h"

G_BEGIN_DECLS

#define KH_TYPE_TEE_OBJECT (kh_tee_object_get_type())
G_DECLARE_FINAL_TYPE(KhTeeObject, kh_tee_object, KH, TEE_OBJECT, KhDbusTeeSkeleton)

/* Over @instance, behind @gate. */
KhTeeObject *kh_tee_object_new(KhInstance *instance, KhStateDir *state_dir, KhGate *gate);

G_END_DECLS
