/* SPDX-License-Identifier: MIT */
/* Firmware images, most of them broken on purpose: service/tee/firmware.c. */
#include <fcntl.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "error.h"
#include "firmware-tail.h"
#include "firmware.h"

#define NAME "some/ovmf.fd"

/* Exactly @size bytes on the heap, so that a sanitizer sees a byte too many. */
static KhFirmware *
parse(const guint8 *bytes, gsize size, GError **error)
{
    g_autofree guint8 *copy = g_memdup2(bytes, size);

    return kh_firmware_parse(copy, size, NAME, error);
}

static void
refused(const guint8 *bytes, gsize size, const char *says)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(KhFirmware) firmware = parse(bytes, size, &error);

    g_assert_null(firmware);
    g_assert_error(error, KH_ERROR, KH_ERROR_NOT_SUPPORTED);
    g_assert_nonnull(strstr(error->message, NAME));
    if (strstr(error->message, says) == NULL)
        g_error("no \"%s\" in: %s", says, error->message);
}

static void
read_amdsev(void)
{
    g_autofree guint8 *tail = tail_new(TAIL_AMDSEV);
    g_autoptr(GError) error = NULL;
    g_autoptr(KhFirmware) firmware = parse(tail, TAIL_SIZE, &error);

    g_assert_no_error(error);
    g_assert_cmpstr(firmware->name, ==, NAME);
    g_assert_cmpuint(firmware->size, ==, TAIL_SIZE);
    g_assert_cmphex(firmware->gpa, ==, 0xfffff000);
    g_assert_cmphex(firmware->ap_eip, ==, 0x80b004);
    g_assert_cmpuint(firmware->n_sections, ==, 7);
    g_assert_cmphex(firmware->sections[5].gpa, ==, 0x810000);
    g_assert_cmphex(firmware->sections[5].size, ==, 0x1000);
    g_assert_cmphex(firmware->sections[5].type, ==, KH_SECTION_KERNEL_HASHES);
    g_assert_cmphex(firmware->sections[6].size, ==, 0xf000);
    g_assert_true(firmware->measures_kernel);
    g_assert_cmphex(firmware->hashes_offset, ==, 0xc00);
    g_assert_true(kh_firmware_check_kernel(firmware, &error));
}

static void
read_generic(void)
{
    g_autofree guint8 *tail = tail_new(TAIL_GENERIC);
    g_autoptr(GError) error = NULL;
    g_autoptr(KhFirmware) firmware = parse(tail, TAIL_SIZE, &error);

    g_assert_no_error(error);
    g_assert_cmpuint(firmware->n_sections, ==, 5);
    g_assert_false(kh_firmware_check_kernel(firmware, &error));
    g_assert_error(error, KH_ERROR, KH_ERROR_NOT_SUPPORTED);
    g_assert_nonnull(strstr(error->message, "SNP_KERNEL_HASHES"));
    g_assert_nonnull(strstr(error->message, NAME));
}

/* A section alone is not enough: the firmware must look where the monitor writes. */
static void
hashes_elsewhere(void)
{
    static const struct {
        guint32 base, size;
    } places[] = {{0, 0},           {0x810c00, 175}, {0x811c00, 0x400},
                  {0x810f51, 0xb0}, {0xc00, 0x400},  {0xffffffff, 0xffffffff}};
    g_autofree guint8 *tail = tail_new(TAIL_AMDSEV);

    for (gsize i = 0; i < G_N_ELEMENTS(places); i++) {
        g_autoptr(KhFirmware) firmware = NULL;

        tail_put32(tail + TAIL_ENTRY_HASHES, places[i].base);
        tail_put32(tail + TAIL_ENTRY_HASHES + 4, places[i].size);
        firmware = parse(tail, TAIL_SIZE, NULL);
        g_assert_nonnull(firmware);
        g_assert_false(firmware->measures_kernel);
    }
}

/* An image of 64 KiB: the tail at its end. */
static guint8 *
image_new(gsize size)
{
    g_autofree guint8 *tail = tail_new(TAIL_AMDSEV);
    guint8 *image = g_malloc0(size);

    memcpy(image + size - TAIL_SIZE, tail, TAIL_SIZE);
    return image;
}

static void
cut_short(void)
{
    const gsize size = 0x10000;
    g_autofree guint8 *image = image_new(size);

    for (gsize n = 0; n < size; n += 64)
        refused(image, n, n == 0 ? "is empty" : "it is cut short");
    for (gsize n = 1; n < 64; n++)
        refused(image, size - n, "it is cut short");
}

