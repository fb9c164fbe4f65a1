/* SPDX-License-Identifier: MIT */
/* An image on the bus; see image-object.h. */
#include "image-object.h"

struct _KhImageObject {
    KhDbusImageSkeleton parent_instance;
};

G_DEFINE_FINAL_TYPE(KhImageObject, kh_image_object, KH_DBUS_TYPE_IMAGE_SKELETON)

static void
kh_image_object_class_init(KhImageObjectClass *class)
{
    kh_gate_guard_class(G_DBUS_INTERFACE_SKELETON_CLASS(class));
}

static void
kh_image_object_init(KhImageObject *self)
{
}

static GVariant *
list_parts(const KhImage *image)
{
    g_auto(GVariantBuilder) parts = G_VARIANT_BUILDER_INIT(G_VARIANT_TYPE("a(sts)"));

    for (guint i = 0; i < image->parts->len; i++) {
        const KhImagePart *part = image->parts->pdata[i];

        g_variant_builder_add(&parts, "(sts)", part->name, part->size, part->sha256);
    }
    return g_variant_builder_end(&parts);
}

static GVariant *
list_build_info(const KhImage *image)
{
    g_auto(GVariantBuilder) info = G_VARIANT_BUILDER_INIT(G_VARIANT_TYPE("a{ss}"));
    GHashTableIter iter;
    gpointer key, value;

    g_hash_table_iter_init(&iter, image->build_info);
    while (g_hash_table_iter_next(&iter, &key, &value))
        g_variant_builder_add(&info, "{ss}", key, value);
    return g_variant_builder_end(&info);
}

KhImageObject *
kh_image_object_new(const KhImage *image, KhGate *gate)
{
    KhImageObject *self = g_object_new(KH_TYPE_IMAGE_OBJECT, NULL);
    KhDbusImage *bus = KH_DBUS_IMAGE(self);

    kh_gate_attach(gate, G_DBUS_INTERFACE_SKELETON(self), NULL);
    kh_dbus_image_set_id(bus, image->id);
    kh_dbus_image_set_parts(bus, list_parts(image));
    kh_dbus_image_set_build_info(bus, list_build_info(image));
    return self;
}

void
kh_image_object_update(KhImageObject *self, KhManager *manager)
{
    KhDbusImage *bus = KH_DBUS_IMAGE(self);
    const GPtrArray *users = kh_manager_users_of_image(manager, kh_dbus_image_get_id(bus));
    g_autoptr(GPtrArray) paths = g_ptr_array_new_with_free_func(g_free);

    for (guint i = 0; users != NULL && i < users->len; i++)
        g_ptr_array_add(paths, kh_path_of_instance(kh_instance_get_record(users->pdata[i])->id));
    g_ptr_array_add(paths, NULL);
    kh_dbus_image_set_in_use_by(bus, (const char *const *)paths->pdata);
    g_dbus_interface_skeleton_flush(G_DBUS_INTERFACE_SKELETON(self));
}
