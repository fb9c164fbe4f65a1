/* SPDX-License-Identifier: MIT */
/* Tests of the state database, its refusals and its migrations. */
#include "state/store.h"

#include <fcntl.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "error.h"
#include "model/config-checks.h"
#include "state/schema.h"
#include "state/sql.h"

typedef struct {
    char *folder, *path;
} Fixture;

static void
set_up(Fixture *f, gconstpointer data)
{
    f->folder = g_dir_make_tmp("kh-store-XXXXXX", NULL);
    f->path = g_build_filename(f->folder, "state.db", NULL);
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
    g_rmdir(f->folder);
    g_free(f->folder);
    g_free(f->path);
}

static KhRecord *
record_of(const char *id, const char *name, guint16 port, gint64 uid)
{
    static const KhConfigLimits limits = {G_MAXINT64, G_MAXINT64};
    g_autoptr(GVariant) empty = g_variant_ref_sink(g_variant_new("a{sv}", NULL));
    g_autoptr(KhConfig) config = kh_config_new(empty, &limits, NULL);
    KhRecord *record = kh_record_new();

    record->id = g_strdup(id);
    record->name = g_strdup(name);
    record->config = kh_config_with(config, "rpc-port", g_variant_new_uint16(port));
    record->vm_uid = uid;
    record->created_usec = 5;
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

static void
round_trip(Fixture *f, gconstpointer data)
{
    g_autoptr(KhStore) store = open_store(f);
    g_autoptr(KhRecord) record = record_of("id1", "demo", 5050, 1000);
    g_autoptr(GPtrArray) loaded = NULL;
    g_autoptr(GError) error = NULL;
    KhRecord *again;
    struct stat st;

    g_assert_true(kh_store_insert(store, record, &error));
    record->state = KH_STATE_FAILED;
    record->qemu = (KhProcess){4711, 99};
    g_free(record->reason);
    record->reason = g_strdup("it's over");
    g_assert_true(kh_store_update(store, record, &error));
    g_clear_object(&store);

    g_assert_cmpint(g_stat(f->path, &st), ==, 0);
    g_assert_cmpint(st.st_mode & 0777, ==, 0600);
    store = open_store(f);
    loaded = kh_store_load(store, &error);
    g_assert_cmpuint(loaded->len, ==, 1);
    again = loaded->pdata[0];
    g_assert_cmpstr(again->name, ==, "demo");
    g_assert_cmpint(again->state, ==, KH_STATE_FAILED);
    g_assert_cmpstr(again->reason, ==, "it's over");
    g_assert_cmpint(again->qemu.pid, ==, 4711);
    g_assert_cmpint(again->vm_uid, ==, 1000);
    g_assert_cmpuint(again->config->rpc_port, ==, 5050);
}

static void
nothing_left_of_a_refused_insert(Fixture *f, gconstpointer data)
{
    g_autoptr(KhStore) store = open_store(f);
    g_autoptr(KhRecord) first = record_of("id1", "demo", 5050, 1000);
    g_autoptr(KhRecord) same_name = record_of("id2", "demo", 5051, 1001);
    g_autoptr(KhRecord) same_port = record_of("id3", "other", 5050, 1002);
    g_autoptr(KhRecord) same_uid = record_of("id4", "other", 5052, 1000);
    g_autoptr(GPtrArray) loaded = NULL;
    g_autoptr(GArray) uids = NULL;
    g_autoptr(GError) error = NULL;

    g_assert_true(kh_store_insert(store, first, NULL));
    g_assert_false(kh_store_insert(store, same_name, &error));
    g_assert_error(error, KH_ERROR, KH_ERROR_ALREADY_EXISTS);
    g_clear_error(&error);
    g_assert_false(kh_store_insert(store, same_port, &error));
    g_assert_error(error, KH_ERROR, KH_ERROR_PORT_UNAVAILABLE);
    g_clear_error(&error);
    g_assert_false(kh_store_insert(store, same_uid, &error));
    g_assert_error(error, KH_ERROR, KH_ERROR_RESOURCE_UNAVAILABLE);

    loaded = kh_store_load(store, NULL);
    uids = kh_store_uids(store, NULL);
    g_assert_cmpuint(loaded->len, ==, 1);
    g_assert_cmpuint(uids->len, ==, 1);
    g_assert_true(kh_store_check_port(store, 5051, NULL));
    g_assert_true(kh_store_check_port(store, 5052, NULL));
}

static void
removal_frees(Fixture *f, gconstpointer data)
{
    g_autoptr(KhStore) store = open_store(f);
    g_autoptr(KhRecord) record = record_of("id1", "demo", 5050, 1000);
    g_autoptr(GArray) uids = NULL;

    g_assert_true(kh_store_insert(store, record, NULL));
    g_assert_true(kh_store_remove(store, "id1", NULL));
    g_assert_true(kh_store_check_port(store, 5050, NULL));
    uids = kh_store_uids(store, NULL);
    g_assert_cmpuint(uids->len, ==, 1);
    g_assert_false(g_array_index(uids, KhUidRow, 0).in_use);
    g_assert_cmpint(g_array_index(uids, KhUidRow, 0).released_usec, >, 0);
    g_assert_true(kh_store_insert(store, record, NULL));
}

/* A file with this content is refused and unchanged. */
static void
assert_refused(Fixture *f, const char *says)
{
    g_autofree char *before = NULL, *after = NULL;
    g_autoptr(GError) error = NULL;
    gsize length_before, length_after;

    g_assert_true(g_file_get_contents(f->path, &before, &length_before, NULL));
    g_assert_null(kh_store_open(f->path, &error));
    g_assert_nonnull(strstr(error->message, f->path));
    g_assert_nonnull(strstr(error->message, says));
    g_assert_true(g_file_get_contents(f->path, &after, &length_after, NULL));
    g_assert_cmpmem(before, length_before, after, length_after);
}

static void
run_sql(Fixture *f, const char *script)
{
    g_autoptr(sqlite3) db = NULL;

    g_assert_cmpint(sqlite3_open(f->path, &db), ==, SQLITE_OK);
    g_assert_cmpint(sqlite3_exec(db, script, NULL, NULL, NULL), ==, SQLITE_OK);
}

static void
refuses_foreign(Fixture *f, gconstpointer data)
{
    /* The schema of the earlier implementation, which used the same path. */
    run_sql(f, "CREATE TABLE instances(id TEXT PRIMARY KEY, name TEXT UNIQUE, status TEXT,"
               " config_json TEXT, vm_pid INTEGER, qmp_socket TEXT, serial_log TEXT,"
               " tee_mode INTEGER, expected_measurement TEXT, created_at TEXT, updated_at TEXT);"
               "CREATE TABLE ports(port INTEGER PRIMARY KEY, instance_id TEXT, port_type TEXT);"
               "INSERT INTO instances(id, name) VALUES('1', 'old')");
    assert_refused(f, "not a database of this program");
}

static void
refuses_no_database(Fixture *f, gconstpointer data)
{
    g_assert_true(g_file_set_contents(f->path, "hello", -1, NULL));
    assert_refused(f, "not a database of this program");
}

static void
refuses_the_future(Fixture *f, gconstpointer data)
{
    g_autoptr(KhStore) store = open_store(f);

    g_clear_object(&store);
    run_sql(f, "PRAGMA user_version=999");
    assert_refused(f, "999");
}

static void
copy_file(const char *from, const char *to)
{
    g_autofree char *content = NULL;
    gsize length;

    g_assert_true(g_file_get_contents(from, &content, &length, NULL));
    g_assert_true(g_file_set_contents(to, content, (gssize)length, NULL));
}

/* What there would be, had the program been killed; the path of the log. */
static char *
leave_as_killed(Fixture *f, KhStore **store)
{
    g_autofree char *log = g_strconcat(f->path, "-wal", NULL);
    char *kept = g_strconcat(f->path, ".kept", NULL);
    char *kept_log = g_strconcat(kept, "-wal", NULL);

    copy_file(f->path, kept);
    copy_file(log, kept_log);
    g_clear_object(store);
    g_free(f->path);
    f->path = kept;
    return kept_log;
}

/* A newer program that was killed: the main file says less than the log beside it. */
static void
refuses_the_future_in_the_log(Fixture *f, gconstpointer data)
{
    g_autofree char *log = NULL, *before = NULL, *after = NULL;
    g_autoptr(KhStore) store = open_store(f);
    gsize length_before, length_after;

    g_assert_true(kh_store_set_setting(store, "a", "b", NULL)); /* it has the log open */
    run_sql(f, "PRAGMA user_version=999");
    log = leave_as_killed(f, &store);
    g_assert_true(g_file_get_contents(log, &before, &length_before, NULL));
    assert_refused(f, "999");
    g_assert_true(g_file_get_contents(log, &after, &length_after, NULL));
    g_assert_cmpmem(before, length_before, after, length_after);
}

/* The same of this program: it goes on with all that was committed. */
static void
recovers_the_log(Fixture *f, gconstpointer data)
{
    g_autofree char *log = NULL;
    g_autoptr(KhStore) store = open_store(f);
    g_autoptr(KhRecord) record = record_of("id1", "one", 5050, -1);

    g_assert_true(kh_store_insert(store, record, NULL));
    log = leave_as_killed(f, &store);
    store = open_store(f);
    g_assert_true(kh_store_has_instance(store, "id1"));
}

/* A damaged row hides no other, can be told of and deleted, and is not written over. */
static void
shows_a_damaged_row(Fixture *f, gconstpointer data)
{
    g_autoptr(KhStore) store = open_store(f);
    g_autoptr(KhRecord) first = record_of("id1", "one", 5050, 1000);
    g_autoptr(KhRecord) second = record_of("id2", "two", 5051, -1);
    g_autoptr(GPtrArray) loaded = NULL, again = NULL;
    KhRecord *damaged;

    g_assert_true(kh_store_insert(store, first, NULL));
    g_assert_true(kh_store_insert(store, second, NULL));
    run_sql(f, "UPDATE instances SET config='{' WHERE id='id1'");
    g_test_expect_message(NULL, G_LOG_LEVEL_WARNING, "*id1*");
    loaded = kh_store_load(store, NULL);
    g_test_assert_expected_messages();
    g_assert_cmpuint(loaded->len, ==, 2);
    g_assert_null(((KhRecord *)loaded->pdata[1])->damage);
    damaged = loaded->pdata[0];
    g_assert_nonnull(damaged->damage);
    g_assert_cmpstr(damaged->name, ==, "one");
    g_assert_cmpuint(damaged->config->rpc_port, ==, 5050);
    g_assert_cmpint(damaged->vm_uid, ==, 1000);

    damaged->state = KH_STATE_DELETING;
    g_assert_true(kh_store_update(store, damaged, NULL));
    run_sql(f, "UPDATE instances SET state='odd' WHERE id='id2' AND config <> ''");
    g_test_expect_message(NULL, G_LOG_LEVEL_WARNING, "*id1*");
    g_test_expect_message(NULL, G_LOG_LEVEL_WARNING, "*id2*");
    again = kh_store_load(store, NULL);
    g_test_assert_expected_messages();
    g_assert_cmpint(((KhRecord *)again->pdata[0])->state, ==, KH_STATE_CREATED);
    g_assert_cmpint(((KhRecord *)again->pdata[1])->state, ==, KH_STATE_FAILED);
    g_assert_true(kh_store_remove(store, "id1", NULL));
}

/* What a database that does not answer may hold is neither removed nor given away. */
static void
silence_is_no_denial(Fixture *f, gconstpointer data)
{
    g_autoptr(KhStore) store = open_store(f);

    g_assert_false(kh_store_has_instance(store, "id1"));
    g_assert_true(kh_store_forget_image(store, "0123", NULL));
    run_sql(f, "ALTER TABLE instances RENAME TO gone; ALTER TABLE images RENAME TO lost");
    g_assert_true(kh_store_has_instance(store, "id1"));
    g_assert_false(kh_store_forget_image(store, "0123", NULL));
}

/* Bytes that the bus or a path cannot take: shown with what is left, by the id as its name. */
static void
shows_odd_texts(Fixture *f, gconstpointer data)
{
    g_autoptr(KhStore) store = open_store(f);
    g_autoptr(KhRecord) first = record_of("id1", "one", 5050, -1);
    g_autoptr(KhRecord) second = record_of("id2", "two", 5051, -1);
    g_autoptr(KhRecord) third = record_of("id3", "three", 5052, -1);
    g_autoptr(GPtrArray) loaded = NULL;
    const KhRecord *odd;

    g_assert_true(kh_store_insert(store, first, NULL));
    g_assert_true(kh_store_insert(store, second, NULL));
    g_assert_true(kh_store_insert(store, third, NULL));
    run_sql(f, "UPDATE instances SET name=CAST(x'ff41' AS TEXT), reason=CAST(x'ff' AS TEXT)"
               " WHERE id='id1'");
    run_sql(f, "UPDATE instances SET image='../x' WHERE id='id2'");
    run_sql(f, "UPDATE instances SET id='../x' WHERE id='id3'");
    g_test_expect_message(NULL, G_LOG_LEVEL_WARNING, "*id1*");
    g_test_expect_message(NULL, G_LOG_LEVEL_WARNING, "*id2*");
    g_test_expect_message(NULL, G_LOG_LEVEL_WARNING, "*../x*");
    loaded = kh_store_load(store, NULL);
    g_test_assert_expected_messages();
    g_assert_cmpuint(loaded->len, ==, 2);
    odd = loaded->pdata[0];
    g_assert_nonnull(odd->damage);
    g_assert_cmpstr(odd->name, ==, "id1");
    g_assert_true(g_utf8_validate(odd->reason, -1, NULL));
    odd = loaded->pdata[1];
    g_assert_nonnull(odd->damage);
    g_assert_cmpstr(odd->name, ==, "two");
    g_assert_cmpstr(odd->config->image, ==, "default");
}

/* The ports of a row are those of both its configurations, or nothing has changed. */
static void
reconfigures(Fixture *f, gconstpointer data)
{
    g_autoptr(KhStore) store = open_store(f);
    g_autoptr(KhRecord) first = record_of("id1", "one", 5050, -1);
    g_autoptr(KhRecord) second = record_of("id2", "two", 5051, -1);
    g_autoptr(GError) error = NULL;
    g_autoptr(GPtrArray) loaded = NULL;

    g_assert_true(kh_store_insert(store, first, NULL));
    g_assert_true(kh_store_insert(store, second, NULL));
    first->pending = kh_config_with(first->config, "rpc-port", g_variant_new_uint16(5060));
    g_assert_true(kh_store_reconfigure(store, first, NULL));
    g_assert_false(kh_store_check_port(store, 5050, NULL));
    g_assert_false(kh_store_check_port(store, 5060, NULL));
    loaded = kh_store_load(store, NULL);
    g_assert_cmpuint(((KhRecord *)loaded->pdata[0])->pending->rpc_port, ==, 5060);

    second->pending = kh_config_with(second->config, "rpc-port", g_variant_new_uint16(5060));
    g_assert_false(kh_store_reconfigure(store, second, &error));
    g_assert_error(error, KH_ERROR, KH_ERROR_PORT_UNAVAILABLE);

    kh_config_unref(first->config);
    first->config = g_steal_pointer(&first->pending);
    g_assert_true(kh_store_reconfigure(store, first, NULL));
    g_assert_true(kh_store_check_port(store, 5050, NULL));
}

/* What the program of the schema version before this one has left. */
static void
make_earlier(Fixture *f)
{
    g_autofree char *path = g_build_filename(g_getenv("KH_FIXTURES"), "state-6.sql", NULL);
    g_autofree char *script = NULL;

    g_assert_true(g_file_get_contents(path, &script, NULL, NULL));
    run_sql(f, script);
}

/* The same of the first version of all. */
static void
migrates_the_first_version(Fixture *f, gconstpointer data)
{
    g_autofree char *copy = g_strconcat(f->path, ".before-7", NULL);
    g_autoptr(KhStore) store = NULL;
    g_autoptr(GPtrArray) loaded = NULL;

    make_earlier(f);
    run_sql(f, "ALTER TABLE instances DROP COLUMN pending;"
               "ALTER TABLE instances DROP COLUMN keep_data;"
               "ALTER TABLE instances DROP COLUMN stop_result;"
               "ALTER TABLE instances DROP COLUMN state_changed_usec;"
               "ALTER TABLE instances DROP COLUMN exit_code;"
               "ALTER TABLE instances DROP COLUMN stopped_in;"
               "ALTER TABLE instances DROP COLUMN restart_count;"
               "ALTER TABLE instances DROP COLUMN restart_usec;"
               "ALTER TABLE instances DROP COLUMN measurement;"
               "ALTER TABLE instances DROP COLUMN pending_measurement;"
               "ALTER TABLE instances DROP COLUMN simulated;"
               "ALTER TABLE instances DROP COLUMN making;"
               "ALTER TABLE instances DROP COLUMN pending_secrets;"
               "DROP INDEX ports_of_instance; DROP INDEX uids_of_instance;"
               "UPDATE instances SET image='feed'; PRAGMA user_version=1");
    store = open_store(f);
    g_assert_true(g_file_test(copy, G_FILE_TEST_EXISTS));
    loaded = kh_store_load(store, NULL);
    g_assert_cmpuint(loaded->len, ==, 3);
    g_assert_cmpstr(((KhRecord *)loaded->pdata[0])->config->image, ==, "feed");
    g_assert_null(((KhRecord *)loaded->pdata[0])->pending);
    g_assert_cmpstr(((KhRecord *)loaded->pdata[0])->measurement, ==, "");
    g_assert_cmpint(((KhRecord *)loaded->pdata[0])->exit_code, ==, -1);
    g_assert_cmpint(((KhRecord *)loaded->pdata[0])->state_changed_usec, ==, 0);
    g_assert_false(((KhRecord *)loaded->pdata[0])->config->tee);
}

#define FIRST_IMAGE "d5036c0333b35264d8b259f999713678729fef0c022ecc0707a61cf9efe3e819"
#define SECOND_IMAGE "deb6967adba2dac7d7d8e21a09c8a92188e84e4553c8a952cb4c57d4fc459c6b"

static gint64
version_of(const char *path)
{
    g_autoptr(sqlite3) db = kh_sql_open(path, SQLITE_OPEN_READONLY, NULL);
    gint64 version = 0;

    g_assert_true(kh_sql_number(db, "PRAGMA user_version", &version, NULL));
    return version;
}

/* Nothing is lost of it; what a row names is held, whether it is there or not. */
static void
migrates_the_version_before(Fixture *f, gconstpointer data)
{
    g_autofree char *copy = g_strconcat(f->path, ".before-7", NULL);
    g_autoptr(KhStore) store = NULL;
    g_autoptr(GPtrArray) loaded = NULL;
    const KhRecord *plain, *busy, *ended;

    make_earlier(f);
    store = open_store(f);
    g_assert_cmpint(version_of(copy), ==, 6);
    g_assert_cmpint(version_of(f->path), ==, 7);
    loaded = kh_store_load(store, NULL);
    g_assert_cmpuint(loaded->len, ==, 3);
    plain = loaded->pdata[0];
    busy = loaded->pdata[1];
    ended = loaded->pdata[2];
    g_assert_true(plain->damage == NULL && busy->damage == NULL && ended->damage == NULL);
    g_assert_cmpstr(plain->config->image, ==, FIRST_IMAGE);
    g_assert_cmpstr(busy->config->image, ==, FIRST_IMAGE);
    g_assert_cmpstr(busy->pending->image, ==, SECOND_IMAGE);
    g_assert_cmpint(busy->state, ==, KH_STATE_RUNNING);
    g_assert_cmpint(busy->qemu.pid, ==, 11504);
    g_assert_cmpuint(busy->config->rpc_port, ==, 25201);
    g_assert_cmpint(ended->exit_code, ==, 0);
    g_assert_cmpstr(ended->stop_result, ==, "graceful");
    g_assert_true(kh_store_reconfigure(store, busy, NULL));

    g_assert_true(kh_store_remove(store, ended->id, NULL));
    g_assert_false(kh_store_forget_image(store, SECOND_IMAGE, NULL));
    g_assert_true(kh_store_remove(store, busy->id, NULL));
    g_assert_true(kh_store_forget_image(store, SECOND_IMAGE, NULL));
    g_assert_false(kh_store_forget_image(store, FIRST_IMAGE, NULL));
}

/* What a row that cannot be understood says of its next image is taken from it all the same. */
static void
migrates_damage(Fixture *f, gconstpointer data)
{
    g_autoptr(KhStore) store = NULL;
    g_autoptr(GPtrArray) loaded = NULL;

    make_earlier(f);
    run_sql(f, "UPDATE instances SET pending='{' || pending WHERE name='busy';"
               "UPDATE instances SET pending='{' WHERE name='plain';"
               "DELETE FROM instances WHERE name='ended'");
    store = open_store(f);
    g_test_expect_message(NULL, G_LOG_LEVEL_WARNING, "*is damaged*");
    g_test_expect_message(NULL, G_LOG_LEVEL_WARNING, "*is damaged*");
    loaded = kh_store_load(store, NULL);
    g_test_assert_expected_messages();
    g_assert_cmpuint(loaded->len, ==, 2);
    g_assert_false(kh_store_forget_image(store, SECOND_IMAGE, NULL));
}

/* Of both configurations, and as long as a row has them. */
static void
holds_images(Fixture *f, gconstpointer data)
{
    g_autoptr(KhStore) store = open_store(f);
    g_autoptr(KhRecord) record = record_of("id1", "one", 5050, -1);
    g_autoptr(GError) error = NULL;

    g_assert_true(kh_store_forget_image(store, "default", NULL));
    g_assert_true(kh_store_insert(store, record, NULL));
    g_assert_false(kh_store_forget_image(store, "default", &error));
    g_assert_nonnull(error);
    record->pending = kh_config_with(record->config, "image", g_variant_new_string("beef"));
    g_assert_true(kh_store_reconfigure(store, record, NULL));
    g_assert_false(kh_store_forget_image(store, "default", NULL));
    g_assert_false(kh_store_forget_image(store, "beef", NULL));
    kh_config_unref(record->config);
    record->config = g_steal_pointer(&record->pending);
    g_assert_true(kh_store_reconfigure(store, record, NULL));
    g_assert_true(kh_store_forget_image(store, "default", NULL));
    g_assert_false(kh_store_forget_image(store, "beef", NULL));
    g_assert_true(kh_store_update(store, record, NULL));
    g_assert_true(kh_store_remove(store, "id1", NULL));
    g_assert_true(kh_store_forget_image(store, "beef", NULL));
}

/* What was not finished is known as that, by its row. */
static void
marks_what_is_made(Fixture *f, gconstpointer data)
{
    g_autoptr(KhStore) store = open_store(f);
    g_autoptr(KhRecord) record = record_of("id1", "one", 5050, -1);
    g_autoptr(GPtrArray) making = NULL, made = NULL;

    g_assert_true(kh_store_insert(store, record, NULL));
    g_assert_true(kh_store_update(store, record, NULL));
    making = kh_store_load(store, NULL);
    g_assert_true(((KhRecord *)making->pdata[0])->making);
    g_assert_true(kh_store_finish_making(store, "id1", NULL));
    made = kh_store_load(store, NULL);
    g_assert_false(((KhRecord *)made->pdata[0])->making);
}

static void
keeps_measurements(Fixture *f, gconstpointer data)
{
    g_autoptr(KhStore) store = open_store(f);
    g_autoptr(KhRecord) record = record_of("id1", "one", 5050, -1);
    g_autoptr(GPtrArray) loaded = NULL;
    const KhRecord *read;

    g_free(record->measurement);
    g_free(record->pending_measurement);
    record->measurement = g_strdup("ab");
    record->pending_measurement = g_strdup("cd");
    g_free(record->pending_secrets);
    record->pending_secrets = g_strdup("katana-args");
    record->simulated = TRUE;
    record->vm_uid = 1234;
    g_assert_true(kh_store_insert(store, record, NULL));
    loaded = kh_store_load(store, NULL);
    read = loaded->pdata[0];
    g_assert_cmpstr(read->measurement, ==, "ab");
    g_assert_cmpstr(read->pending_measurement, ==, "cd");
    g_assert_cmpstr(read->pending_secrets, ==, "katana-args");
    g_assert_true(read->simulated);
    g_assert_cmpint(read->vm_uid, ==, 1234);
}

#define TEXTS(record)                                                                              \
    {                                                                                              \
        &(record)->reason, &(record)->error_name, &(record)->error_message, &(record)->boot_id,    \
            &(record)->stop_result, &(record)->stopped_in, &(record)->measurement,                 \
            &(record)->pending_measurement, &(record)->pending_secrets                             \
    }

#define NUMBERS(record)                                                                            \
    {                                                                                              \
        &(record)->created_usec, &(record)->started_usec, &(record)->ready_usec,                   \
            &(record)->boot_time_usec, &(record)->state_changed_usec, &(record)->restart_usec,     \
            &(record)->shim.pid, &(record)->shim.start_time, &(record)->qemu.pid,                  \
            &(record)->qemu.start_time                                                             \
    }

/* A value of its own in each, so that none is taken for another. */
static void
fill(KhRecord *record)
{
    char **texts[] = TEXTS(record);
    gint64 *numbers[] = NUMBERS(record);

    for (guint i = 0; i < G_N_ELEMENTS(texts); i++) {
        g_free(*texts[i]);
        *texts[i] = g_strdup_printf("text %u", i);
    }
    for (guint i = 0; i < G_N_ELEMENTS(numbers); i++)
        *numbers[i] = G_MAXINT64 - i;
    record->owner_uid = G_MAXUINT32;
    record->restart_count = G_MAXUINT32 - 1;
    record->exit_code = -7;
    record->formatted = record->keep_data = record->simulated = TRUE;
    record->state = KH_STATE_PAUSED;
    record->pending = kh_config_with(record->config, "image", g_variant_new_string("beef"));
}

static void
compare(KhRecord *a, KhRecord *b)
{
    char **texts[] = TEXTS(a), **other_texts[] = TEXTS(b);
    gint64 *numbers[] = NUMBERS(a), *other_numbers[] = NUMBERS(b);

    for (guint i = 0; i < G_N_ELEMENTS(texts); i++)
        g_assert_cmpstr(*texts[i], ==, *other_texts[i]);
    for (guint i = 0; i < G_N_ELEMENTS(numbers); i++)
        g_assert_cmpint(*numbers[i], ==, *other_numbers[i]);
    g_assert_cmpstr(a->id, ==, b->id);
    g_assert_cmpstr(a->name, ==, b->name);
    g_assert_true(g_variant_equal(a->config->dict, b->config->dict));
    g_assert_true(g_variant_equal(a->pending->dict, b->pending->dict));
    g_assert_cmpuint(a->owner_uid, ==, b->owner_uid);
    g_assert_cmpuint(a->restart_count, ==, b->restart_count);
    g_assert_cmpint(a->exit_code, ==, b->exit_code);
    g_assert_true(b->formatted && b->keep_data && b->simulated && b->making);
    g_assert_cmpint(a->state, ==, b->state);
    g_assert_cmpint(a->vm_uid, ==, b->vm_uid);
}

/* Whether a row is inserted with them or comes to have them; of what never changes, the first. */
static void
keeps_every_field(Fixture *f, gconstpointer data)
{
    g_autoptr(KhStore) store = open_store(f);
    g_autoptr(KhRecord) filled = record_of("id1", "one", 5050, 70000);
    g_autoptr(KhRecord) later = record_of("id2", "two", 5051, 70001);
    g_autoptr(GPtrArray) loaded = NULL;

    fill(filled);
    g_assert_true(kh_store_insert(store, filled, NULL));
    g_assert_true(kh_store_insert(store, later, NULL));
    fill(later);
    g_assert_true(kh_store_reconfigure(store, later, NULL));
    later->owner_uid = 0;
    later->created_usec = 5;
    loaded = kh_store_load(store, NULL);
    g_assert_cmpuint(loaded->len, ==, 2);
    g_assert_null(((KhRecord *)loaded->pdata[0])->damage);
    compare(later, loaded->pdata[0]);
    compare(filled, loaded->pdata[1]);
}

/* A statement that is being stepped is not taken from whoever does. */
static void
prepares_once(Fixture *f, gconstpointer data)
{
    static const char *const sql = "SELECT ?";
    g_autoptr(sqlite3) db = kh_sql_open(":memory:", SQLITE_OPEN_READWRITE, NULL);
    sqlite3_stmt *first = kh_sql_prepare(db, NULL, sql, "s", "a"), *again, *other;

    kh_sql_release(first);
    again = kh_sql_prepare(db, NULL, sql, "s", NULL);
    g_assert_true(again == first);
    g_assert_cmpint(sqlite3_step(again), ==, SQLITE_ROW);
    other = kh_sql_prepare(db, NULL, sql, "i", (gint64)7);
    g_assert_true(other != first);
    g_assert_cmpint(sqlite3_step(other), ==, SQLITE_ROW);
    g_assert_cmpint(sqlite3_column_type(again, 0), ==, SQLITE_NULL);
    kh_sql_release(other);
    kh_sql_release(again);
    g_assert_null(kh_sql_prepare(db, NULL, "nonsense", ""));
}

static void
migrates(Fixture *f, gconstpointer data)
{
    static const char *const one[] = {"CREATE TABLE t(a)", NULL};
    static const char *const two[] = {"CREATE TABLE t(a)", "ALTER TABLE t ADD COLUMN b", NULL};
    static const char *const broken[] = {"", "", "CREATE TABLE u(a);nonsense", NULL};
    g_autofree char *copy = g_strconcat(f->path, ".copy", NULL);
    g_autoptr(sqlite3) db = NULL;
    g_autoptr(GError) error = NULL;
    gint64 number;

    g_assert_cmpint(sqlite3_open(f->path, &db), ==, SQLITE_OK);
    g_assert_true(kh_schema_migrate(db, one, copy, NULL));
    g_assert_false(g_file_test(copy, G_FILE_TEST_EXISTS));
    g_assert_true(kh_sql_run(db, NULL, "INSERT INTO t VALUES(7)", ""));
    g_assert_true(kh_schema_migrate(db, two, copy, NULL));
    g_assert_true(g_file_test(copy, G_FILE_TEST_EXISTS));
    g_assert_true(kh_sql_number(db, "SELECT a FROM t WHERE b IS NULL", &number, NULL));
    g_assert_cmpint(number, ==, 7);

    /* Of a later program. */
    g_assert_false(kh_schema_migrate(db, one, copy, &error));
    g_assert_error(error, KH_ERROR, KH_ERROR_FAILED);

    /* A step that fails leaves the version and the schema of the one before. */
    g_assert_false(kh_schema_migrate(db, broken, copy, NULL));
    g_assert_true(kh_sql_number(db, "PRAGMA user_version", &number, NULL));
    g_assert_cmpint(number, ==, 2);
    g_assert_true(kh_sql_number(db, "SELECT count(*) FROM sqlite_schema", &number, NULL));
    g_assert_cmpint(number, ==, 1);
}

static void
settings(Fixture *f, gconstpointer data)
{
    g_autoptr(KhStore) store = open_store(f);
    g_autofree char *value = NULL;

    g_assert_null(kh_store_get_setting(store, "default-image"));
    g_assert_true(kh_store_set_setting(store, "default-image", "a", NULL));
    g_assert_true(kh_store_set_setting(store, "default-image", "b", NULL));
    value = kh_store_get_setting(store, "default-image");
    g_assert_cmpstr(value, ==, "b");
}

/* As another process sees it: its own locks are none to a process. */
static void
assert_locked(const char *path)
{
    int status = 0;
    pid_t child = fork();

    if (child == 0) {
        struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
        int fd = open(path, O_RDWR | O_CLOEXEC);

        _exit(fd >= 0 && fcntl(fd, F_GETLK, &lock) == 0 && lock.l_type != F_UNLCK ? 0 : 1);
    }
    g_assert_cmpint(waitpid(child, &status, 0), ==, child);
    g_assert_cmpint(status, ==, 0);
}

/* Without its lock on the log's index, the next to open the database cuts that off. */
static void
keeps_its_locks(Fixture *f, gconstpointer data)
{
    g_autofree char *index = g_strconcat(f->path, "-shm", NULL);
    g_autoptr(KhStore) store = open_store(f);

    assert_locked(index);
    g_clear_object(&store);
    store = open_store(f);
    assert_locked(index);
    assert_locked(f->path);
}

#define ADD(path, function) g_test_add(path, Fixture, NULL, set_up, function, tear_down)

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    ADD("/store/round-trip", round_trip);
    ADD("/store/refused-insert", nothing_left_of_a_refused_insert);
    ADD("/store/removal", removal_frees);
    ADD("/store/foreign", refuses_foreign);
    ADD("/store/no-database", refuses_no_database);
    ADD("/store/future", refuses_the_future);
    ADD("/store/future-in-log", refuses_the_future_in_the_log);
    ADD("/store/log", recovers_the_log);
    ADD("/store/damaged", shows_a_damaged_row);
    ADD("/store/silence", silence_is_no_denial);
    ADD("/store/odd-texts", shows_odd_texts);
    ADD("/store/reconfigure", reconfigures);
    ADD("/store/migrate-first", migrates_the_first_version);
    ADD("/store/migrate-before", migrates_the_version_before);
    ADD("/store/migrate-damage", migrates_damage);
    ADD("/store/holds-images", holds_images);
    ADD("/store/every-field", keeps_every_field);
    ADD("/store/prepares-once", prepares_once);
    ADD("/store/migrate", migrates);
    ADD("/store/marks-what-is-made", marks_what_is_made);
    ADD("/store/measurements", keeps_measurements);
    ADD("/store/settings", settings);
    ADD("/store/keeps-its-locks", keeps_its_locks);
    return g_test_run();
}
