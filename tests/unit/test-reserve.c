/* SPDX-License-Identifier: MIT */
/*
 * Tests of the state database on a full disk: at each of the last 100 blocks what has been
 * decided is written, an instance is removed, and the database opens again. On small file
 * systems of the test's own, so as root only and in thorough mode.
 */
#include "state/store.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "error.h"
#include "model/config-checks.h"
#include "state/copies.h"
#include "state/reserve.h"
#include "state/sql.h"

#define BLOCK 4096
#define LEVELS 100
#define RESTARTS 40

typedef struct {
    const char *make, *mount; /* commands, %s: folder of the test */
} Disk;

static const Disk tmpfs = {"mkdir %s/disk", "mount -t tmpfs -o size=6M none %s/disk"};
static const Disk ext4 = {
    "mkdir %s/disk && truncate -s 24M %s/image && mkfs.ext4 -q -b 4096 %s/image",
    "mount -o loop %s/image %s/disk"};
static const Disk small_blocks = {
    "mkdir %s/disk && truncate -s 12M %s/image && mkfs.ext4 -q -b 1024 %s/image",
    "mount -o loop %s/image %s/disk"};

typedef struct {
    char *base, *folder, *path, *filler;
    gboolean mounted;
} Fixture;

/* A command of a shell in which "%s" is the test's folder. */
static gboolean
run(Fixture *f, const char *command)
{
    g_auto(GStrv) parts = g_strsplit(command, "%s", -1);
    g_autofree char *text = g_strjoinv(f->base, parts);
    const char *words[] = {"sh", "-c", text, NULL};
    int status = -1;

    return g_spawn_sync(NULL, (char **)words, NULL,
                        G_SPAWN_SEARCH_PATH | G_SPAWN_STDERR_TO_DEV_NULL, NULL, NULL, NULL, NULL,
                        &status, NULL) &&
           status == 0;
}

static void
set_up(Fixture *f, gconstpointer data)
{
    const Disk *disk = data; /* NULL: none */

    f->base = g_dir_make_tmp("kh-reserve-XXXXXX", NULL);
    f->folder = g_build_filename(f->base, "disk", NULL);
    f->path = g_build_filename(f->folder, "state.db", NULL);
    f->filler = g_build_filename(f->folder, "filler", NULL);
    f->mounted = disk != NULL && geteuid() == 0 && run(f, disk->make) && run(f, disk->mount);
}

static void
tear_down(Fixture *f, gconstpointer data)
{
    if (f->mounted)
        g_assert_true(run(f, "umount %s/disk"));
    g_assert_true(run(f, "rm -r %s"));
    g_free(f->base);
    g_free(f->folder);
    g_free(f->path);
    g_free(f->filler);
}

