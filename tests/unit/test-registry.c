/* SPDX-License-Identifier: MIT */
/* Tests of the registries of ports and of uids. */
#include <arpa/inet.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <sched.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "error.h"
#include "uid/uid-pool.h"
#include "port/registry.h"
#include "state/instance-dir.h"
#include "state/sql.h"

#include "model/config-checks.h"
#include "state/instance-dir-removal.h"

typedef struct {
    char *folder;
    KhStore *store;
} Fixture;

static void
set_up(Fixture *f, gconstpointer data)
{
    g_autofree char *path = NULL;

    f->folder = g_dir_make_tmp("kh-registry-XXXXXX", NULL);
    path = g_build_filename(f->folder, "state.db", NULL);
    f->store = kh_store_open(path, NULL);
}

static void
tear_down(Fixture *f, gconstpointer data)
{
    g_object_unref(f->store);
    kh_instance_dir_remove(-1, f->folder, NULL, NULL);
    g_free(f->folder);
}

static KhRecord *
make_record(const char *id, guint16 port, gint64 uid)
{
    static const KhConfigLimits limits = {G_MAXINT64, G_MAXINT64};
    g_autoptr(GVariant) empty = g_variant_ref_sink(g_variant_new("a{sv}", NULL));
    g_autoptr(KhConfig) config = kh_config_new(empty, &limits, NULL);
    KhRecord *record = kh_record_new();

    record->id = g_strdup(id);
    record->name = g_strdup(id);
    record->config = kh_config_with(config, "rpc-port", g_variant_new_uint16(port));
    record->vm_uid = uid;
    return record;
}

static KhRecord *
insert(KhStore *store, const char *id, guint16 port, gint64 uid)
{
    KhRecord *record = make_record(id, port, uid);

    g_assert_true(kh_store_insert(store, record, NULL));
    return record;
}

/* A listener on a port of the kernel's choice. */
static int
listen_somewhere(const char *address, guint16 *port)
{
    struct sockaddr_in name = {.sin_family = AF_INET};
    socklen_t length = sizeof name;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    inet_pton(AF_INET, address, &name.sin_addr);
    g_assert_cmpint(bind(fd, (struct sockaddr *)&name, sizeof name), ==, 0);
    g_assert_cmpint(listen(fd, 1), ==, 0);
    g_assert_cmpint(getsockname(fd, (struct sockaddr *)&name, &length), ==, 0);
    *port = ntohs(name.sin_port);
    return fd;
}

static void
port_ranges(void)
{
    KhPortRange range;

    g_assert_true(kh_port_range_parse("5050-25049", &range, NULL));
    g_assert_cmpuint(range.first, ==, 5050);
    g_assert_cmpuint(range.last, ==, 25049);
    for (const char *const *bad = (const char *const[]){"", "5050", "6-5", "80-90", "5050-70000",
                                                        "a-b", "6000-5000", "-5050", NULL};
         *bad != NULL; bad++)
        g_assert_false(kh_port_range_parse(*bad, &range, NULL));
}

static void
port_probe(void)
{
    g_autoptr(GError) error = NULL;
    guint16 port;
    int fd = listen_somewhere("127.0.0.1", &port);

    g_assert_false(kh_port_probe("127.0.0.1", port, &error));
    g_assert_error(error, KH_ERROR, KH_ERROR_PORT_UNAVAILABLE);
    g_assert_nonnull(strstr(error->message, "in use by another program"));
    g_assert_false(kh_port_probe("0.0.0.0", port, NULL));
    g_assert_true(kh_port_probe("127.0.0.2", port, NULL));
    close(fd);
    g_assert_true(kh_port_probe("127.0.0.1", port, NULL));
}

static void
addresses(void)
{
    static const struct {
        const char *address, *said;
    } bad[] = {
        {"192.0.2.77", "does not have the address 192.0.2.77"},
        {"224.0.0.1", "is a multicast address"},
        {"239.255.255.255", "is a multicast address"},
        {"255.255.255.255", "is a broadcast address"},
        {"127.255.255.255", "is a broadcast address"},
    };

    for (guint i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_autoptr(GError) error = NULL;

        g_assert_false(kh_port_check_address(bad[i].address, &error));
        g_assert_nonnull(strstr(error->message, bad[i].said));
    }
    for (const char *const *good = (const char *const[]){"127.0.0.1", "127.9.9.9", "0.0.0.0", NULL};
         *good != NULL; good++)
        g_assert_true(kh_port_check_address(*good, NULL));
}