/* What is left of the end keeps its tables: whole pages are an image again, all else is none. */
static void
cut_at_front(void)
{
    const gsize size = 0x10000;
    g_autofree guint8 *image = image_new(size);

    for (gsize n = 64; n < size; n += 64) {
        g_autoptr(GError) error = NULL;
        g_autoptr(KhFirmware) firmware = parse(image + n, size - n, &error);

        g_assert_cmpint(firmware != NULL, ==, n % TAIL_SIZE == 0);
        if (firmware == NULL)
            g_assert_error(error, KH_ERROR, KH_ERROR_NOT_SUPPORTED);
    }
}

static void
too_large(void)
{
    g_autofree guint8 *image = image_new(KH_FIRMWARE_MAX + TAIL_SIZE);
    g_autoptr(KhFirmware) largest = parse(image + TAIL_SIZE, KH_FIRMWARE_MAX, NULL);

    g_assert_nonnull(largest);
    g_assert_cmphex(largest->gpa, ==, 0xff000000);
    refused(image, KH_FIRMWARE_MAX + TAIL_SIZE, "more than 16 MiB");
}

/* One field of the tail is made wrong. */
static void
broken_tables(void)
{
    static const struct {
        gsize place;
        guint bytes;
        guint32 value;
        const char *says;
    } cases[] = {
        {TAIL_FOOTER + 2, 2, 0, "no table of GUIDs"},
        {TAIL_FOOTER, 2, 17, "a table of 17 bytes"},
        {TAIL_FOOTER, 2, 4065, "a table of 4065 bytes"},
        {TAIL_FOOTER, 2, 0xffff, "a table of 65535 bytes"},
        {TAIL_FOOTER, 2, 18, "has no SEV metadata"},
        {TAIL_FOOTER, 2, 18 + 22 + 5, "5 surplus bytes"},
        {TAIL_FOOTER, 2, 18 + 22 + 20, "an entry of 26 bytes in its table of 20"},
        {TAIL_ENTRY_RESET + 4, 2, 0, "an entry of 0 bytes"},
        {TAIL_ENTRY_RESET + 4, 2, 17, "an entry of 17 bytes"},
        {TAIL_ENTRY_RESET + 4, 2, 0xffff, "an entry of 65535 bytes"},
        {TAIL_ENTRY_RESET + 4, 2, 18, "has only 0 bytes in the entry 00f771de"},
        {TAIL_ENTRY_RESET + 6, 2, 0, "no SEV-ES reset block"},
        {TAIL_ENTRY_METADATA + 6, 2, 0, "has no SEV metadata"},
        {TAIL_ENTRY_METADATA, 4, 0, "no SEV metadata where its table says"},
        {TAIL_ENTRY_METADATA, 4, 15, "no SEV metadata where its table says"},
        {TAIL_ENTRY_METADATA, 4, TAIL_METADATA - 1, "no SEV metadata where its table says"},
        {TAIL_ENTRY_METADATA, 4, TAIL_SIZE + 1, "no SEV metadata where its table says"},
        {TAIL_ENTRY_METADATA, 4, 0xffffffff, "no SEV metadata where its table says"},
        {TAIL_METADATA, 4, 0, "no SEV metadata where its table says"},
        {TAIL_METADATA + 4, 4, 99, "SEV metadata of 99 bytes with 7 sections"},
        {TAIL_METADATA + 4, 4, TAIL_SIZE - TAIL_METADATA + 1, "with 7 sections"},
        {TAIL_METADATA + 4, 4, 0xffffffff, "with 7 sections"},
        {TAIL_METADATA + 8, 4, 2, "the unknown version 2"},
        {TAIL_METADATA + 12, 4, 8, "SEV metadata of 100 bytes with 8 sections"},
        {TAIL_METADATA + 12, 4, 65, "more than 64"},
        {TAIL_METADATA + 12, 4, 0xffffffff, "more than 64"},
        {TAIL_METADATA + 16, 4, 0x800001, "a section of type 0x1"},
        {TAIL_METADATA + 16, 4, 0xfffff000, "a section of type 0x1"},
        {TAIL_METADATA + 20, 4, 0, "a section of type 0x1"},
        {TAIL_METADATA + 20, 4, 0x9001, "a section of type 0x1"},
        {TAIL_METADATA + 20, 4, 0xfffff000, "a section of type 0x1"},
        {TAIL_METADATA + 20, 4, 0x4000000, "more than 64 MiB"},
        {TAIL_METADATA + 24, 4, 0, "the unknown type 0x0"},
        {TAIL_METADATA + 24, 4, 5, "the unknown type 0x5"},
        {TAIL_METADATA + 24, 4, 2, "a section of type 0x2 with 0x9000 bytes"},
        {TAIL_METADATA + 24, 4, 3, "a section of type 0x3 with 0x9000 bytes"},
        {TAIL_METADATA + 24, 4, 16, "a section of type 0x10 with 0x9000 bytes"},
    };

    for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree guint8 *tail = tail_new(TAIL_AMDSEV);

        if (cases[i].bytes == 2)
            tail_put16(tail + cases[i].place, (guint16)cases[i].value);
        else
            tail_put32(tail + cases[i].place, cases[i].value);
        refused(tail, TAIL_SIZE, cases[i].says);
    }
}

