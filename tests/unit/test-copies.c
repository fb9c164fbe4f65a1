/* SPDX-License-Identifier: MIT */
/* Tests of the copies of the state database, and of one that is damaged. */
#include "state/copies.h"

#include <fcntl.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "error.h"
#include "model/config-checks.h"
#include "state/sql.h"
#include "state/store.h"

#define DAY_S (24 * 60 * 60)

typedef struct {
    char *folder, *path, *newest, *older;
} Fixture;

static void
set_up(Fixture *f, gconstpointer data)
{
    f->folder = g_dir_make_tmp("kh-copies-XXXXXX", NULL);
    f->path = g_build_filename(f->folder, "state.db", NULL);
    f->newest = g_strconcat(f->path, KH_COPIES_SUFFIX, NULL);
    f->older = g_strconcat(f->path, KH_COPIES_OLDER_SUFFIX, NULL);
}

static void
tear_down(Fixture *f, gconstpointer data)
{
    g_autoptr(GDir) dir = g_dir_open(f->folder, 0, NULL);
    const char *name;

    while ((name = g_dir_read_name(dir)) != NULL) {
        g_autofree char *path = g_build_filename(f->folder, name, NULL);

        g_unlink(path);
    }
    g_assert_cmpint(g_rmdir(f->folder), ==, 0);
    g_free(f->folder);
    g_free(f->path);
    g_free(f->newest);
    g_free(f->older);
}

static void
insert(KhStore *store, const char *name, guint16 port)
{
    const KhConfigLimits limits = {G_MAXINT64, G_MAXINT64};
    g_autoptr(GVariant) empty = g_variant_ref_sink(g_variant_new("a{sv}", NULL));
    g_autoptr(KhConfig) config = kh_config_new(empty, &limits, NULL);
    g_autoptr(KhRecord) record = kh_record_new();

    record->id = g_strdup(name);
    record->name = g_strdup(name);
    record->config = kh_config_with(config, "rpc-port", g_variant_new_uint16(port));
    record->vm_uid = -1;
    g_assert_true(kh_store_insert(store, record, NULL));
}

/* -1: it does not open, or there is none. */
static gint64
count_in(const char *path)
{
    g_autoptr(sqlite3) db = NULL;
    gint64 count = -1;

    if (sqlite3_open_v2(path, &db, SQLITE_OPEN_READONLY, NULL) == SQLITE_OK)
        kh_sql_number(db, "SELECT count(*) FROM instances", &count, NULL);
    return count;
}

/* One that is due, if it is. */
static void
copy(Fixture *f)
{
    g_autoptr(KhCopies) copies = kh_copies_new(f->path);

    kh_copies_start(copies);
    while (kh_copies_is_writing(copies))
        g_main_context_iteration(NULL, TRUE);
}

static void
set_age(const char *path, gint64 seconds)
{
    const gint64 then = g_get_real_time() / G_USEC_PER_SEC - seconds;
    const struct timespec times[] = {{.tv_sec = then}, {.tv_sec = then}};

    g_assert_cmpint(utimensat(AT_FDCWD, path, times, 0), ==, 0);
}

/* One a day, two kept, as closed as the database. */
static void
daily(Fixture *f, gconstpointer data)
{
    g_autoptr(KhStore) store = kh_store_open(f->path, NULL);
    GStatBuf status;

    insert(store, "one", 5001);
    copy(f);
    g_assert_cmpint(count_in(f->newest), ==, 1);
    g_assert_cmpint(g_stat(f->newest, &status), ==, 0);
    g_assert_cmpuint(status.st_mode & 0777, ==, 0600);
    insert(store, "two", 5002);
    set_age(f->newest, DAY_S - 60);
    copy(f);
    g_assert_cmpint(count_in(f->newest), ==, 1);
    set_age(f->newest, DAY_S);
    copy(f);
    g_assert_cmpint(count_in(f->newest), ==, 2);
    g_assert_cmpint(count_in(f->older), ==, 1);
    insert(store, "three", 5003);
    /* The clock has gone back since. */
    set_age(f->newest, -DAY_S);
    copy(f);
    g_assert_cmpint(count_in(f->newest), ==, 3);
    g_assert_cmpint(count_in(f->older), ==, 2);
}

