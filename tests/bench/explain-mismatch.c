/* SPDX-License-Identifier: MIT */
/*
 * explain-mismatch OVMF KERNEL INITRD OTHER-INITRD: prints the seconds of one measurement,
 * files included, and those of a search that finds nothing, which is the longest: with a
 * second image at hand, its files included. Called by tests/bench/run.
 */
#include <glib.h>

#include "measurement.h"
#include "mismatch-search.h"

static const KhLaunchShape shape = {4, 0x800f12, 0x1, KH_VMM_QEMU};

static KhBootParts *
load(char **files, const char *initrd)
{
    g_autoptr(GError) error = NULL;
    KhBootParts *parts = kh_boot_parts_load(files[1], files[2], initrd, &error);

    if (parts == NULL)
        g_error("%s", error->message);
    return parts;
}

static double
since(gint64 start)
{
    return (double)(g_get_monotonic_time() - start) / G_USEC_PER_SEC;
}

int
main(int argc, char **argv)
{
    const guint8 observed[KH_LAUNCH_DIGEST_SIZE] = {0};
    guint8 measurement[KH_LAUNCH_DIGEST_SIZE];
    g_autoptr(KhBootParts) parts = NULL;
    g_autoptr(KhBootParts) other = NULL;
    g_autoptr(KhExplanation) explanation = NULL;
    KhLaunch launch = {.cmdline = "console=ttyS0", .shape = shape};
    KhNeighbourImage image = {.name = "other"};
    double measured;
    gint64 start;

    if (argc != 5)
        g_error("usage: explain-mismatch OVMF KERNEL INITRD OTHER-INITRD");
    start = g_get_monotonic_time();
    parts = load(argv, argv[3]);
    launch.parts = parts;
    g_assert_true(kh_launch_measure(&launch, measurement, NULL));
    measured = since(start);
    start = g_get_monotonic_time();
    other = load(argv, argv[4]);
    image.parts = other;
    explanation = kh_mismatch_search(
        &launch, observed, &(KhNeighbours){&image, 1, "a0b1c2d3-0000-4000-8000-00000000000f"},
        NULL);
    g_assert_true(explanation != NULL && !explanation->found);
    g_print("{\"measure\": %f, \"explain\": %f, \"candidates\": %" G_GUINT64_FORMAT "}\n", measured,
            since(start), explanation->n_candidates);
    return 0;
}
