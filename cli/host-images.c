/* SPDX-License-Identifier: MIT */
/* From the service's objects to neighbours; see host-images.h. */
#include "host-images.h"

#include <string.h>

#include "bytes.h"
#include "names.h"

#define ID_SHOWN 12

typedef struct {
    KhBootParts parts; /* its firmware is not its own */
    char *name;
} HostImage;

static void
host_image_free(gpointer data)
{
    HostImage *self = data;

    g_free(self->name);
    g_free(self);
}

void
kh_host_images_free(KhHostImages *self)
{
    g_array_unref(self->images);
    g_ptr_array_unref(self->owned);
    g_free(self);
}

/* The SHA-256 of the part @wanted; FALSE: it has none that is one. */
static gboolean
find_part(GVariant *parts, const char *wanted, guint8 sha256[KH_SHA256_SIZE])
{
    GVariantIter iter;
    const char *name, *hex;
    gboolean found = FALSE;

    g_variant_iter_init(&iter, parts);
    while (!found && g_variant_iter_next(&iter, "(&st&s)", &name, NULL, &hex))
        found =
            g_str_equal(name, wanted) && kh_bytes_from_hex(hex, name, sha256, KH_SHA256_SIZE, NULL);
    return found;
}

static HostImage *
host_image_new(GVariant *parts, const char *path, const KhBootParts *own)
{
    const char *id = strrchr(path, '/') + 1;
    HostImage *self = g_new0(HostImage, 1);

    self->parts.firmware = own->firmware;
    self->parts.has_kernel = find_part(parts, "vmlinuz", self->parts.kernel.sha256);
    self->parts.has_initrd = find_part(parts, "initrd.img", self->parts.initrd.sha256);
    self->name = g_strdup_printf("%.*s of the host", ID_SHOWN, id);
    if (self->parts.has_kernel && self->parts.has_initrd)
        return self;
    host_image_free(self);
    return NULL;
}

static void
take_image(KhHostImages *self, const char *path, GVariant *properties, const KhBootParts *own)
{
    g_autoptr(GVariant) parts =
        g_variant_lookup_value(properties, "Parts", G_VARIANT_TYPE("a(sts)"));
    guint8 firmware[KH_SHA256_SIZE];
    HostImage *image;

    if (parts == NULL || !find_part(parts, "ovmf.fd", firmware))
        return;
    if (memcmp(firmware, own->firmware->sha256, KH_SHA256_SIZE) != 0) {
        self->other_firmware++;
        return;
    }
    image = host_image_new(parts, path, own);
    if (image == NULL)
        return;
    g_ptr_array_add(self->owned, image);
    g_array_append_val(self->images, ((KhNeighbourImage){&image->parts, image->name}));
}

/* One of GetManagedObjects: its path, its interfaces and their properties. */
static void
take_object(KhHostImages *self, GVariant *entry, const KhBootParts *own)
{
    g_autoptr(GVariant) interfaces = g_variant_get_child_value(entry, 1);
    g_autoptr(GVariant) properties =
        g_variant_lookup_value(interfaces, KH_INTERFACE_IMAGE, G_VARIANT_TYPE_VARDICT);
    const char *path;

    g_variant_get_child(entry, 0, "&o", &path);
    if (properties != NULL)
        take_image(self, path, properties, own);
}

KhHostImages *
kh_host_images_fetch(KhCli *cli, const KhBootParts *own)
{
    KhHostImages *self = g_new0(KhHostImages, 1);
    g_autoptr(GVariant) objects =
        kh_client_ask(cli, KH_PATH_ROOT, "org.freedesktop.DBus.ObjectManager", "GetManagedObjects",
                      g_variant_new("()"), "(a{oa{sa{sv}}})", NULL);
    GVariantIter iter;
    GVariant *entry;

    self->images = g_array_new(FALSE, FALSE, sizeof(KhNeighbourImage));
    self->owned = g_ptr_array_new_with_free_func(host_image_free);
    if (objects == NULL)
        return self;
    g_variant_iter_init(&iter, objects);
    while (self->images->len < KH_NEIGHBOUR_IMAGES_MAX &&
           (entry = g_variant_iter_next_value(&iter)) != NULL) {
        take_object(self, entry, own);
        g_variant_unref(entry);
    }
    return self;
}
