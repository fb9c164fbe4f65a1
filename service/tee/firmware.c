/* SPDX-License-Identifier: MIT */
/* Reads a firmware image's tables; see firmware.h. */
#include "firmware.h"

#include <stdarg.h>
#include <string.h>

#include "bytes.h"
#include "error.h"
#include "guid.h"
#include "kernel-hashes.h"

/*
 * The table of GUIDs ends 32 bytes before the image's end, and is read backwards: each entry
 * is its data, a u16 size of it all, a GUID; the last entry is the table's own (OvmfPkg,
 * ResetVector/Ia16/ResetVectorVtf0.asm).
 */
#define TABLE_END 32
#define TAIL_SIZE (2 + KH_GUID_SIZE)
#define TABLE_FOOTER "96b582de-1fb2-45f7-baea-a366c55a082d"
#define RESET_BLOCK "00f771de-1a7e-4fcb-890e-68c77e2fb44e"
#define HASH_TABLE "7255371f-3a3b-4b04-927b-1da6efa8d454"
#define METADATA "dc886566-984a-4798-a75e-5585a7bf67cc"

/* "ASEV", u32 size, u32 version, u32 count; then {u32 gpa, u32 size, u32 type}. */
#define METADATA_HEAD 16
#define METADATA_ITEM 12
#define METADATA_VERSION 1

#define FOUR_GIB (G_GUINT64_CONSTANT(1) << 32)
/* Real ones have some 60 pages; each is a hash to compute. */
#define SECTION_BYTES_MAX (64 * 1024 * 1024)

typedef struct {
    const guint8 *data;
    gsize size;
    const char *name;
    /* Data of the entries that matter, NULL where there is none. */
    const guint8 *reset_block;
    const guint8 *hash_table;
    const guint8 *metadata;
} Image;

G_GNUC_PRINTF(3, 4)
static gboolean
refuse(const char *name, GError **error, const char *format, ...)
{
    g_autofree char *shown = g_filename_display_name(name);
    g_autofree char *found = NULL;
    va_list arguments;

    va_start(arguments, format);
    found = g_strdup_vprintf(format, arguments);
    va_end(arguments);
    return kh_error_set(
        error, KH_ERROR_NOT_SUPPORTED,
        "The firmware %s %s; give an image of OVMF for SEV-SNP, as Debian's ovmf-amdsev "
        "has it",
        shown, found);
}

static gboolean
check_size(const Image *image, GError **error)
{
    if (image->size == 0)
        return refuse(image->name, error, "is empty");
    if (image->size > KH_FIRMWARE_MAX)
        return refuse(image->name, error, "has %zu bytes, more than 16 MiB", image->size);
    if (image->size % KH_PAGE_SIZE != 0)
        return refuse(image->name, error, "has %zu bytes, not whole pages of 4096: it is cut short",
                      image->size);
    return TRUE;
}

/* Keeps the entry's data if its GUID is known; the same twice could be read in two ways. */
static gboolean
take_entry(Image *image, const guint8 *guid, const guint8 *data, gsize size, GError **error)
{
    const struct {
        const char *guid;
        const guint8 **place;
        gsize size;
    } known[] = {
        {RESET_BLOCK, &image->reset_block, 4},
        {HASH_TABLE, &image->hash_table, 8},
        {METADATA, &image->metadata, 4},
    };

    for (gsize i = 0; i < G_N_ELEMENTS(known); i++) {
        if (!kh_guid_equal(guid, known[i].guid))
            continue;
        if (*known[i].place != NULL)
            return refuse(image->name, error, "has the entry %s twice in its table", known[i].guid);
        if (size < known[i].size)
            return refuse(image->name, error, "has only %zu bytes in the entry %s of its table",
                          size, known[i].guid);
        *known[i].place = data;
    }
    return TRUE;
}

