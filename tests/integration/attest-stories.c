/* SPDX-License-Identifier: MIT */
/*
 * Writes what a host could tell into a folder: answers of Katana with reports of a processor of
 * this program's own, and its certificates. Arguments: the folder, the measurement of the true
 * story, another one, that of a sealed machine, that of one with a virtual top of memory. Run by
 * test_attest.py.
 */
#include <openssl/pem.h>

#include "attest-story.h"
#include "bytes.h"

#define MEASUREMENT 0x90
#define NOT_CANONICAL "0x800000000000011000000000000000000000000000000000000000000000b08"

static void
write_file(const char *folder, const char *name, gconstpointer data, gssize length)
{
    g_autofree char *path = g_build_filename(folder, name, NULL);
    g_autoptr(GError) error = NULL;

    g_file_set_contents(path, data, length, &error);
    g_assert_no_error(error);
}

/* Takes @bytes. */
static void
write_bytes(const char *folder, const char *name, GBytes *bytes)
{
    gsize length;
    gconstpointer data = g_bytes_get_data(bytes, &length);

    write_file(folder, name, data, (gssize)length);
    g_bytes_unref(bytes);
}

static void
write_story(const char *folder, const char *name, const KhTestStory *story)
{
    g_autofree char *text = kh_test_story_tell(story);

    write_file(folder, name, text, -1);
}

static void
write_certificates(const char *folder, KhTestStory *story)
{
    write_bytes(folder, "root.der", kh_test_certificate_make(&story->root));
    write_bytes(folder, "intermediate.der", kh_test_certificate_make(&story->intermediate));
    write_bytes(folder, "leaf.der", kh_test_certificate_make(&story->leaf));
    write_bytes(folder, "crl", kh_test_crl_make(&story->crl));
    story->intermediate.serial = story->crl.revoked = 77;
    write_bytes(folder, "revoked.der", kh_test_certificate_make(&story->intermediate));
    write_bytes(folder, "crl-revoked", kh_test_crl_make(&story->crl));
    /* Made after the day of which the stories tell. */
    story->crl.last_update += KH_TEST_YEAR - 30 * 24 * 60 * 60;
    story->crl.next_update += KH_TEST_YEAR;
    write_bytes(folder, "crl-later", kh_test_crl_make(&story->crl));
    story->crl.revoked = 0;
    write_bytes(folder, "crl-later-empty", kh_test_crl_make(&story->crl));
    story->root.signer = story->root.key = story->keys->intermediate;
    write_bytes(folder, "other-root.der", kh_test_certificate_make(&story->root));
}

static void
write_measured(const char *folder, const char *name, KhTestStory *story, const char *measurement)
{
    g_assert_true(
        kh_bytes_from_hex(measurement, "measurement", story->report + MEASUREMENT, 48, NULL));
    write_story(folder, name, story);
}

static void
write_stories(const char *folder, KhTestStory *story)
{
    write_story(folder, "truth", story);
    story->block--;
    write_story(folder, "older", story);
    story->block++;
    story->chain_id = "SN_MAIN";
    write_story(folder, "other-chain", story);
    story->chain_id = KH_TEST_CHAIN_ID;
    story->shown_hash = NOT_CANONICAL;
    write_story(folder, "not-canonical", story);
    story->shown_hash = NULL;
    story->mock = TRUE;
    write_story(folder, "mock", story);
    story->mock = FALSE;
}

/* The true story with keys of somebody else, and the certificates of these. */
static void
write_foreign(const char *folder, const char *measurement)
{
    KhTestKeys keys;
    KhTestStory story;

    kh_test_keys_make(&keys);
    kh_test_story_init(&story, &keys);
    write_measured(folder, "foreign", &story, measurement);
    write_bytes(folder, "foreign-root.der", kh_test_certificate_make(&story.root));
    write_bytes(folder, "foreign-intermediate.der", kh_test_certificate_make(&story.intermediate));
    write_bytes(folder, "foreign-leaf.der", kh_test_certificate_make(&story.leaf));
    write_bytes(folder, "foreign-crl", kh_test_crl_make(&story.crl));
    kh_test_story_clear(&story);
    kh_test_keys_clear(&keys);
}

int
main(int argc, char **argv)
{
    KhTestKeys keys;
    KhTestStory story;

    g_assert_cmpint(argc, ==, 6);
    kh_test_keys_make(&keys);
    kh_test_story_init(&story, &keys);
    g_assert_true(kh_bytes_from_hex(argv[2], "measurement", story.report + MEASUREMENT, 48, NULL));
    write_stories(argv[1], &story);
    write_measured(argv[1], "other-measurement", &story, argv[3]);
    write_measured(argv[1], "sealed", &story, argv[4]);
    write_measured(argv[1], "top-of-memory", &story, argv[5]);
    write_certificates(argv[1], &story);
    write_foreign(argv[1], argv[2]);
    kh_test_story_clear(&story);
    kh_test_keys_clear(&keys);
    return 0;
}