/* In a network of its own, whose one port for whoever does not mind which is taken. */
static void
check_without_ports(void)
{
    struct sockaddr_in name = {.sin_family = AF_INET, .sin_port = htons(60000)};
    int range = -1, fd, other;
    g_autoptr(GError) error = NULL;

    if (unshare(CLONE_NEWNET) == 0)
        range = open("/proc/sys/net/ipv4/ip_local_port_range", O_WRONLY | O_CLOEXEC);
    if (range < 0 || write(range, "60000 60000", 11) != 11)
        _exit(0);
    fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    g_assert_cmpint(bind(fd, (struct sockaddr *)&name, sizeof name), ==, 0);
    g_assert_cmpint(listen(fd, 1), ==, 0);
    name.sin_port = 0;
    other = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    g_assert_cmpint(bind(other, (struct sockaddr *)&name, sizeof name), ==, -1);
    g_assert_true(kh_port_check_address("0.0.0.0", &error));
    g_assert_no_error(error);
    _exit(0);
}

/* Whether an address is this host's does not hang on the kernel's having a port left. */
static void
no_port_is_left(void)
{
    if (g_test_subprocess())
        check_without_ports();
    g_test_trap_subprocess(NULL, 0, G_TEST_SUBPROCESS_INHERIT_STDERR);
    g_test_trap_assert_passed();
}

static void
port_choice(Fixture *f, gconstpointer data)
{
    guint16 port;
    int fd = listen_somewhere("127.0.0.1", &port);
    KhPortRange range = {port, port};
    g_autoptr(GError) error = NULL;
    g_autoptr(KhRecord) record = NULL;

    g_assert_cmpuint(kh_port_choose(f->store, &range, "127.0.0.1", 0, "/etc/a.conf", &error), ==,
                     0);
    g_assert_error(error, KH_ERROR, KH_ERROR_PORT_UNAVAILABLE);
    g_assert_nonnull(strstr(error->message, "instances have 0 of the 1, other programs the rest"));
    g_assert_cmpuint(kh_port_choose(f->store, &range, "127.0.0.1", port, "/etc/a.conf", NULL), ==,
                     0);
    close(fd);
    g_assert_cmpuint(kh_port_choose(f->store, &range, "127.0.0.1", 0, "/etc/a.conf", NULL), ==,
                     port);
    g_assert_cmpuint(kh_port_choose(f->store, &range, "127.0.0.1", port, "/etc/a.conf", NULL), ==,
                     port);

    /* Another instance's port is taken on every address. */
    record = insert(f->store, "one", port, -1);
    g_clear_error(&error);
    g_assert_cmpuint(kh_port_choose(f->store, &range, "127.0.0.2", port, "/etc/a.conf", &error), ==,
                     0);
    g_assert_nonnull(strstr(error->message, "belongs to the instance \"one\""));
    g_clear_error(&error);
    g_assert_cmpuint(kh_port_choose(f->store, &range, "127.0.0.2", 0, "/etc/a.conf", &error), ==,
                     0);
    g_assert_nonnull(strstr(error->message, "instances have 1 of the 1; delete one, or set a wider "
                                            "port-range in /etc/a.conf"));
}

static void
lowest_port(Fixture *f, gconstpointer data)
{
    g_autoptr(KhRecord) one = insert(f->store, "one", 5050, -1);
    g_autoptr(KhRecord) two = insert(f->store, "two", 5051, -1);
    g_autoptr(KhRecord) three = insert(f->store, "three", 5053, -1);
    g_autoptr(KhRecord) last = insert(f->store, "last", 65535, -1);

    g_assert_cmpuint(kh_store_find_port(f->store, 5040, 5060), ==, 5040);
    g_assert_cmpuint(kh_store_find_port(f->store, 5050, 5060), ==, 5052);
    g_assert_cmpuint(kh_store_find_port(f->store, 5053, 5060), ==, 5054);
    g_assert_cmpuint(kh_store_find_port(f->store, 5050, 5051), ==, 0);
    g_assert_cmpuint(kh_store_find_port(f->store, 65535, 65535), ==, 0);
}