/* The entries between @start and @end. */
static gboolean
walk_table(Image *image, const guint8 *start, const guint8 *end, GError **error)
{
    while (end - start >= TAIL_SIZE) {
        const guint8 *guid = end - KH_GUID_SIZE;
        gsize size = kh_bytes_read16(end - TAIL_SIZE);

        if (size < TAIL_SIZE || size > (gsize)(end - start))
            return refuse(image->name, error, "has an entry of %zu bytes in its table of %zu", size,
                          (gsize)(end - start));
        if (!take_entry(image, guid, end - size, size - TAIL_SIZE, error))
            return FALSE;
        end -= size;
    }
    return end == start ||
           refuse(image->name, error, "has %zu surplus bytes in its table", (gsize)(end - start));
}

static gboolean
read_table(Image *image, GError **error)
{
    const guint8 *end = image->data + image->size - TABLE_END - TAIL_SIZE;
    gsize size = kh_bytes_read16(end);
    gsize room = image->size - TABLE_END;

    if (!kh_guid_equal(end + 2, TABLE_FOOTER))
        return refuse(image->name, error,
                      "has no table of GUIDs at its end: it is cut short, or no OVMF");
    if (size < TAIL_SIZE || size > room)
        return refuse(image->name, error, "has a table of %zu bytes at its end", size);
    return walk_table(image, end + TAIL_SIZE - size, end, error);
}

static gboolean
check_section(const Image *image, const KhFirmwareSection *section, GError **error)
{
    gboolean one_page = FALSE;

    switch (section->type) {
    case KH_SECTION_SECRETS:
    case KH_SECTION_CPUID:
    case KH_SECTION_KERNEL_HASHES:
        one_page = TRUE;
        break;
    case KH_SECTION_MEMORY:
    case KH_SECTION_SVSM_CAA:
        break;
    default:
        return refuse(image->name, error,
                      "has a section of the unknown type 0x%x in its SEV metadata", section->type);
    }
    if (section->gpa % KH_PAGE_SIZE != 0 || section->size % KH_PAGE_SIZE != 0 ||
        section->size == 0 || (guint64)section->gpa + section->size > FOUR_GIB ||
        (one_page && section->size != KH_PAGE_SIZE))
        return refuse(image->name, error,
                      "has a section of type 0x%x with 0x%x bytes at 0x%x in its SEV metadata",
                      section->type, section->size, section->gpa);
    return TRUE;
}

static gboolean
read_sections(const Image *image, const guint8 *item, guint count, KhFirmware *firmware,
              GError **error)
{
    guint64 bytes = 0;

    for (guint i = 0; i < count; i++, item += METADATA_ITEM) {
        KhFirmwareSection *section = &firmware->sections[i];

        *section = (KhFirmwareSection){kh_bytes_read32(item), kh_bytes_read32(item + 4),
                                       kh_bytes_read32(item + 8)};
        if (!check_section(image, section, error))
            return FALSE;
        bytes += section->size;
    }
    if (bytes > SECTION_BYTES_MAX)
        return refuse(image->name, error, "has sections of more than 64 MiB in its SEV metadata");
    firmware->n_sections = count;
    return TRUE;
}

static gboolean
read_metadata(const Image *image, KhFirmware *firmware, GError **error)
{
    gsize offset = image->metadata == NULL ? 0 : kh_bytes_read32(image->metadata);
    guint32 size, version, count;
    const guint8 *head;

    if (image->metadata == NULL)
        return refuse(image->name, error, "has no SEV metadata");
    head =
        offset < METADATA_HEAD || offset > image->size ? NULL : image->data + image->size - offset;
    if (head == NULL || memcmp(head, "ASEV", 4) != 0)
        return refuse(image->name, error,
                      "has no SEV metadata where its table says, %zu bytes before its end", offset);
    size = kh_bytes_read32(head + 4);
    version = kh_bytes_read32(head + 8);
    count = kh_bytes_read32(head + 12);
    if (version != METADATA_VERSION)
        return refuse(image->name, error, "has SEV metadata of the unknown version %u", version);
    if (count > KH_FIRMWARE_SECTIONS_MAX)
        return refuse(image->name, error, "has %u sections in its SEV metadata, more than %d",
                      count, KH_FIRMWARE_SECTIONS_MAX);
    if (size > offset || size < METADATA_HEAD + count * METADATA_ITEM)
        return refuse(image->name, error, "has SEV metadata of %u bytes with %u sections", size,
                      count);
    return read_sections(image, head + METADATA_HEAD, count, firmware, error);
}

