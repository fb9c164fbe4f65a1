/* SPDX-License-Identifier: MIT */
/* org.katana.Hypervisor.Image of one set of boot components. Made by the exporter. */
#pragma once

#include "auth/gate.h"
#include "dbus-generated.h"
#include "instance/manager.h"

G_BEGIN_DECLS

#define KH_TYPE_IMAGE_OBJECT (kh_image_object_get_type())
G_DECLARE_FINAL_TYPE(KhImageObject, kh_image_object, KH, IMAGE_OBJECT, KhDbusImageSkeleton)

KhImageObject *kh_image_object_new(const KhImage *image, KhGate *gate);

/* Brings InUseBy up to date. */
void kh_image_object_update(KhImageObject *self, KhManager *manager);

G_END_DECLS
