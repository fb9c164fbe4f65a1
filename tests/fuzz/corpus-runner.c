/* SPDX-License-Identifier: MIT */
/*
 * Runs a fuzz target over a corpus as an ordinary test: each file whole, and cut short at every
 * 64th byte. Usage: corpus-NAME FOLDER
 */
#include <stdio.h>

#include <glib.h>

#include "fuzz.h"

static void
run_file(const char *path)
{
    g_autofree char *data = NULL;
    gsize length;

    g_assert_true(g_file_get_contents(path, &data, &length, NULL));
    LLVMFuzzerTestOneInput((const uint8_t *)data, length);
    for (gsize n = 0; n < length; n += 64) {
        /* A copy of its own, so that a sanitizer sees what is read beyond. */
        g_autofree uint8_t *cut = g_memdup2(data, n);

        LLVMFuzzerTestOneInput(cut, n);
    }
}

int
main(int argc, char **argv)
{
    g_autoptr(GDir) dir = argc == 2 ? g_dir_open(argv[1], 0, NULL) : NULL;
    const char *name;
    guint n = 0;

    if (dir == NULL) {
        fprintf(stderr, "usage: %s FOLDER\n", argv[0]);
        return 2;
    }
    LLVMFuzzerInitialize(&argc, &argv);
    while ((name = g_dir_read_name(dir)) != NULL) {
        g_autofree char *path = g_build_filename(argv[1], name, NULL);

        run_file(path);
        printf("ok %u - %s\n", ++n, name);
    }
    printf("1..%u\n", n);
    return n > 0 ? 0 : 1;
}