/* Leaves @blocks, and the rest of one, of what is free now. */
static void
fill(Fixture *f, guint blocks)
{
    int fd = g_open(f->filler, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    char bytes[BLOCK] = "";
    off_t size;

    g_assert_cmpint(fd, >=, 0);
    do {
        while (write(fd, bytes, sizeof bytes) > 0)
            ;
        g_assert_cmpint(errno, ==, ENOSPC);
        /* What was freed a moment ago comes with the journal. */
    } while (fsync(fd) == 0 && write(fd, bytes, sizeof bytes) > 0);
    size = lseek(fd, 0, SEEK_END);
    g_assert_cmpint(ftruncate(fd, MAX(0, size - (off_t)blocks * BLOCK)), ==, 0);
    fsync(fd);
    close(fd);
}

static KhRecord *
record_of(const char *id, guint16 port)
{
    const KhConfigLimits limits = {G_MAXINT64, G_MAXINT64};
    g_autoptr(GVariant) empty = g_variant_ref_sink(g_variant_new("a{sv}", NULL));
    g_autoptr(KhConfig) config = kh_config_new(empty, &limits, NULL);
    KhRecord *record = kh_record_new();

    record->id = g_strdup(id);
    record->name = g_strdup(id);
    record->config = kh_config_with(config, "rpc-port", g_variant_new_uint16(port));
    record->vm_uid = -1;
    record->state = KH_STATE_RUNNING;
    return record;
}

static KhStore *
open_store(Fixture *f)
{
    g_autoptr(GError) error = NULL;
    KhStore *store = kh_store_open(f->path, &error);

    g_assert_no_error(error);
    return store;
}

/* An operator's stop, with a reason that needs room. */
static void
decide(KhStore *store, KhRecord *record)
{
    g_autoptr(GError) error = NULL;

    record->state = KH_STATE_STOPPED;
    g_free(record->reason);
    record->reason = g_strnfill(1500, 'r');
    kh_store_update(store, record, &error);
    g_assert_no_error(error);
}

static void
check_whole(Fixture *f, guint wanted)
{
    g_autoptr(KhStore) store = open_store(f);
    g_autoptr(GPtrArray) records = kh_store_load(store, NULL);

    g_assert_cmpuint(records->len, ==, wanted);
    for (guint i = 0; i < wanted; i++)
        g_assert_cmpint(((KhRecord *)records->pdata[i])->state, ==, KH_STATE_STOPPED);
}

static void
at_level(Fixture *f, guint blocks)
{
    g_autoptr(KhStore) store = open_store(f);
    g_autoptr(KhRecord) one = record_of("one-0000000000000000", 5001);
    g_autoptr(KhRecord) two = record_of("two-0000000000000000", 5002);
    g_autoptr(KhRecord) three = record_of("three-00000000000000", 5003);
    g_autoptr(GError) error = NULL;

    g_assert_true(kh_store_insert(store, one, NULL));
    g_assert_true(kh_store_insert(store, two, NULL));
    g_assert_true(kh_store_insert(store, three, NULL));
    fill(f, blocks);
    decide(store, one);
    decide(store, two);
    decide(store, three);
    kh_store_remove(store, one->id, &error);
    g_assert_no_error(error);
    g_clear_object(&store);
    /* What the end of the service has freed is taken by others. */
    fill(f, blocks);
    check_whole(f, 2);
    store = open_store(f);
    kh_store_remove(store, two->id, &error);
    g_assert_no_error(error);
    g_clear_object(&store);
    check_whole(f, 1);
}

static void
every_level(Fixture *f, gconstpointer data)
{
    if (!f->mounted) {
        g_test_skip("no file system can be mounted here");
        return;
    }
    for (guint blocks = 0; blocks <= LEVELS; blocks++) {
        at_level(f, blocks);
        g_assert_true(run(f, "rm %s/disk/state.db* %s/disk/filler && sync -f %s/disk"));
    }
}

/* Others take what each start and end of the service leaves free. */
static void
restarts(Fixture *f, gconstpointer data)
{
    g_autoptr(KhRecord) record = record_of("one-0000000000000000", 5001);
    g_autoptr(KhStore) store = NULL;
    g_autoptr(GError) error = NULL;

    if (!f->mounted) {
        g_test_skip("no file system can be mounted here");
        return;
    }
    store = open_store(f);
    g_assert_true(kh_store_insert(store, record, NULL));
    for (guint i = 0; i < RESTARTS; i++) {
        fill(f, 0);
        g_clear_object(&store);
        fill(f, 0);
        store = open_store(f);
    }
    fill(f, 0);
    decide(store, record);
    kh_store_remove(store, record->id, &error);
    g_assert_no_error(error);
}

static void
assert_there(Fixture *f, const char *suffix, gboolean there)
{
    g_autofree char *path = g_strconcat(f->path, suffix, NULL);

    g_assert_cmpint(g_file_test(path, G_FILE_TEST_EXISTS), ==, there);
}

static void
copy(Fixture *f)
{
    g_autoptr(KhCopies) copies = kh_copies_new(f->path);

    kh_copies_start(copies);
    while (kh_copies_is_writing(copies))
        g_main_context_iteration(NULL, TRUE);
}

/* No room, no copy: nor a part of one, nor is there one less for it. */
static void
no_room_for_a_copy(Fixture *f, gconstpointer data)
{
    g_autoptr(KhRecord) record = record_of("one-0000000000000000", 5001);
    g_autoptr(KhStore) store = NULL;

    if (!f->mounted) {
        g_test_skip("no file system can be mounted here");
        return;
    }
    store = open_store(f);
    g_assert_true(kh_store_insert(store, record, NULL));
    copy(f);
    assert_there(f, KH_COPIES_SUFFIX, TRUE);
    g_assert_true(run(f, "touch -d '2 days ago' %s/disk/state.db.copy"));
    fill(f, 16);
    g_test_expect_message(NULL, G_LOG_LEVEL_WARNING, "*daily copy*too little space*");
    copy(f);
    g_test_assert_expected_messages();
    assert_there(f, KH_COPIES_SUFFIX, TRUE);
    assert_there(f, KH_COPIES_OLDER_SUFFIX, FALSE);
    assert_there(f, KH_COPIES_SUFFIX ".new", FALSE);
}

static void
make_third_version(Fixture *f)
{
    const int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE;
    g_autoptr(sqlite3) db = kh_sql_open(f->path, flags, NULL);
    g_autofree char *path = g_build_filename(g_getenv("KH_FIXTURES"), "state-6.sql", NULL);
    g_autofree char *script = NULL;

    g_assert_true(g_file_get_contents(path, &script, NULL, NULL));
    g_assert_cmpint(sqlite3_exec(db, script, NULL, NULL, NULL), ==, SQLITE_OK);
    g_assert_cmpint(sqlite3_exec(db,
                                 "ALTER TABLE instances DROP COLUMN making;"
                                 "ALTER TABLE instances DROP COLUMN pending_secrets;"
                                 "ALTER TABLE instances DROP COLUMN state_changed_usec;"
                                 "ALTER TABLE instances DROP COLUMN exit_code;"
                                 "DROP INDEX ports_of_instance; DROP INDEX uids_of_instance;"
                                 "PRAGMA user_version=3",
                                 NULL, NULL, NULL),
                    ==, SQLITE_OK);
}

/* An older database is changed when there is a copy of it, or not at all. */
static void
no_room_for_a_migration(Fixture *f, gconstpointer data)
{
    g_autoptr(GError) error = NULL;

    if (!f->mounted) {
        g_test_skip("no file system can be mounted here");
        return;
    }
    make_third_version(f);
    fill(f, 16);
    g_assert_null(kh_store_open(f->path, &error));
    g_assert_error(error, KH_ERROR, KH_ERROR_RESOURCE_UNAVAILABLE);
    g_assert_nonnull(strstr(error->message, "too little space"));
    assert_there(f, ".before-7", FALSE);
    assert_there(f, ".before-7.new", FALSE);
    g_assert_true(run(f, "rm %s/disk/filler"));
    g_object_unref(open_store(f));
    assert_there(f, ".before-7", TRUE);
}

static void
assert_whole(const char *path)
{
    struct stat status;

    g_assert_cmpint(lstat(path, &status), ==, 0);
    g_assert_true(S_ISREG(status.st_mode));
    g_assert_cmpuint(status.st_nlink, ==, 1);
    g_assert_cmpint(status.st_blocks * 512, >=, KH_RESERVE_BYTES);
}

/* What is there by that name is no reserve for that: of a service that was killed, or copied. */
static void
not_trusted(Fixture *f, gconstpointer data)
{
    static const char *const ways[] = {
        "truncate -s 0 %s/state.db.reserve",
        "truncate -s 0 %s/state.db.reserve && truncate -s 1M %s/state.db.reserve",
        "truncate -s 64K %s/state.db.reserve",
        "rm %s/state.db.reserve && ln -s other %s/state.db.reserve",
        "ln %s/state.db.reserve %s/second",
        "rm %s/state.db.reserve && mkfifo %s/state.db.reserve",
    };
    g_autofree char *path = g_build_filename(f->base, "state.db", NULL);
    g_autofree char *reserve = g_strconcat(path, KH_RESERVE_SUFFIX, NULL);
    g_autofree char *other = g_build_filename(f->base, "other", NULL);

    for (guint i = 0; i < G_N_ELEMENTS(ways); i++) {
        g_object_unref(kh_store_open(path, NULL));
        assert_whole(reserve);
        g_assert_true(run(f, ways[i]));
        g_object_unref(kh_store_open(path, NULL));
        assert_whole(reserve);
    }
    g_assert_false(g_file_test(other, G_FILE_TEST_EXISTS));
}

/* Who looks at the database on a full disk does not end the service (SIGBUS). */
static void
read_by_another(Fixture *f, gconstpointer data)
{
    g_autoptr(KhStore) store = NULL;

    if (!f->mounted) {
        g_test_skip("no file system can be mounted here");
        return;
    }
    store = open_store(f);
    g_assert_true(kh_store_set_setting(store, "key", "before", NULL));
    g_clear_object(&store);
    store = open_store(f);
    fill(f, 0);
    g_assert_true(run(f, "python3 -c 'import sqlite3; c = sqlite3.connect(\"%s/disk/state.db\");"
                         " c.execute(\"SELECT * FROM settings\").fetchall(); c.close()'"));
    g_assert_true(kh_store_check_port(store, 1, NULL));
    g_assert_true(kh_store_set_setting(store, "key", "after", NULL));
}

static void
add_small_disks(void)
{
    g_test_add("/reserve/tmpfs", Fixture, &tmpfs, set_up, every_level, tear_down);
    g_test_add("/reserve/ext4", Fixture, &ext4, set_up, every_level, tear_down);
    g_test_add("/reserve/small-blocks", Fixture, &small_blocks, set_up, every_level, tear_down);
    g_test_add("/reserve/restarts/tmpfs", Fixture, &tmpfs, set_up, restarts, tear_down);
    g_test_add("/reserve/restarts/ext4", Fixture, &ext4, set_up, restarts, tear_down);
    g_test_add("/reserve/copy", Fixture, &tmpfs, set_up, no_room_for_a_copy, tear_down);
    g_test_add("/reserve/migration", Fixture, &tmpfs, set_up, no_room_for_a_migration, tear_down);
    g_test_add("/reserve/read-by-another", Fixture, &small_blocks, set_up, read_by_another,
               tear_down);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    if (g_test_thorough())
        add_small_disks();
    g_test_add("/reserve/not-trusted", Fixture, NULL, set_up, not_trusted, tear_down);
    return g_test_run();
}