/* What was given up is free again, by whatever way, and what could not be stays taken. */
static void
ports_come_and_go(Fixture *f, gconstpointer data)
{
    g_autoptr(KhRecord) one = insert(f->store, "one", 5050, -1);
    g_autoptr(KhRecord) two = insert(f->store, "two", 5051, -1);

    g_assert_cmpuint(kh_store_find_port(f->store, 5050, 5060), ==, 5052);
    one->pending = kh_config_with(one->config, "rpc-port", g_variant_new_uint16(5051));
    g_assert_false(kh_store_reconfigure(f->store, one, NULL));
    g_assert_cmpuint(kh_store_find_port(f->store, 5050, 5060), ==, 5052);
    kh_config_unref(one->pending);
    one->pending = kh_config_with(one->config, "rpc-port", g_variant_new_uint16(5052));
    g_assert_true(kh_store_reconfigure(f->store, one, NULL));
    g_assert_cmpuint(kh_store_find_port(f->store, 5050, 5060), ==, 5053);
    g_assert_cmpuint(kh_store_count_ports(f->store, 5050, 5060), ==, 3);
    kh_config_unref(one->config);
    one->config = g_steal_pointer(&one->pending);
    g_assert_true(kh_store_reconfigure(f->store, one, NULL));
    g_assert_cmpuint(kh_store_find_port(f->store, 5050, 5060), ==, 5050);
    g_assert_true(kh_store_remove(f->store, "two", NULL));
    g_assert_cmpuint(kh_store_find_port(f->store, 5051, 5060), ==, 5051);
    g_assert_cmpuint(kh_store_count_ports(f->store, 5050, 5060), ==, 1);
}

/* What did not come to be, or could not be removed, changes nothing of what is said to be free. */
static void
ports_after_failures(Fixture *f, gconstpointer data)
{
    g_autoptr(KhRecord) one = insert(f->store, "one", 5050, 70000001);
    g_autofree char *path = g_build_filename(f->folder, "state.db", NULL);
    g_autoptr(sqlite3) db = kh_sql_open(path, SQLITE_OPEN_READWRITE, NULL);
    g_autoptr(KhRecord) two = make_record("two", 5051, 70000001);
    g_autoptr(KhConfig) before = one->config;

    one->config = kh_config_with(before, "rpc-port", g_variant_new_uint16(5051));
    /* Another's uid, by which the whole transaction fails. */
    g_assert_false(kh_store_insert(f->store, two, NULL));
    g_assert_cmpuint(kh_store_find_port(f->store, 5050, 5060), ==, 5051);
    kh_store_set_patient(f->store, FALSE);
    g_assert_true(kh_sql_run(db, NULL, "BEGIN IMMEDIATE", ""));
    g_assert_false(kh_store_reconfigure(f->store, one, NULL));
    g_assert_false(kh_store_remove(f->store, "one", NULL));
    g_assert_true(kh_sql_run(db, NULL, "ROLLBACK", ""));
    g_assert_cmpuint(kh_store_find_port(f->store, 5050, 5060), ==, 5051);
    g_assert_false(kh_store_check_port(f->store, 5050, NULL));
    g_assert_cmpuint(kh_store_count_ports(f->store, 5050, 5060), ==, 1);
    g_assert_true(kh_store_reconfigure(f->store, one, NULL));
    g_assert_cmpuint(kh_store_find_port(f->store, 5050, 5060), ==, 5050);
    g_assert_false(kh_store_check_port(f->store, 5051, NULL));
}

/* It goes on behind a port that belongs to nobody here, and is listened on. */
static void
port_choice_goes_on(Fixture *f, gconstpointer data)
{
    guint16 port, chosen;
    int fd = listen_somewhere("127.0.0.1", &port);
    KhPortRange range = {port, (guint16)MIN(port + 100, G_MAXUINT16)};

    chosen = kh_port_choose(f->store, &range, "127.0.0.1", 0, "/etc/a.conf", NULL);
    g_assert_cmpuint(chosen, >, port);
    g_assert_cmpuint(chosen, <=, range.last);
    close(fd);
}

