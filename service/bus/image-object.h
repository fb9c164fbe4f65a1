/* SPDX-License-Identifier: MIT */
/*
 * org.katana.Hypervisor.Image of one set of boot components. Who uses it is asked of the manager
 * whenever it is read: it may be ten thousand paths, and changes with each create. Made by the
 * exporter.
 */
#pragma once

#include "auth/gate.h"
#include "dbus-generated.h"
#include "manager/manager.h"

G_BEGIN_DECLS

#define KH_TYPE_IMAGE_OBJECT (kh_image_object_get_type())
G_DECLARE_FINAL_TYPE(KhImageObject, kh_image_object, KH, IMAGE_OBJECT, KhDbusImageSkeleton)

KhImageObject *kh_image_object_new(const KhImage *image, KhManager *manager, KhGate *gate);

/* Tells the bus that InUseBy is another, and not what it is. */
void kh_image_object_invalidate_users(KhImageObject *self);

G_END_DECLS