/* The section whose page takes the hashes, NULL: none. Two would be read in two ways. */
static gboolean
find_hashes_section(const Image *image, const KhFirmware *firmware, const KhFirmwareSection **found,
                    GError **error)
{
    *found = NULL;
    for (guint i = 0; i < firmware->n_sections; i++) {
        if (firmware->sections[i].type != KH_SECTION_KERNEL_HASHES)
            continue;
        if (*found != NULL)
            return refuse(image->name, error,
                          "has more than one section for the hashes of a kernel");
        *found = &firmware->sections[i];
    }
    return TRUE;
}

/*
 * The firmware looks for the table where its own entry says (u32 address, u32 size); QEMU
 * writes it into the section's page. Both must mean the same place.
 */
static gboolean
find_hashes(const Image *image, KhFirmware *firmware, GError **error)
{
    const KhFirmwareSection *section;
    guint32 base, size;

    if (!find_hashes_section(image, firmware, &section, error))
        return FALSE;
    if (section == NULL || image->hash_table == NULL)
        return TRUE;
    base = kh_bytes_read32(image->hash_table);
    size = kh_bytes_read32(image->hash_table + 4);
    firmware->hashes_offset = base % KH_PAGE_SIZE;
    firmware->measures_kernel = base != 0 && size >= KH_KERNEL_HASHES_SIZE &&
                                base - firmware->hashes_offset == section->gpa &&
                                firmware->hashes_offset + KH_KERNEL_HASHES_SIZE <= KH_PAGE_SIZE;
    return TRUE;
}

static gboolean
read_tables(Image *image, KhFirmware *firmware, GError **error)
{
    if (!read_table(image, error) || !read_metadata(image, firmware, error))
        return FALSE;
    if (image->reset_block == NULL)
        return refuse(image->name, error, "has no SEV-ES reset block");
    firmware->ap_eip = kh_bytes_read32(image->reset_block);
    return find_hashes(image, firmware, error);
}

static gboolean
hash_pages(const Image *image, KhFirmware *firmware, GError **error)
{
    g_autoptr(KhLaunchDigest) digest = kh_launch_digest_new(error);

    if (digest == NULL || !kh_sha256(image->data, image->size, firmware->sha256, error))
        return FALSE;
    firmware->size = image->size;
    firmware->gpa = FOUR_GIB - image->size;
    kh_launch_digest_add_data(digest, image->data, image->size, firmware->gpa);
    memcpy(firmware->pages_digest, kh_launch_digest_peek(digest), KH_LAUNCH_DIGEST_SIZE);
    return kh_launch_digest_check(digest, error);
}

KhFirmware *
kh_firmware_parse(const guint8 *data, gsize size, const char *name, GError **error)
{
    g_autoptr(KhFirmware) firmware = g_new0(KhFirmware, 1);
    Image image = {.data = data, .size = size, .name = name};

    firmware->name = g_strdup(name);
    if (!check_size(&image, error) || !read_tables(&image, firmware, error) ||
        !hash_pages(&image, firmware, error))
        return NULL;
    return g_steal_pointer(&firmware);
}

KhFirmware *
kh_firmware_load(const char *path, GError **error)
{
    g_autoptr(GBytes) content = kh_input_file_read(path, "firmware", KH_FIRMWARE_MAX, error);
    const guint8 *data;
    gsize size;

    if (content == NULL)
        return NULL;
    data = g_bytes_get_data(content, &size);
    return kh_firmware_parse(data, size, path, error);
}

gboolean
kh_firmware_check_kernel(const KhFirmware *self, GError **error)
{
    return self->measures_kernel ||
           refuse(self->name, error,
                  "has no SNP_KERNEL_HASHES section with a hash table: a kernel, initrd and "
                  "command line given to it would not be measured");
}

void
kh_firmware_free(KhFirmware *self)
{
    g_free(self->name);
    g_free(self);
}
