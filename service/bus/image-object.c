/* SPDX-License-Identifier: MIT */
/* An image on the bus; see image-object.h. */
#include "image-object.h"

#define IN_USE_BY "InUseBy"

struct _KhImageObject {
    KhDbusImageSkeleton parent_instance;
    KhManager *manager;
};

enum { PROP_IN_USE_BY = 1 };

G_DEFINE_FINAL_TYPE(KhImageObject, kh_image_object, KH_DBUS_TYPE_IMAGE_SKELETON)

static void
kh_image_object_dispose(GObject *object)
{
    g_clear_object(&KH_IMAGE_OBJECT(object)->manager);
    G_OBJECT_CLASS(kh_image_object_parent_class)->dispose(object);
}

/* Transfer full. */
static char **
list_users(KhImageObject *self)
{
    const char *id = kh_dbus_image_get_id(KH_DBUS_IMAGE(self));
    const GPtrArray *users = kh_manager_users_of_image(self->manager, id);
    char **paths = g_new0(char *, users == NULL ? 1 : users->len + 1);

    for (guint i = 0; users != NULL && i < users->len; i++)
        paths[i] = kh_path_of_instance(kh_instance_get_record(users->pdata[i])->id);
    return paths;
}

/* Of its own properties only: the generated class has the others'. */
static void
kh_image_object_get_property(GObject *object, guint id, GValue *value, GParamSpec *spec)
{
    if (id == PROP_IN_USE_BY)
        g_value_take_boxed(value, list_users(KH_IMAGE_OBJECT(object)));
    else
        G_OBJECT_WARN_INVALID_PROPERTY_ID(object, id, spec);
}

/* Nobody sets it: the generated class would send each value to everybody. */
static void
kh_image_object_set_property(GObject *object, guint id, const GValue *value, GParamSpec *spec)
{
    G_OBJECT_WARN_INVALID_PROPERTY_ID(object, id, spec);
}

static void
kh_image_object_class_init(KhImageObjectClass *class)
{
    GObjectClass *object = G_OBJECT_CLASS(class);

    object->dispose = kh_image_object_dispose;
    object->get_property = kh_image_object_get_property;
    object->set_property = kh_image_object_set_property;
    g_object_class_override_property(object, PROP_IN_USE_BY, "in-use-by");
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
kh_image_object_new(const KhImage *image, KhManager *manager, KhGate *gate)
{
    KhImageObject *self = g_object_new(KH_TYPE_IMAGE_OBJECT, NULL);
    KhDbusImage *bus = KH_DBUS_IMAGE(self);

    self->manager = g_object_ref(manager);
    kh_gate_attach(gate, G_DBUS_INTERFACE_SKELETON(self), NULL);
    kh_dbus_image_set_id(bus, image->id);
    kh_dbus_image_set_parts(bus, list_parts(image));
    kh_dbus_image_set_build_info(bus, list_build_info(image));
    return self;
}

void
kh_image_object_invalidate_users(KhImageObject *self)
{
    static const char *const invalidated[] = {IN_USE_BY, NULL};
    GDBusInterfaceSkeleton *skeleton = G_DBUS_INTERFACE_SKELETON(self);
    g_autolist(GDBusConnection) connections = g_dbus_interface_skeleton_get_connections(skeleton);

    for (GList *one = connections; one != NULL; one = one->next)
        g_dbus_connection_emit_signal(
            one->data, NULL, g_dbus_interface_skeleton_get_object_path(skeleton),
            "org.freedesktop.DBus.Properties", "PropertiesChanged",
            g_variant_new("(sa{sv}^as)", KH_INTERFACE_IMAGE, NULL, invalidated), NULL);
}
