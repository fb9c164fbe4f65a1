/* SPDX-License-Identifier: MIT */
/* Tests of how uids are given out: two services with one folder of locks. */
#include "launch/uid-pool.h"

#include <glib/gstdio.h>
#include <unistd.h>

#include "error.h"

typedef struct {
    char *folder, *locks;
    KhStore *stores[2];
    KhUidPool *pools[2];
    KhUidRange range;
} Fixture;

static void
add_service(Fixture *f, guint n)
{
    g_autofree char *name = g_strdup_printf("state-%u.db", n);
    g_autofree char *path = g_build_filename(f->folder, name, NULL);
    g_autoptr(GError) error = NULL;

    f->stores[n] = kh_store_open(path, &error);
    g_assert_no_error(error);
    f->pools[n] = kh_uid_pool_new(f->stores[n], &f->range, f->locks, path, &error);
    g_assert_no_error(error);
}

static void
set_up(Fixture *f, gconstpointer data)
{
    f->folder = g_dir_make_tmp("kh-uids-XXXXXX", NULL);
    f->locks = g_build_filename(f->folder, "run", "uids", NULL);
    f->range = (KhUidRange){1999990000, 1999990003};
    add_service(f, 0);
    add_service(f, 1);
}

static void
remove_tree(const char *path)
{
    g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);
    const char *name;

    while (dir != NULL && (name = g_dir_read_name(dir)) != NULL) {
        g_autofree char *child = g_build_filename(path, name, NULL);

        remove_tree(child);
    }
    g_remove(path);
}

static void
tear_down(Fixture *f, gconstpointer data)
{
    for (guint i = 0; i < 2; i++) {
        g_clear_object(&f->pools[i]);
        g_clear_object(&f->stores[i]);
    }
    remove_tree(f->folder);
    g_free(f->folder);
    g_free(f->locks);
}

static guint32
claim(Fixture *f, guint service)
{
    g_autoptr(GError) error = NULL;
    gint64 uid = kh_uid_pool_claim(f->pools[service], &error);

    g_assert_no_error(error);
    g_assert_cmpint(uid, >=, f->range.first);
    g_assert_cmpint(uid, <=, f->range.last);
    return (guint32)uid;
}

/* What the manager does with a uid: a row that has it. */
static void
insert(Fixture *f, guint service, const char *name, guint16 port, guint32 uid)
{
    static const KhConfigLimits limits = {G_MAXINT64, G_MAXINT64};
    g_autoptr(GVariant) empty = g_variant_ref_sink(g_variant_new("a{sv}", NULL));
    g_autoptr(KhConfig) config = kh_config_new(empty, &limits, NULL);
    g_autoptr(KhRecord) record = kh_record_new();
    g_autoptr(GError) error = NULL;

    record->id = g_strdup(name);
    record->name = g_strdup(name);
    record->config = kh_config_with(config, "rpc-port", g_variant_new_uint16(port));
    record->vm_uid = uid;
    g_assert_true(kh_store_insert(f->stores[service], record, &error));
}

static void
remove_row(Fixture *f, guint service, const char *name, guint32 uid)
{
    g_assert_true(kh_store_remove(f->stores[service], name, NULL));
    kh_uid_pool_release(f->pools[service], uid);
}

static void
never_shared(Fixture *f, gconstpointer data)
{
    g_autoptr(GHashTable) seen = g_hash_table_new(NULL, NULL);
    g_autoptr(GError) error = NULL;

    for (guint i = 0; i < 4; i++)
        g_assert_true(g_hash_table_add(seen, GUINT_TO_POINTER(claim(f, i % 2))));
    g_assert_cmpint(kh_uid_pool_claim(f->pools[0], &error), ==, -1);
    g_assert_error(error, KH_ERROR, KH_ERROR_LIMIT_EXCEEDED);
}

/* A uid is not given out again while another has never been, and then the oldest one. */
static void
longest_free_first(Fixture *f, gconstpointer data)
{
    guint32 uids[4];
    static const char *const names[] = {"a", "b", "c", "d"};

    for (guint i = 0; i < 3; i++) {
        uids[i] = claim(f, 0);
        insert(f, 0, names[i], (guint16)(5050 + i), uids[i]);
    }
    remove_row(f, 0, "b", uids[1]);
    g_usleep(2);
    remove_row(f, 0, "a", uids[0]);
    uids[3] = claim(f, 0);
    for (guint i = 0; i < 3; i++)
        g_assert_cmpuint(uids[3], !=, uids[i]);
    insert(f, 0, "d", 5060, uids[3]);
    g_assert_cmpuint(claim(f, 0), ==, uids[1]);
}