static void
same_entry_twice(void)
{
    g_autofree guint8 *tail = tail_new(TAIL_AMDSEV);

    memcpy(tail + TAIL_ENTRY_METADATA + 6, tail + TAIL_ENTRY_RESET + 6, 16);
    refused(tail, TAIL_SIZE, "00f771de-1a7e-4fcb-890e-68c77e2fb44e twice");
}

/* Two pages for the hashes: the firmware reads one of them only. */
static void
hashes_twice(void)
{
    g_autofree guint8 *tail = tail_new(TAIL_AMDSEV);

    tail_put32(tail + TAIL_METADATA + 24 + 2 * 12, KH_SECTION_KERNEL_HASHES);
    refused(tail, TAIL_SIZE, "more than one section for the hashes of a kernel");
}

/* Whatever a byte of the tables becomes, the answer is an image or an error of ours. */
static void
altered_bytes(void)
{
    const gsize start = TAIL_TABLE, metadata_end = TAIL_METADATA + 16 + 7 * 12;
    guint accepted = 0, failed = 0;

    for (gsize i = TAIL_METADATA; i < TAIL_SIZE; i = i + 1 == metadata_end ? start : i + 1)
        for (guint value = 0; value < 256; value += 51) {
            g_autofree guint8 *tail = tail_new(TAIL_AMDSEV);
            g_autoptr(GError) error = NULL;
            g_autoptr(KhFirmware) firmware = NULL;

            tail[i] = (guint8)value;
            firmware = parse(tail, TAIL_SIZE, &error);
            g_assert_true((firmware == NULL) == (error != NULL));
            if (error != NULL)
                g_assert_error(error, KH_ERROR, KH_ERROR_NOT_SUPPORTED);
            if (firmware != NULL)
                g_assert_cmpuint(firmware->n_sections, <=, 7);
            accepted += firmware != NULL;
            failed += firmware == NULL;
        }
    g_assert_cmpuint(accepted, >, 100);
    g_assert_cmpuint(failed, >, 500);
}

static void
not_loaded(const char *path, KhError code, const char *says)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(KhFirmware) firmware = kh_firmware_load(path, &error);

    g_assert_null(firmware);
    g_assert_error(error, KH_ERROR, (int)code);
    g_assert_nonnull(strstr(error->message, says));
}

/* A pipe without a writer must not be waited for. */
static void
files(void)
{
    g_autofree char *folder = g_dir_make_tmp("kh-firmware-XXXXXX", NULL);
    g_autofree char *large = g_build_filename(folder, "large", NULL);
    g_autofree char *pipe = g_build_filename(folder, "pipe", NULL);
    g_autofree char *missing = g_build_filename(folder, "missing", NULL);
    int fd = open(large, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);

    g_assert_cmpint(ftruncate(fd, KH_FIRMWARE_MAX + 1), ==, 0);
    close(fd);
    g_assert_cmpint(mkfifo(pipe, 0600), ==, 0);
    not_loaded(large, KH_ERROR_NOT_SUPPORTED, "16777217 bytes; at most 16 MiB");
    not_loaded(pipe, KH_ERROR_NOT_SUPPORTED, "not a regular file");
    not_loaded(folder, KH_ERROR_NOT_SUPPORTED, "not a regular file");
    not_loaded(missing, KH_ERROR_NOT_FOUND, "cannot be opened");
    not_loaded("/dev/null", KH_ERROR_NOT_SUPPORTED, "is empty");
    not_loaded("/dev/zero", KH_ERROR_NOT_SUPPORTED, "not a regular file");
    g_unlink(large);
    g_unlink(pipe);
    g_rmdir(folder);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/firmware/amdsev", read_amdsev);
    g_test_add_func("/firmware/generic", read_generic);
    g_test_add_func("/firmware/hashes-elsewhere", hashes_elsewhere);
    g_test_add_func("/firmware/cut-short", cut_short);
    g_test_add_func("/firmware/cut-at-front", cut_at_front);
    g_test_add_func("/firmware/too-large", too_large);
    g_test_add_func("/firmware/broken-tables", broken_tables);
    g_test_add_func("/firmware/same-entry-twice", same_entry_twice);
    g_test_add_func("/firmware/hashes-twice", hashes_twice);
    g_test_add_func("/firmware/altered-bytes", altered_bytes);
    g_test_add_func("/firmware/files", files);
    return g_test_run();
}