/* The copies of a database that was lost are what brings it back. */
static void
empty_ones_are_not_copied(Fixture *f, gconstpointer data)
{
    g_autoptr(KhStore) store = kh_store_open(f->path, NULL);

    insert(store, "one", 5001);
    copy(f);
    g_assert_true(kh_store_remove(store, "one", NULL));
    set_age(f->newest, DAY_S);
    copy(f);
    g_assert_cmpint(count_in(f->newest), ==, 1);
    g_assert_false(g_file_test(f->older, G_FILE_TEST_EXISTS));
}

/* With 4 KiB pages, and so many rows that any page is one of a table. */
static void
fill(Fixture *f)
{
    g_autoptr(KhStore) store = kh_store_open(f->path, NULL);

    for (guint16 i = 0; i < 100; i++) {
        g_autofree char *name = g_strdup_printf("name-%u", i);

        insert(store, name, 5000 + i);
    }
}

static void
overwrite(Fixture *f, off_t from, gsize length)
{
    g_autofree char *bytes = g_strnfill(length, '\xa5');
    int fd = g_open(f->path, O_WRONLY | O_CLOEXEC, 0);

    g_assert_cmpint(pwrite(fd, bytes, length, from), ==, (gssize)length);
    close(fd);
}

static void
refused_by_name(Fixture *f, const char *way_out)
{
    g_autoptr(GError) error = NULL;

    g_assert_null(kh_store_open(f->path, &error));
    g_assert_error(error, KH_ERROR, KH_ERROR_FAILED);
    g_assert_nonnull(strstr(error->message, f->path));
    g_assert_nonnull(strstr(error->message, "damaged"));
    g_assert_nonnull(strstr(error->message, way_out));
}

/* It is not served from, its copies stay, and the way out is one. */
static void
overwritten_pages(Fixture *f, gconstpointer data)
{
    fill(f);
    copy(f);
    set_age(f->newest, DAY_S);
    overwrite(f, 3 * 4096, 2 * 4096);
    g_test_expect_message(NULL, G_LOG_LEVEL_WARNING, "*daily copy*not be written*damaged*");
    copy(f);
    g_test_assert_expected_messages();
    g_assert_cmpint(count_in(f->newest), ==, 100);
    g_assert_false(g_file_test(f->older, G_FILE_TEST_EXISTS));
    refused_by_name(f, f->newest);
    g_assert_cmpint(g_rename(f->newest, f->path), ==, 0);
    {
        g_autoptr(KhStore) store = kh_store_open(f->path, NULL);
        g_autoptr(GPtrArray) records = kh_store_load(store, NULL);

        g_assert_cmpuint(records->len, ==, 100);
    }
}

static void
truncated(Fixture *f, gconstpointer data)
{
    fill(f);
    g_assert_cmpint(truncate(f->path, 5 * 4096), ==, 0);
    refused_by_name(f, "a backup of yours");
}

/* The first page is the one that says whose database it is. */
static void
overwritten_header(Fixture *f, gconstpointer data)
{
    fill(f);
    copy(f);
    overwrite(f, 0, 4096);
    refused_by_name(f, f->newest);
    g_assert_cmpint(truncate(f->path, 50), ==, 0);
    refused_by_name(f, f->newest);
}

/* What else has it locked is told of, and is passing. */
static void
locked(Fixture *f, gconstpointer data)
{
    g_autoptr(KhStore) store = kh_store_open(f->path, NULL);
    g_autoptr(sqlite3) other = NULL;
    g_autoptr(GError) error = NULL;

    g_assert_cmpint(sqlite3_open(f->path, &other), ==, SQLITE_OK);
    g_assert_true(kh_sql_run(other, NULL, "BEGIN IMMEDIATE", ""));
    g_assert_false(kh_store_set_setting(store, "key", "value", &error));
    g_assert_error(error, KH_ERROR, KH_ERROR_BUSY);
    g_assert_nonnull(strstr(error->message, "another program"));
    g_assert_true(kh_sql_run(other, NULL, "COMMIT", ""));
    g_assert_true(kh_store_set_setting(store, "key", "value", NULL));
}

#define ADD(path, function) g_test_add(path, Fixture, NULL, set_up, function, tear_down)

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    umask(0022);
    ADD("/copies/daily", daily);
    ADD("/copies/empty-ones-are-not-copied", empty_ones_are_not_copied);
    ADD("/copies/overwritten-pages", overwritten_pages);
    ADD("/copies/truncated", truncated);
    ADD("/copies/overwritten-header", overwritten_header);
    ADD("/copies/locked", locked);
    return g_test_run();
}