/* After a reboot the folder of locks is empty: the first to come has it. */
static void
confirmed_after_reboot(Fixture *f, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    guint32 uid = claim(f, 0);
    g_autofree char *name = g_strdup_printf("%u", uid);
    g_autofree char *lock = g_build_filename(f->locks, name, NULL);

    g_assert_true(kh_uid_pool_confirm(f->pools[0], uid, NULL));
    g_assert_false(kh_uid_pool_confirm(f->pools[1], uid, NULL));
    kh_uid_pool_release(f->pools[1], uid);
    g_assert_true(g_file_test(lock, G_FILE_TEST_EXISTS));
    g_assert_cmpint(g_unlink(lock), ==, 0);
    g_assert_true(kh_uid_pool_confirm(f->pools[1], uid, NULL));
    g_assert_false(kh_uid_pool_confirm(f->pools[0], uid, &error));
    g_assert_error(error, KH_ERROR, KH_ERROR_RESOURCE_UNAVAILABLE);
}

/* A service claims what its database holds before another one can take it. */
static void
claimed_again_at_start(Fixture *f, gconstpointer data)
{
    guint32 uid = claim(f, 0);
    g_autofree char *name = g_strdup_printf("%u", uid);
    g_autofree char *lock = g_build_filename(f->locks, name, NULL);

    insert(f, 0, "a", 5050, uid);
    g_assert_cmpint(g_unlink(lock), ==, 0);
    g_clear_object(&f->pools[0]);
    g_clear_object(&f->stores[0]);
    add_service(f, 0);
    g_assert_cmpuint(claim(f, 1), !=, uid);
}

/* A claim that never got its row is dropped, another service's is not. */
static void
leaked_claims(Fixture *f, gconstpointer data)
{
    guint32 leaked = claim(f, 0), kept = claim(f, 0), foreign = claim(f, 1);

    insert(f, 0, "a", 5050, kept);
    kh_uid_pool_drop_leaked(f->pools[0]);
    g_assert_true(kh_uid_pool_confirm(f->pools[1], leaked, NULL));
    g_assert_false(kh_uid_pool_confirm(f->pools[1], kept, NULL));
    g_assert_true(kh_uid_pool_confirm(f->pools[1], foreign, NULL));
}

/* A lock that is a link is nobody's, and what it points at stays. */
static void
planted_locks(Fixture *f, gconstpointer data)
{
    g_autofree char *lock = g_build_filename(f->locks, "1999990000", NULL);
    g_autofree char *outside = g_build_filename(f->folder, "outside", NULL);

    g_assert_true(g_file_set_contents(outside, "", 0, NULL));
    g_assert_cmpint(symlink(outside, lock), ==, 0);
    g_assert_cmpuint(claim(f, 0), ==, 1999990001);
    g_assert_false(kh_uid_pool_confirm(f->pools[0], 1999990000, NULL));
    kh_uid_pool_release(f->pools[0], 1999990000);
    g_assert_true(g_file_test(outside, G_FILE_TEST_EXISTS));
}

static void
running_uids_are_skipped(Fixture *f, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    KhUidRange own = {(guint32)getuid(), (guint32)getuid()};
    g_autoptr(KhUidPool) pool = kh_uid_pool_new(f->stores[0], &own, f->locks, "me", &error);

    g_assert_no_error(error);
    g_assert_cmpint(kh_uid_pool_claim(pool, NULL), ==, -1);
}

static void
ranges(void)
{
    static const char *const bad[] = {
        "", "1000", "-", "999-2000", "2000-1999", "1000-4294967294", "a-b", "1000-2000-3000"};
    const KhUidRange range = {1000, 1999};
    KhUidRange parsed;

    for (guint i = 0; i < G_N_ELEMENTS(bad); i++)
        g_assert_false(kh_uid_range_parse(bad[i], &parsed, NULL));
    g_assert_true(kh_uid_range_parse(KH_UID_RANGE_DEFAULT, &parsed, NULL));
    g_assert_true(kh_uid_range_is_mapped(&range, "         0          0 4294967295\n"));
    g_assert_true(kh_uid_range_is_mapped(&range, "0 1000 1\n1000 100000 1000\n"));
    g_assert_false(kh_uid_range_is_mapped(&range, "0 1000 1\n1000 100000 999\n"));
    g_assert_false(kh_uid_range_is_mapped(&range, ""));
}

#define ADD(path, function) g_test_add(path, Fixture, NULL, set_up, function, tear_down)

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    ADD("/uids/never-shared", never_shared);
    ADD("/uids/longest-free", longest_free_first);
    ADD("/uids/reboot", confirmed_after_reboot);
    ADD("/uids/start", claimed_again_at_start);
    ADD("/uids/leaked", leaked_claims);
    ADD("/uids/planted", planted_locks);
    ADD("/uids/running", running_uids_are_skipped);
    g_test_add_func("/uids/ranges", ranges);
    return g_test_run();
}
