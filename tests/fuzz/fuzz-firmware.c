/* SPDX-License-Identifier: MIT */
/*
 * Fuzz target: a byte of choices, then the end of a firmware image. It is filled up with zeros
 * in front to whole pages, unless the choice is to take it as it is.
 */
#include <string.h>

#include "error.h"
#include "fuzz.h"
#include "measurement.h"

#define CHOICE_KERNEL 0x01
#define CHOICE_FEATURES 0x02
#define CHOICE_VCPUS(choice) (1 + ((choice) >> 2 & 3))
#define CHOICE_VMM(choice) ((choice) >> 4 & 3)
#define CHOICE_AS_IT_IS 0x80

#define NAME "the-image"
#define FOUR_GIB (G_GUINT64_CONSTANT(1) << 32)
#define MEASURED_SECTIONS_MAX (64 * 1024 * 1024)

static void
check_firmware(const KhFirmware *firmware, gsize size)
{
    guint64 bytes = 0;
    guint hashes = 0;

    g_assert_cmpint(firmware->size, ==, size);
    g_assert_cmpint(firmware->gpa + firmware->size, ==, FOUR_GIB);
    g_assert_cmpint(firmware->n_sections, <=, KH_FIRMWARE_SECTIONS_MAX);
    for (guint i = 0; i < firmware->n_sections; i++) {
        const KhFirmwareSection *section = &firmware->sections[i];

        g_assert_cmpint((section->gpa | section->size) % KH_PAGE_SIZE, ==, 0);
        g_assert_cmpint((guint64)section->gpa + section->size, <=, FOUR_GIB);
        bytes += section->size;
        hashes += section->type == KH_SECTION_KERNEL_HASHES;
    }
    g_assert_cmpint(hashes, <=, 1);
    g_assert_cmpint(bytes, <=, MEASURED_SECTIONS_MAX);
}

/* One firmware, two launches. */
static void
check_differs(const KhLaunch *launch, const guint8 measured[KH_LAUNCH_DIGEST_SIZE])
{
    guint8 other[KH_LAUNCH_DIGEST_SIZE];

    g_assert_true(kh_launch_measure(launch, other, NULL));
    g_assert_true(memcmp(other, measured, sizeof other) != 0);
}

/* Without the kernel, with another one. */
static void
check_kernel_counts(KhLaunch launch, const guint8 measured[KH_LAUNCH_DIGEST_SIZE])
{
    KhBootParts parts = *launch.parts;

    launch.parts = &parts;
    parts.kernel.sha256[0] ^= 1;
    check_differs(&launch, measured);
    parts.has_kernel = FALSE;
    check_differs(&launch, measured);
}

/* A kernel is measured or refused, never passed over. */
static void
measure(KhFirmware *firmware, guint8 choice)
{
    static const KhVmm vmms[] = {KH_VMM_QEMU, KH_VMM_EC2, KH_VMM_GCE, KH_VMM_QEMU};
    KhBootParts parts = {.firmware = firmware, .has_kernel = (choice & CHOICE_KERNEL) != 0};
    const KhLaunch launch = {.parts = &parts,
                             .cmdline = "console=ttyS0",
                             .shape = {.vcpus = CHOICE_VCPUS(choice),
                                       .vcpu_signature = 0x800f12,
                                       .guest_features = (choice & CHOICE_FEATURES) ? 0x21 : 0x1,
                                       .vmm = vmms[CHOICE_VMM(choice)]}};
    guint8 once[KH_LAUNCH_DIGEST_SIZE], again[KH_LAUNCH_DIGEST_SIZE];
    g_autoptr(GError) error = NULL;

    if (!kh_launch_measure(&launch, once, &error)) {
        g_assert_error(error, KH_ERROR, KH_ERROR_NOT_SUPPORTED);
        g_assert_true(parts.has_kernel && !firmware->measures_kernel);
        return;
    }
    g_assert_true(!parts.has_kernel || firmware->measures_kernel);
    g_assert_true(kh_launch_measure(&launch, again, NULL));
    g_assert_cmpmem(once, sizeof once, again, sizeof again);
    if (parts.has_kernel)
        check_kernel_counts(launch, once);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autofree guint8 *image = NULL;
    g_autoptr(GError) error = NULL;
    g_autoptr(KhFirmware) firmware = NULL;
    gsize whole, length = size - 1;

    if (size == 0)
        return 0;
    whole = (length + KH_PAGE_SIZE - 1) / KH_PAGE_SIZE * KH_PAGE_SIZE;
    if ((data[0] & CHOICE_AS_IT_IS) != 0)
        whole = length;
    image = g_malloc0(whole);
    if (length > 0)
        memcpy(image + whole - length, data + 1, length);
    firmware = kh_firmware_parse(image, whole, NAME, &error);
    g_assert_true((firmware == NULL) == (error != NULL));
    if (firmware == NULL) {
        g_assert_error(error, KH_ERROR, KH_ERROR_NOT_SUPPORTED);
        g_assert_nonnull(strstr(error->message, NAME));
        return 0;
    }
    check_firmware(firmware, whole);
    measure(firmware, data[0]);
    return 0;
}
