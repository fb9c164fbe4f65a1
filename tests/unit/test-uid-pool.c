/* SPDX-License-Identifier: MIT */
/* Tests of how uids are given out: two services with one folder of locks. */
#include "uid/uid-pool.h"

#include <fcntl.h>
#include <glib/gstdio.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "error.h"
#include "model/config-checks.h"
#include "sleeper.h"

#define FIRST 1999990000

typedef struct {
    char *folder, *locks;
    KhStore *stores[2];
    KhUidPool *pools[2];
    KhUidRange range;
} Fixture;

/* A service whose state folder is reached by @place, in the test's folder. */
static void
serve_from(Fixture *f, guint n, const char *place)
{
    g_autofree char *state = g_build_filename(f->folder, place, NULL);
    g_autofree char *database = g_build_filename(state, "state.db", NULL);
    g_autoptr(GError) error = NULL;
    int fd;

    g_mkdir(state, 0700);
    fd = open(state, O_PATH | O_DIRECTORY | O_CLOEXEC);
    f->stores[n] = kh_store_open(database, &error);
    g_assert_no_error(error);
    f->pools[n] = kh_uid_pool_new(f->stores[n], &f->range, f->locks, state, fd, &error);
    g_assert_no_error(error);
    close(fd);
}

static void
add_service(Fixture *f, guint n)
{
    g_autofree char *place = g_strdup_printf("state-%u", n);

    serve_from(f, n, place);
}

static void
end_service(Fixture *f, guint n)
{
    g_clear_object(&f->pools[n]);
    g_clear_object(&f->stores[n]);
}

static void
set_up(Fixture *f, gconstpointer data)
{
    f->folder = g_dir_make_tmp("kh-uids-XXXXXX", NULL);
    f->locks = g_build_filename(f->folder, "run", "uids", NULL);
    f->range = (KhUidRange){FIRST, FIRST + 3};
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
    for (guint i = 0; i < 2; i++)
        end_service(f, i);
    remove_tree(f->folder);
    g_free(f->folder);
    g_free(f->locks);
}

static gint64
try_claim(KhUidPool *pool, GError **error)
{
    g_autoptr(GHashTable) running = kh_uids_of_processes();

    return kh_uid_pool_claim(pool, running, error);
}

static guint32
claim(Fixture *f, guint service)
{
    g_autoptr(GError) error = NULL;
    gint64 uid = try_claim(f->pools[service], &error);

    g_assert_no_error(error);
    g_assert_cmpint(uid, >=, f->range.first);
    g_assert_cmpint(uid, <=, f->range.last);
    return (guint32)uid;
}

/* What the manager does with a uid: a row that has it. */
static void
insert_running(Fixture *f, guint service, const char *name, guint16 port, guint32 uid,
               KhProcess qemu)
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
    record->qemu = qemu;
    g_assert_true(kh_store_insert(f->stores[service], record, &error));
    g_assert_true(kh_store_update(f->stores[service], record, &error));
}

static void
insert(Fixture *f, guint service, const char *name, guint16 port, guint32 uid)
{
    insert_running(f, service, name, port, uid, (KhProcess){0, 0});
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
    g_assert_cmpint(try_claim(f->pools[0], &error), ==, -1);
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
    end_service(f, 0);
    add_service(f, 0);
    g_assert_cmpuint(claim(f, 1), !=, uid);
}