static void
uid_ranges(void)
{
    KhUidRange range;

    g_assert_true(kh_uid_range_parse(KH_UID_RANGE_DEFAULT, &range, NULL));
    g_assert_cmpuint(range.last - range.first, ==, 65535);
    g_assert_false(kh_uid_range_parse("0-5", &range, NULL));
    g_assert_false(kh_uid_range_parse("5000-4000", &range, NULL));
    g_assert_false(kh_uid_range_parse("5000", &range, NULL));
    g_assert_false(kh_uid_range_parse("5000-4294967295", &range, NULL));

    range = (KhUidRange){1000, 1999};
    g_assert_true(kh_uid_range_is_mapped(&range, "         0          0 4294967295\n"));
    g_assert_true(kh_uid_range_is_mapped(&range, "0 100000 10\n1000 5 1000\n"));
    g_assert_false(kh_uid_range_is_mapped(&range, "0 100000 1999\n"));
    g_assert_false(kh_uid_range_is_mapped(&range, ""));
}

static KhUidPool *
pool_of(Fixture *f, const char *owner, guint32 first, guint32 last)
{
    g_autofree char *locks = g_build_filename(f->folder, "uids", NULL);
    g_autofree char *state = g_build_filename(f->folder, owner, NULL);
    KhUidRange range = {first, last};
    g_autoptr(GError) error = NULL;
    KhUidPool *pool;
    int fd;

    g_assert_cmpint(g_mkdir_with_parents(state, 0700), ==, 0);
    fd = open(state, O_PATH | O_DIRECTORY | O_CLOEXEC);
    pool = kh_uid_pool_new(f->store, &range, locks, state, fd, &error);
    g_assert_no_error(error);
    close(fd);
    return pool;
}

static gint64
claim(KhUidPool *pool, GError **error)
{
    g_autoptr(GHashTable) running = kh_uids_of_processes();

    return kh_uid_pool_claim(pool, running, error);
}

static void
uid_rivals(Fixture *f, gconstpointer data)
{
    g_autoptr(KhUidPool) system = pool_of(f, "/var/lib/a", 70000001, 70000003);
    g_autoptr(KhUidPool) session = pool_of(f, "/root/b", 70000001, 70000003);
    g_autoptr(GError) error = NULL;

    g_assert_cmpint(claim(system, NULL), ==, 70000001);
    g_assert_cmpint(claim(session, NULL), ==, 70000002);
    g_assert_false(kh_uid_pool_confirm(session, 70000001, NULL));
    g_assert_true(kh_uid_pool_confirm(system, 70000001, NULL));
    kh_uid_pool_release(session, 70000001);
    g_assert_cmpint(claim(session, NULL), ==, 70000003);
    g_assert_cmpint(claim(session, &error), ==, -1);
    g_assert_error(error, KH_ERROR, KH_ERROR_LIMIT_EXCEEDED);
    kh_uid_pool_release(system, 70000001);
    g_assert_cmpint(claim(session, NULL), ==, 70000001);
}

static KhRecord *
insert_claimed(Fixture *f, KhUidPool *pool, const char *name, guint16 port)
{
    return insert(f->store, name, port, claim(pool, NULL));
}

static void
remove_claimed(Fixture *f, KhUidPool *pool, const KhRecord *record)
{
    g_assert_true(kh_store_remove(f->store, record->id, NULL));
    kh_uid_pool_release(pool, (guint32)record->vm_uid);
    g_usleep(1000);
}

static void
uid_longest_free_first(Fixture *f, gconstpointer data)
{
    g_autoptr(KhUidPool) pool = pool_of(f, "/var/lib/a", 70000001, 70000002);
    g_autoptr(KhRecord) one = insert_claimed(f, pool, "one", 5050);
    g_autoptr(KhRecord) two = insert_claimed(f, pool, "two", 5051);

    g_assert_cmpint(one->vm_uid, ==, 70000001);
    g_assert_cmpint(claim(pool, NULL), ==, -1);
    remove_claimed(f, pool, two);
    remove_claimed(f, pool, one);
    /* The same for the service after this one. */
    g_clear_object(&pool);
    pool = pool_of(f, "/var/lib/a", 70000001, 70000002);
    g_assert_cmpint(claim(pool, NULL), ==, 70000002);
    g_assert_cmpint(claim(pool, NULL), ==, 70000001);
}

