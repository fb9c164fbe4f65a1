/* SPDX-License-Identifier: MIT */
/* One set of boot components; see image.h. */
#include "image.h"

#include <stdio.h>
#include <string.h>

#include "error.h"
#include "hash.h"
#include "names.h"

#define INFO_LINES_MAX 256
#define INFO_TEXT_MAX 1024

static void
part_free(gpointer data)
{
    KhImagePart *part = data;

    g_free(part->name);
    g_free(part->sha256);
    g_free(part);
}

KhImage *
kh_image_new(void)
{
    KhImage *image = g_new0(KhImage, 1);

    image->parts = g_ptr_array_new_with_free_func(part_free);
    image->build_info = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    return image;
}

void
kh_image_free(KhImage *image)
{
    if (image == NULL)
        return;
    g_free(image->id);
    g_ptr_array_unref(image->parts);
    g_hash_table_unref(image->build_info);
    g_free(image);
}

void
kh_image_add_part(KhImage *image, const char *name, guint64 size, const char *sha256)
{
    KhImagePart *part = g_new0(KhImagePart, 1);

    part->name = g_strdup(name);
    part->size = size;
    part->sha256 = g_strdup(sha256);
    g_ptr_array_add(image->parts, part);
}

const KhImagePart *
kh_image_part(const KhImage *image, const char *name)
{
    for (guint i = 0; i < image->parts->len; i++) {
        const KhImagePart *part = image->parts->pdata[i];

        if (g_str_equal(part->name, name))
            return part;
    }
    return NULL;
}

char *
kh_image_compute_id(const KhImage *image)
{
    static const char *const order[] = {KH_IMAGE_KERNEL, KH_IMAGE_INITRD, KH_IMAGE_FIRMWARE};
    g_autoptr(GString) lines = g_string_new(NULL);

    for (guint i = 0; i < G_N_ELEMENTS(order); i++) {
        const KhImagePart *part = kh_image_part(image, order[i]);

        if (part != NULL)
            g_string_append_printf(lines, "%s %s\n", part->name, part->sha256);
    }
    return kh_hash_text(lines->str);
}

char *
kh_image_to_manifest(const KhImage *image)
{
    GString *text = g_string_new(NULL);

    for (guint i = 0; i < image->parts->len; i++) {
        const KhImagePart *part = image->parts->pdata[i];

        g_string_append_printf(text, "%s %" G_GUINT64_FORMAT " %s\n", part->sha256, part->size,
                               part->name);
    }
    return g_string_free(text, FALSE);
}

static gboolean
read_manifest_line(KhImage *image, const char *line)
{
    char sha256[65], name[33];
    guint64 size;
    int end = 0;

    if (sscanf(line, "%64[0-9a-f] %" G_GUINT64_FORMAT " %32[a-z.]%n", sha256, &size, name, &end) !=
            3 ||
        line[end] != '\0' || strlen(sha256) != 64 || kh_image_part(image, name) != NULL)
        return FALSE;
    kh_image_add_part(image, name, size, sha256);
    return TRUE;
}

KhImage *
kh_image_from_manifest(const char *id, const char *text, GError **error)
{
    g_autoptr(KhImage) image = kh_image_new();
    g_auto(GStrv) lines = g_strsplit(text, "\n", 8);
    g_autofree char *computed = NULL;
    gboolean readable = TRUE;

    for (guint i = 0; lines[i] != NULL && readable; i++)
        readable = lines[i][0] == '\0' || read_manifest_line(image, lines[i]);
    computed = kh_image_compute_id(image);
    if (!readable || !g_str_equal(computed, id)) {
        g_set_error(error, KH_ERROR, KH_ERROR_INTEGRITY_MISMATCH,
                    "The list of parts of the image %s has been changed: it gives %s", id,
                    computed);
        return NULL;
    }
    image->id = g_strdup(id);
    return g_steal_pointer(&image);
}

void
kh_image_read_build_info(KhImage *image, const char *text)
{
    g_auto(GStrv) lines = g_strsplit(text, "\n", INFO_LINES_MAX);

    for (guint i = 0; lines[i] != NULL; i++) {
        char *equals = strchr(lines[i], '=');

        if (equals == NULL || equals == lines[i] || lines[i][0] == '#')
            continue;
        *equals = '\0';
        g_hash_table_replace(image->build_info, kh_text_sanitize(lines[i], INFO_TEXT_MAX),
                             kh_text_sanitize(equals + 1, INFO_TEXT_MAX));
    }
}