/* A claim that never got its row is dropped, another service's is not. */
static void
leaked_claims(Fixture *f, gconstpointer data)
{
    guint32 leaked = claim(f, 0), kept = claim(f, 0), foreign = claim(f, 1);

    insert(f, 0, "a", 5050, kept);
    kh_uid_pool_drop_leaked(f->pools[0], NULL);
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

static char *
lock_of(Fixture *f, guint32 uid)
{
    g_autofree char *name = g_strdup_printf("%u", uid);

    return g_build_filename(f->locks, name, NULL);
}

static void
assert_claimed_from(Fixture *f, guint32 uid, const char *place)
{
    g_autofree char *lock = lock_of(f, uid);
    g_autofree char *state = g_build_filename(f->folder, place, NULL);
    g_autofree char *found = NULL;

    g_assert_true(g_file_get_contents(lock, &found, NULL, NULL));
    g_assert_cmpstr(found, ==, state);
}

static void
move(Fixture *f, const char *from, const char *to)
{
    g_autofree char *old = g_build_filename(f->folder, from, NULL);
    g_autofree char *new = g_build_filename(f->folder, to, NULL);

    g_assert_cmpint(g_rename(old, new), ==, 0);
}

/* Its claims are its own wherever it lies, and say so for programs that compare names. */
static void
moved_folder(Fixture *f, gconstpointer data)
{
    guint32 uid = claim(f, 0), leaked = claim(f, 0);
    g_autofree char *link = g_build_filename(f->folder, "link", NULL);

    insert(f, 0, "a", 5050, uid);
    end_service(f, 0);
    move(f, "state-0", "moved");
    serve_from(f, 0, "moved");
    assert_claimed_from(f, uid, "moved");
    g_assert_true(kh_uid_pool_confirm(f->pools[0], uid, NULL));
    /* No row says whose this one is. */
    g_assert_false(kh_uid_pool_confirm(f->pools[0], leaked, NULL));
    assert_claimed_from(f, leaked, "state-0");
    /* The old name leads here again: the same folder by another path. */
    g_assert_cmpint(symlink("moved", link), ==, 0);
    move(f, "link", "state-0");
    g_assert_true(kh_uid_pool_confirm(f->pools[0], leaked, NULL));
}

/* Whoever serves a copy has the rows too, and harms nobody with them. */
static void
copied_folder(Fixture *f, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    guint32 uid = claim(f, 0);

    insert(f, 0, "a", 5050, uid);
    insert(f, 1, "a", 5050, uid);
    end_service(f, 0);
    g_assert_false(kh_uid_pool_confirm(f->pools[1], uid, &error));
    g_assert_error(error, KH_ERROR, KH_ERROR_RESOURCE_UNAVAILABLE);
    g_assert_nonnull(strstr(error->message, "state-0"));
    kh_uid_pool_release(f->pools[1], uid);
    kh_uid_pool_drop_leaked(f->pools[1], NULL);
    assert_claimed_from(f, uid, "state-0");
}

/* What names no folder for certain is somebody's. */
static void
odd_claims(Fixture *f, gconstpointer data)
{
    g_autofree char *lock = lock_of(f, FIRST);
    g_autofree char *loop = g_build_filename(f->folder, "loop", NULL);
    g_autofree char *gone = g_build_filename(f->folder, "gone", NULL);
    g_autofree char *endless = g_strnfill(5000, '/');
    const char *const foreign[] = {"state-0", loop, endless, "/"};
    const char *const abandoned[] = {"", gone};

    insert(f, 0, "a", 5050, FIRST);
    g_assert_cmpint(symlink("loop", loop), ==, 0);
    for (guint i = 0; i < G_N_ELEMENTS(foreign); i++) {
        g_assert_true(g_file_set_contents(lock, foreign[i], -1, NULL));
        g_assert_false(kh_uid_pool_confirm(f->pools[0], FIRST, NULL));
        g_assert_false(kh_uid_pool_confirm(f->pools[1], FIRST, NULL));
    }
    for (guint i = 0; i < G_N_ELEMENTS(abandoned); i++) {
        g_assert_true(g_file_set_contents(lock, abandoned[i], -1, NULL));
        g_assert_false(kh_uid_pool_confirm(f->pools[1], FIRST, NULL));
        g_assert_true(kh_uid_pool_confirm(f->pools[0], FIRST, NULL));
        assert_claimed_from(f, FIRST, "state-0");
    }
}

/* A process of the test as FIRST; FALSE where that cannot be had. */
static gboolean
start_as_first(KhProcess *process)
{
    if (geteuid() != 0) {
        g_test_skip("needs root to run a process under another uid");
        return FALSE;
    }
    *process = sleeper_start_as(FIRST);
    return TRUE;
}

/* A folder that cannot be seen may be there nevertheless: its machine is not joined. */
static void
living_stranger(Fixture *f, gconstpointer data)
{
    g_autofree char *lock = lock_of(f, FIRST);
    KhProcess process;

    if (!start_as_first(&process))
        return;
    insert(f, 0, "a", 5050, FIRST);
    insert_running(f, 1, "b", 5051, FIRST, process);
    g_assert_true(g_file_set_contents(lock, "/nonexistent/state", -1, NULL));
    g_assert_false(kh_uid_pool_confirm(f->pools[0], FIRST, NULL));
    /* To whom it is no stranger, his folder has been moved. */
    g_assert_true(kh_uid_pool_confirm(f->pools[1], FIRST, NULL));
    assert_claimed_from(f, FIRST, "state-1");
    g_assert_true(g_file_set_contents(lock, "/nonexistent/state", -1, NULL));
    sleeper_end(&process);
    g_assert_true(kh_uid_pool_confirm(f->pools[0], FIRST, NULL));
}

/* The claim of a machine whose row is gone stays as long as it, or its folder, is there. */
static void
leaked_and_in_use(Fixture *f, gconstpointer data)
{
    g_autoptr(GHashTable) spared = g_hash_table_new(NULL, NULL);
    guint32 uid = claim(f, 0), owner = claim(f, 0);
    KhProcess process;

    g_assert_cmpuint(uid, ==, FIRST);
    if (!start_as_first(&process))
        return;
    g_hash_table_add(spared, GUINT_TO_POINTER(owner));
    kh_uid_pool_drop_leaked(f->pools[0], spared);
    assert_claimed_from(f, uid, "state-0");
    assert_claimed_from(f, owner, "state-0");
    sleeper_end(&process);
    kh_uid_pool_drop_leaked(f->pools[0], NULL);
    g_assert_true(kh_uid_pool_confirm(f->pools[1], uid, NULL));
    g_assert_true(kh_uid_pool_confirm(f->pools[1], owner, NULL));
}

static void
spared_uids(Fixture *f, gconstpointer data)
{
    g_autoptr(GHashTable) spared = g_hash_table_new(NULL, NULL);

    g_hash_table_add(spared, GUINT_TO_POINTER(FIRST));
    kh_uid_pool_spare(f->pools[0], spared);
    g_assert_cmpuint(claim(f, 0), ==, FIRST + 1);
    kh_uid_pool_spare(f->pools[0], NULL);
    g_assert_cmpuint(claim(f, 0), ==, FIRST);
}

/* What a service that was killed has left of a claim goes, and is nobody's meanwhile. */
static void
unfinished_claims(Fixture *f, gconstpointer data)
{
    g_autofree char *own = g_build_filename(f->locks, ".new-1", NULL);
    g_autofree char *other = g_build_filename(f->locks, ".new-2", NULL);
    g_autofree char *state = g_build_filename(f->folder, "state-0", NULL);
    g_autofree char *foreign = g_build_filename(f->folder, "state-1", NULL);

    g_assert_true(g_file_set_contents(own, state, -1, NULL));
    g_assert_true(g_file_set_contents(other, foreign, -1, NULL));
    kh_uid_pool_drop_leaked(f->pools[0], NULL);
    g_assert_false(g_file_test(own, G_FILE_TEST_EXISTS));
    g_assert_true(g_file_test(other, G_FILE_TEST_EXISTS));
    g_assert_cmpuint(claim(f, 0), ==, FIRST);
}

/* Unknown is not dead: neither where /proc cannot be opened, nor what is in it. */
static void
no_descriptors(Fixture *f, gconstpointer data)
{
    struct rlimit before, few;
    int next = open("/dev/null", O_RDONLY | O_CLOEXEC);

    close(next);
    g_assert_false(kh_uid_has_processes(FIRST + 3));
    g_assert_cmpint(getrlimit(RLIMIT_NOFILE, &before), ==, 0);
    few = before;
    for (guint more = 0; more < 2; more++) {
        g_autoptr(GError) error = NULL;
        g_autoptr(GHashTable) uids = NULL;

        few.rlim_cur = (rlim_t)next + more;
        g_assert_cmpint(setrlimit(RLIMIT_NOFILE, &few), ==, 0);
        uids = kh_uids_of_processes();
        g_assert_null(uids);
        g_assert_true(kh_uid_has_processes(FIRST + 3));
        g_assert_cmpint(try_claim(f->pools[0], &error), ==, -1);
        g_assert_error(error, KH_ERROR, KH_ERROR_RESOURCE_UNAVAILABLE);
    }
    g_assert_cmpint(setrlimit(RLIMIT_NOFILE, &before), ==, 0);
}

/* A zombie has ended, unless a thread of it lives. */
static void
processes(Fixture *f, gconstpointer data)
{
    g_autoptr(GHashTable) uids = kh_uids_of_processes();
    KhProcess process;
    siginfo_t info;

    g_assert_true(kh_uids_include(uids, getuid()));
    if (!start_as_first(&process))
        return;
    /* It is newer than the look, and yet its uid is no free one. */
    g_assert_true(kh_uids_include(uids, FIRST));
    g_assert_true(kh_uid_has_processes(FIRST));
    g_assert_cmpint(kill((pid_t)process.pid, SIGKILL), ==, 0);
    g_assert_cmpint(waitid(P_PID, (id_t)process.pid, &info, WEXITED | WNOWAIT), ==, 0);
    g_assert_false(kh_uid_has_processes(FIRST));
    sleeper_end(&process);
    g_assert_false(kh_uid_has_processes(FIRST));
}

static void
keep_look(GObject *source, GAsyncResult *result, gpointer data)
{
    *(GHashTable **)data = kh_uid_pool_look_finish(KH_UID_POOL(source), result);
}

/* What was seen before it was asked is no answer: who has a uid in part may have come since. */
static void
looks(Fixture *f, gconstpointer data)
{
    GHashTable *found[2] = {NULL, NULL};
    int ready[2];
    pid_t pid;

    if (geteuid() != 0) {
        g_test_skip("needs root to run a process under another uid");
        return;
    }
    kh_uid_pool_look_async(f->pools[0], keep_look, &found[0]);
    while (found[0] == NULL)
        g_main_context_iteration(NULL, TRUE);
    g_assert_cmpint(pipe(ready), ==, 0);
    pid = fork();
    if (pid == 0) {
        alarm(10);
        if (seteuid(FIRST) == 0 && write(ready[1], "", 1) == 1)
            pause();
        _exit(1);
    }
    g_assert_cmpint(read(ready[0], &(char){0}, 1), ==, 1);
    g_assert_false(kh_uids_include(found[0], FIRST));
    kh_uid_pool_look_async(f->pools[0], keep_look, &found[1]);
    while (found[1] == NULL)
        g_main_context_iteration(NULL, TRUE);
    g_assert_cmpint(kh_uid_pool_claim(f->pools[0], found[1], NULL), ==, FIRST + 1);
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    for (guint i = 0; i < 2; i++) {
        g_hash_table_unref(found[i]);
        close(ready[i]);
    }
}

static gpointer
live_on(gpointer data)
{
    pause();
    return NULL;
}

/* Whose first thread has gone looks like a zombie. */
static void
headless_process(Fixture *f, gconstpointer data)
{
    pid_t pid;
    siginfo_t info;
    g_autofree char *path = NULL;
    g_autofree char *status = NULL;

    if (geteuid() != 0) {
        g_test_skip("needs root to run a process under another uid");
        return;
    }
    pid = fork();
    if (pid == 0) {
        alarm(10);
        if (setresuid(FIRST, FIRST, FIRST) == 0)
            g_thread_new("on", live_on, NULL);
        syscall(SYS_exit, 0);
    }
    path = g_strdup_printf("/proc/%d/status", pid);
    do {
        g_clear_pointer(&status, g_free);
        g_usleep(1000);
        g_assert_true(g_file_get_contents(path, &status, NULL, NULL));
    } while (strstr(status, "State:\tZ") == NULL);
    g_assert_true(kh_uid_has_processes(FIRST));
    kill(pid, SIGKILL);
    g_assert_cmpint(waitid(P_PID, (id_t)pid, &info, WEXITED), ==, 0);
}

static void
running_uids_are_skipped(Fixture *f, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    KhUidRange own = {(guint32)getuid(), (guint32)getuid()};
    int fd = open(f->folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
    g_autoptr(KhUidPool) pool =
        kh_uid_pool_new(f->stores[0], &own, f->locks, f->folder, fd, &error);

    close(fd);
    g_assert_no_error(error);
    g_assert_cmpint(try_claim(pool, NULL), ==, -1);
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
    ADD("/uids/moved", moved_folder);
    ADD("/uids/copied", copied_folder);
    ADD("/uids/odd-claims", odd_claims);
    ADD("/uids/living-stranger", living_stranger);
    ADD("/uids/leaked-and-in-use", leaked_and_in_use);
    ADD("/uids/spared", spared_uids);
    ADD("/uids/unfinished", unfinished_claims);
    ADD("/uids/no-descriptors", no_descriptors);
    ADD("/uids/processes", processes);
    ADD("/uids/looks", looks);
    ADD("/uids/headless", headless_process);
    g_test_add_func("/uids/ranges", ranges);
    return g_test_run();
}
