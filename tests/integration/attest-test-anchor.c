/* SPDX-License-Identifier: MIT */
/*
 * The verb attest, trusting the root of a test instead of AMD's: the certificate in the file
 * that KH_TEST_ROOT names. Never installed. Run by test_attest.py.
 */
#include <openssl/sha.h>
#include <string.h>

#include "attest.h"
#include "bytes.h"

int
main(int argc, char **argv)
{
    char *none[] = {NULL};
    KhCli cli = {.verb = "attest", .help = "attest", .args = argv, .rest = none};
    g_autoptr(GBytes) root = kh_bytes_read_file(g_getenv("KH_TEST_ROOT"), 65536, TRUE, NULL);
    KhAnchors *anchors = kh_anchors_new_empty(FALSE);
    guint8 sha256[KH_FINGERPRINT_SIZE];
    int code;

    g_assert_nonnull(root);
    SHA256(g_bytes_get_data(root, NULL), g_bytes_get_size(root), sha256);
    kh_anchors_add_root(anchors, sha256);
    for (int i = 1; i < argc; i++)
        cli.json = cli.json || g_str_equal(argv[i], "--json");
    code = kh_attest_run(&cli, anchors);
    g_clear_object(&cli.bus);
    g_free(cli.host);
    return code;
}