/* One that a row had has been used; one whose row did not come to be has not. */
static void
uid_of_a_row(Fixture *f, gconstpointer data)
{
    g_autoptr(KhUidPool) pool = pool_of(f, "/var/lib/a", 70000001, 70000003);
    g_autoptr(KhRecord) one = insert_claimed(f, pool, "one", 5050);

    g_assert_cmpint(kh_store_get_uid_use(f->store, 70000001), ==, KH_UID_USE_HELD);
    g_assert_cmpint(kh_store_get_uid_use(f->store, 70000002), ==, KH_UID_USE_NEVER);
    g_assert_cmpint(claim(pool, NULL), ==, 70000002);
    kh_uid_pool_release(pool, 70000002);
    remove_claimed(f, pool, one);
    g_assert_cmpint(kh_store_get_uid_use(f->store, 70000001), ==, KH_UID_USE_FREE);
    g_assert_cmpint(claim(pool, NULL), ==, 70000003);
    g_assert_cmpint(claim(pool, NULL), ==, 70000002);
    g_assert_cmpint(claim(pool, NULL), ==, 70000001);
}

/* What could not be taken out of the database is held there, and by its claim. */
static void
uid_of_a_row_that_stays(Fixture *f, gconstpointer data)
{
    g_autoptr(KhUidPool) pool = pool_of(f, "/var/lib/a", 70000001, 70000001);
    g_autoptr(KhUidPool) other = pool_of(f, "/root/b", 70000001, 70000001);
    g_autoptr(KhRecord) one = insert_claimed(f, pool, "one", 5050);

    kh_uid_pool_release(pool, 70000001);
    g_assert_cmpint(claim(pool, NULL), ==, -1);
    g_assert_cmpint(claim(other, NULL), ==, -1);
    remove_claimed(f, pool, one);
    g_assert_cmpint(claim(pool, NULL), ==, 70000001);
}

static void
uid_of_a_process_is_skipped(Fixture *f, gconstpointer data)
{
    g_autoptr(KhUidPool) pool = NULL;
    g_autofree char *command = NULL;
    GPid pid;
    char *argv[] = {"setpriv", "--reuid=70000001", "--clear-groups", "sleep", "60", NULL};

    if (geteuid() != 0) {
        g_test_skip("needs root to run a process under another uid");
        return;
    }
    pool = pool_of(f, "/var/lib/a", 70000001, 70000002);
    g_assert_true(g_spawn_async(NULL, argv, NULL, G_SPAWN_SEARCH_PATH | G_SPAWN_DO_NOT_REAP_CHILD,
                                NULL, NULL, &pid, NULL));
    do {
        g_autofree char *path = g_strdup_printf("/proc/%d/comm", pid);

        g_clear_pointer(&command, g_free);
        g_usleep(1000);
        g_file_get_contents(path, &command, NULL, NULL);
    } while (g_strcmp0(command, "sleep\n") != 0);
    g_assert_cmpint(claim(pool, NULL), ==, 70000002);
    kill(pid, SIGKILL);
}

#define ADD(path, function) g_test_add(path, Fixture, NULL, set_up, function, tear_down)

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/port/ranges", port_ranges);
    g_test_add_func("/port/probe", port_probe);
    g_test_add_func("/port/addresses", addresses);
    g_test_add_func("/port/none-left", no_port_is_left);
    ADD("/port/choice", port_choice);
    ADD("/port/lowest", lowest_port);
    ADD("/port/come-and-go", ports_come_and_go);
    ADD("/port/failures", ports_after_failures);
    ADD("/port/goes-on", port_choice_goes_on);
    g_test_add_func("/uid/ranges", uid_ranges);
    ADD("/uid/rivals", uid_rivals);
    ADD("/uid/longest-free", uid_longest_free_first);
    ADD("/uid/row", uid_of_a_row);
    ADD("/uid/row-stays", uid_of_a_row_that_stays);
    ADD("/uid/process", uid_of_a_process_is_skipped);
    return g_test_run();
}
