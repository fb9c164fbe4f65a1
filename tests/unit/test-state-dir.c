/* SPDX-License-Identifier: MIT */
/* Tests of the state folder and of what a hostile machine may leave in its own. */
#include <fcntl.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "error.h"
#include "state/instance-dir.h"
#include "state/state-dir.h"

#include "state/instance-dir-making.h"
#include "state/instance-dir-removal.h"

typedef struct {
    char *base;
    int fd; /* of base/box */
    int parent;
} Fixture;

static void
set_up(Fixture *f, gconstpointer data)
{
    f->base = g_dir_make_tmp("kh-dir-XXXXXX", NULL);
    f->parent = open(f->base, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    g_assert_true(kh_instance_dir_create(f->parent, "box", -1, NULL));
    f->fd = kh_instance_dir_open(f->parent, "box", NULL);
    g_assert_cmpint(f->fd, >=, 0);
}

static void
tear_down(Fixture *f, gconstpointer data)
{
    close(f->fd);
    g_assert_true(kh_instance_dir_remove(f->parent, "box", NULL, NULL));
    g_assert_true(kh_instance_dir_remove(AT_FDCWD, f->base, NULL, NULL));
    close(f->parent);
    g_free(f->base);
}

static void
plant(Fixture *f, const char *name, const char *text)
{
    g_autofree char *path = g_build_filename(f->base, name, NULL);

    g_assert_true(g_file_set_contents(path, text, -1, NULL));
}

static void
assert_outside_is(Fixture *f, const char *text)
{
    g_autofree char *path = g_build_filename(f->base, "outside", NULL);
    g_autofree char *found = NULL;

    g_assert_true(g_file_get_contents(path, &found, NULL, NULL));
    g_assert_cmpstr(found, ==, text);
}

static void
hostile_names(Fixture *f, gconstpointer data)
{
    plant(f, "outside", "precious");
    g_assert_cmpint(symlinkat("../outside", f->fd, "link"), ==, 0);
    g_assert_cmpint(linkat(f->parent, "outside", f->fd, "hard", 0), ==, 0);
    g_assert_cmpint(mkfifoat(f->fd, "fifo", 0600), ==, 0);
    g_assert_cmpint(mkdirat(f->fd, "dir", 0700), ==, 0);

    for (const char *const *name = (const char *const[]){"link", "hard", "fifo", "dir", NULL};
         *name != NULL; name++) {
        g_autoptr(GError) error = NULL;

        g_assert_null(kh_instance_dir_read(f->fd, *name, -1, 100, &error));
        g_assert_nonnull(error);
        g_clear_error(&error);
        g_assert_false(kh_instance_dir_create_disk(f->fd, *name, -1, 4096, &error));
        if (!g_str_equal(*name, "dir")) {
            g_autofree char *text = NULL;

            g_clear_error(&error);
            g_assert_true(kh_instance_dir_write(f->fd, *name, -1, "mine", &error));
            text = kh_instance_dir_read(f->fd, *name, -1, 100, NULL);
            g_assert_cmpstr(text, ==, "mine");
        }
        assert_outside_is(f, "precious");
    }
}

static void
foreign_owner(Fixture *f, gconstpointer data)
{
    g_autoptr(GError) error = NULL;

    g_assert_true(kh_instance_dir_write(f->fd, "file", -1, "x", NULL));
    g_assert_cmpint(kh_instance_dir_open_file(f->fd, "file", geteuid() + 1, &error), ==, -1);
    g_assert_error(error, KH_ERROR, KH_ERROR_FAILED);
}

/* A listener with that name in @folder. */
static int
listen_as(int folder, const char *name)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    g_snprintf(address.sun_path, sizeof address.sun_path, "/proc/self/fd/%d/%s", folder, name);
    g_assert_cmpint(bind(fd, (struct sockaddr *)&address, sizeof address), ==, 0);
    g_assert_cmpint(listen(fd, 8), ==, 0);
    return fd;
}

/* Links to somebody else's socket are not followed: that one is not even called. */
static void
sockets(Fixture *f, gconstpointer data)
{
    static const char *const bad[] = {"link", "file", "absent"};
    int own = listen_as(f->fd, "own"), other = listen_as(f->parent, "other");
    g_autoptr(GError) unserved = NULL;
    pid_t pid = 0;
    int fd = kh_instance_dir_connect(f->fd, "own", -1, &pid, NULL);

    g_assert_cmpint(fd, >=, 0);
    g_assert_cmpint(pid, ==, getpid());
    close(fd);
    close(own);
    g_assert_cmpint(symlinkat("../other", f->fd, "link"), ==, 0);
    g_assert_true(kh_instance_dir_write(f->fd, "file", -1, "x", NULL));
    for (guint i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_autoptr(GError) error = NULL;

        g_assert_cmpint(kh_instance_dir_connect(f->fd, bad[i], -1, &pid, &error), ==, -1);
        g_assert_nonnull(error);
    }
    g_assert_cmpint(accept(other, NULL, NULL), ==, -1);
    /* Of another user; and what nobody serves any more. */
    g_assert_cmpint(kh_instance_dir_connect(f->parent, "other", geteuid() + 1, &pid, NULL), ==, -1);
    g_assert_cmpint(accept(other, NULL, NULL), ==, -1);
    g_assert_cmpint(kh_instance_dir_connect(f->fd, "own", -1, &pid, &unserved), ==, -1);
    g_assert_error(unserved, KH_ERROR, KH_ERROR_NOT_FOUND);
    close(other);
}

static void
modes(Fixture *f, gconstpointer data)
{
    struct stat st;

    g_assert_true(kh_instance_dir_create_disk(f->fd, "disk", -1, 1 << 20, NULL));
    g_assert_cmpint(fstatat(f->fd, "disk", &st, 0), ==, 0);
    g_assert_cmpint(st.st_mode & 07777, ==, 0600);
    g_assert_cmpint(st.st_size, ==, 1 << 20);
    g_assert_cmpint(st.st_blocks, ==, 0);
    g_assert_cmpint(fstat(f->fd, &st), ==, 0);
    g_assert_cmpint(st.st_mode & 07777, ==, 0700);
}

static void
removes_deep_trees(Fixture *f, gconstpointer data)
{
    int fd = openat(f->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    plant(f, "outside", "precious");
    for (guint i = 0; i < 200; i++) {
        int deeper;

        g_assert_cmpint(mkdirat(fd, "d", 0700), ==, 0);
        deeper = openat(fd, "d", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        g_assert_cmpint(symlinkat("/", deeper, "root"), ==, 0);
        close(fd);
        fd = deeper;
    }
    close(fd);
    g_assert_cmpint(symlinkat("../outside", f->fd, "link"), ==, 0);
    g_assert_true(kh_instance_dir_remove(f->parent, "box", NULL, NULL));
    g_assert_cmpint(faccessat(f->parent, "box", F_OK, 0), ==, -1);
    assert_outside_is(f, "precious");
}

static void
keeps_data(Fixture *f, gconstpointer data)
{
    g_autofree char *text = NULL;

    g_assert_true(kh_instance_dir_write(f->fd, "data.raw", -1, "chain", NULL));
    g_assert_true(kh_instance_dir_write(f->fd, "args", -1, "secret", NULL));
    g_assert_true(kh_instance_dir_remove(f->parent, "box", "data.raw", NULL));
    text = kh_instance_dir_read(f->fd, "data.raw", -1, 100, NULL);
    g_assert_cmpstr(text, ==, "chain");
    g_assert_cmpint(faccessat(f->fd, "args", F_OK, 0), ==, -1);
}

/* The service's own user takes back a plain file, and nothing else. */
static void
takes_back(Fixture *f, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    struct stat before, after;

    plant(f, "outside", "precious");
    g_assert_true(kh_instance_dir_take_back(f->parent, "absent", "data.raw", -1, &error));
    g_assert_true(kh_instance_dir_take_back(f->parent, "box", "data.raw", -1, &error));
    g_assert_true(kh_instance_dir_create_disk(f->fd, "data.raw", -1, 4096, NULL));
    g_assert_cmpint(fchmodat(f->fd, "data.raw", 0666, 0), ==, 0);
    g_assert_cmpint(fchmod(f->fd, 0755), ==, 0);
    g_assert_true(kh_instance_dir_take_back(f->parent, "box", "data.raw", -1, &error));
    g_assert_cmpint(fstatat(f->fd, "data.raw", &after, 0), ==, 0);
    g_assert_cmpint(after.st_mode & 07777, ==, 0600);
    g_assert_cmpint(fstat(f->fd, &after), ==, 0);
    g_assert_cmpint(after.st_mode & 07777, ==, 0700);

    g_assert_cmpint(fstatat(f->parent, "outside", &before, 0), ==, 0);
    for (guint i = 0; i < 3; i++) {
        g_assert_cmpint(unlinkat(f->fd, "data.raw", 0), ==, 0);
        if (i == 0)
            g_assert_cmpint(linkat(f->parent, "outside", f->fd, "data.raw", 0), ==, 0);
        else if (i == 1)
            g_assert_cmpint(symlinkat("../outside", f->fd, "data.raw"), ==, 0);
        else
            g_assert_cmpint(mkfifoat(f->fd, "data.raw", 0666), ==, 0);
        g_assert_false(kh_instance_dir_take_back(f->parent, "box", "data.raw", -1, &error));
        g_assert_nonnull(strstr(error->message, "data.raw"));
        g_clear_error(&error);
    }
    g_assert_cmpint(fstatat(f->parent, "outside", &after, 0), ==, 0);
    g_assert_cmpint(before.st_mode, ==, after.st_mode);
}

/* What lies elsewhere is not followed, and the one who has linked it is told which it is. */
static void
linked_folder(Fixture *f, gconstpointer data)
{
    g_autofree char *path = g_build_filename(f->base, "link", NULL);
    g_autoptr(GError) error = NULL;

    g_assert_cmpint(symlinkat("box", f->parent, "link"), ==, 0);
    for (guint i = 0; i < 3; i++) {
        if (i == 0)
            g_assert_cmpint(kh_instance_dir_open(f->parent, "link", &error), ==, -1);
        else if (i == 1)
            g_assert_false(kh_instance_dir_remove(f->parent, "link", NULL, &error));
        else
            g_assert_false(kh_instance_dir_take_back(f->parent, "link", "x", -1, &error));
        g_assert_error(error, KH_ERROR, KH_ERROR_FAILED);
        g_assert_nonnull(strstr(error->message, path));
        g_assert_nonnull(strstr(error->message, "symbolic link"));
        g_clear_error(&error);
    }
    g_assert_cmpint(kh_instance_dir_open(f->parent, "absent", &error), ==, -1);
    g_assert_error(error, KH_ERROR, KH_ERROR_NOT_FOUND);
}

/* As one who is not root, whom a mode without its bits keeps out of his own folder. */
static void
removes_closed_folders(Fixture *f, gconstpointer data)
{
    const gboolean root = geteuid() == 0;
    int fd;

    g_assert_cmpint(root ? fchown(f->parent, 65534, 65534) : 0, ==, 0);
    g_assert_cmpint(root ? seteuid(65534) : 0, ==, 0);
    g_assert_true(kh_instance_dir_create(f->parent, "closed", -1, NULL));
    fd = kh_instance_dir_open(f->parent, "closed", NULL);
    g_assert_cmpint(mkdirat(fd, "more", 0700), ==, 0);
    g_assert_cmpint(mkdirat(fd, "more/inside", 0700), ==, 0);
    g_assert_cmpint(fchmodat(fd, "more", 0, 0), ==, 0);
    g_assert_cmpint(fchmod(fd, 0), ==, 0);
    close(fd);
    g_assert_true(kh_instance_dir_remove(f->parent, "closed", NULL, NULL));
    g_assert_cmpint(faccessat(f->parent, "closed", F_OK, 0), ==, -1);
    g_assert_cmpint(root ? seteuid(0) : 0, ==, 0);
}

/*
 * What reaches the disk, in order, while @syncs is there: P is the fixture's parent folder, f
 * another folder, d a file; with + while "new" is in the parent, with - otherwise.
 */
static GString *syncs;
static int syncs_parent;

static void
note_sync(int fd)
{
    struct stat st, parent;

    if (syncs == NULL)
        return;
    g_assert_cmpint(fstat(fd, &st), ==, 0);
    g_assert_cmpint(fstat(syncs_parent, &parent), ==, 0);
    g_string_append_c(syncs, S_ISREG(st.st_mode) ? 'd' : st.st_ino == parent.st_ino ? 'P' : 'f');
    g_string_append_c(syncs, faccessat(syncs_parent, "new", F_OK, 0) == 0 ? '+' : '-');
}

/* In the place of the C library's. */
int
fsync(int fd)
{
    note_sync(fd);
    return (int)syscall(SYS_fsync, fd);
}

int
fdatasync(int fd)
{
    note_sync(fd);
    return (int)syscall(SYS_fdatasync, fd);
}

static void
watch_syncs(Fixture *f)
{
    syncs = g_string_new(NULL);
    syncs_parent = f->parent;
}

static void
assert_synced(const char *wanted)
{
    g_assert_cmpstr(syncs->str, ==, wanted);
    g_string_truncate(syncs, 0);
}

/* What was answered outlives a power cut: a thing first, then the folder that names it. */
static void
durable(Fixture *f, gconstpointer data)
{
    int fd;

    watch_syncs(f);
    g_assert_true(kh_instance_dir_create(f->parent, "new", -1, NULL));
    assert_synced("f+P+");
    fd = kh_instance_dir_open(f->parent, "new", NULL);
    g_assert_true(kh_instance_dir_create_disk(fd, "data.raw", -1, 4096, NULL));
    g_assert_true(kh_instance_dir_write(fd, "args", -1, "secret", NULL));
    assert_synced("");
    g_assert_true(kh_instance_dir_sync_file(fd, "data.raw", -1, NULL));
    assert_synced("d+f+");
    g_assert_true(kh_instance_dir_take_back(f->parent, "new", "data.raw", -1, NULL));
    assert_synced("d+f+");
    g_assert_true(kh_instance_dir_remove(f->parent, "new", "data.raw", NULL));
    assert_synced("f+");
    g_assert_true(kh_instance_dir_mark_deleted(f->parent, "new", NULL));
    assert_synced("P-");
    g_assert_true(kh_instance_dir_mark_deleted(f->parent, "new", NULL));
    assert_synced("P-");
    g_assert_true(kh_instance_dir_remove(f->parent, "new.deleted", NULL, NULL));
    assert_synced("P-");
    g_string_free(g_steal_pointer(&syncs), TRUE);
    close(fd);
}

static void
durable_state(Fixture *f, gconstpointer data)
{
    g_autofree char *path = g_build_filename(f->base, "new", NULL);
    g_autofree char *runtime = g_build_filename(f->base, "run", NULL);
    g_autoptr(KhStateDir) dir = NULL;

    watch_syncs(f);
    dir = kh_state_dir_open(path, runtime, NULL);
    assert_synced("P+f+");
    g_string_free(g_steal_pointer(&syncs), TRUE);
}

static void
syncs_no_other_file(Fixture *f, gconstpointer data)
{
    g_autoptr(GError) error = NULL;

    plant(f, "outside", "precious");
    g_assert_cmpint(symlinkat("../outside", f->fd, "data.raw"), ==, 0);
    g_assert_false(kh_instance_dir_sync_file(f->fd, "data.raw", -1, &error));
    g_assert_nonnull(strstr(error->message, "symbolic link"));
    g_clear_error(&error);
    g_assert_false(kh_instance_dir_sync_file(f->fd, "absent", -1, &error));
    g_assert_error(error, KH_ERROR, KH_ERROR_NOT_FOUND);
}

static gboolean
is_there(Fixture *f, const char *name)
{
    return faccessat(f->parent, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

/* Once, again, over whatever lies in the mark's place, and never anything but a folder. */
static void
marks(Fixture *f, gconstpointer data)
{
    g_autoptr(GError) error = NULL;

    plant(f, "outside", "precious");
    g_assert_true(kh_instance_dir_mark_deleted(f->parent, "absent", &error));
    for (guint i = 0; i < 4; i++) {
        g_assert_true(kh_instance_dir_create(f->parent, "x", -1, NULL));
        if (i == 1) {
            g_assert_cmpint(mkdirat(f->parent, "x.deleted/more", 0700), ==, 0);
        } else if (i > 1) {
            g_assert_true(kh_instance_dir_remove(f->parent, "x.deleted", NULL, NULL));
            if (i == 2)
                g_assert_cmpint(symlinkat("outside", f->parent, "x.deleted"), ==, 0);
            else
                plant(f, "x.deleted", "y");
        }
        g_assert_true(kh_instance_dir_mark_deleted(f->parent, "x", &error));
        g_assert_no_error(error);
        g_assert_false(is_there(f, "x"));
        g_assert_true(is_there(f, "x.deleted"));
        g_assert_cmpint(unlinkat(f->parent, "x.deleted/more", AT_REMOVEDIR), ==, -1);
    }
    assert_outside_is(f, "precious");
    g_assert_cmpint(symlinkat("box", f->parent, "x"), ==, 0);
    g_assert_false(kh_instance_dir_mark_deleted(f->parent, "x", &error));
    g_assert_nonnull(strstr(error->message, "symbolic link"));
    g_assert_true(is_there(f, "x") && is_there(f, "x.deleted"));
    g_clear_error(&error);
    g_assert_false(kh_instance_dir_mark_deleted(f->parent, "outside", &error));
    g_assert_error(error, KH_ERROR, KH_ERROR_FAILED);
}

static void
assert_kind(Fixture *f, const char *name, KhFolderKind wanted, guint32 wanted_owner)
{
    guint32 owner = 0;

    g_assert_cmpint(kh_instance_dir_classify(f->parent, name, "data.raw", &owner), ==, wanted);
    g_assert_cmpuint(owner, ==, wanted_owner);
}

static void
kinds(Fixture *f, gconstpointer data)
{
    const guint32 me = geteuid();

    assert_kind(f, "absent", KH_FOLDER_UNKNOWN, KH_FOLDER_NO_OWNER);
    /* Of one that has never been started there is no data. */
    assert_kind(f, "box", KH_FOLDER_KEPT, me);
    g_assert_true(kh_instance_dir_write(f->fd, "data.raw", -1, "chain", NULL));
    assert_kind(f, "box", KH_FOLDER_KEPT, me);
    g_assert_cmpint(fchmod(f->fd, 0770), ==, 0);
    assert_kind(f, "box", KH_FOLDER_UNKNOWN, me);
    g_assert_cmpint(fchmod(f->fd, 0700), ==, 0);
    g_assert_true(kh_instance_dir_write(f->fd, "args", -1, "secret", NULL));
    assert_kind(f, "box", KH_FOLDER_UNKNOWN, me);
    g_assert_cmpint(unlinkat(f->fd, "args", 0), ==, 0);
    g_assert_cmpint(linkat(f->fd, "data.raw", f->parent, "second", 0), ==, 0);
    assert_kind(f, "box", KH_FOLDER_UNKNOWN, me);
    g_assert_cmpint(unlinkat(f->fd, "data.raw", 0), ==, 0);
    g_assert_cmpint(symlinkat("../second", f->fd, "data.raw"), ==, 0);
    assert_kind(f, "box", KH_FOLDER_UNKNOWN, me);
    g_assert_cmpint(symlinkat("box", f->parent, "link"), ==, 0);
    g_assert_cmpint(symlinkat("box", f->parent, "link.deleted"), ==, 0);
    assert_kind(f, "link", KH_FOLDER_UNKNOWN, me);
    assert_kind(f, "link.deleted", KH_FOLDER_UNKNOWN, me);
    assert_kind(f, "second", KH_FOLDER_UNKNOWN, me);
    g_assert_cmpint(renameat(f->parent, "box", f->parent, "box.deleted"), ==, 0);
    assert_kind(f, "box.deleted", KH_FOLDER_DELETED, me);
    g_assert_cmpint(renameat(f->parent, "box.deleted", f->parent, "box"), ==, 0);
}

/* A machine's folder, and one that was being taken back from it. */
static void
kinds_of_others(Fixture *f, gconstpointer data)
{
    if (geteuid() != 0) {
        g_test_skip("needs root to give files away");
        return;
    }
    g_assert_true(kh_instance_dir_write(f->fd, "data.raw", 65534, "chain", NULL));
    assert_kind(f, "box", KH_FOLDER_UNKNOWN, 65534);
    g_assert_cmpint(fchown(f->fd, 65533, 65533), ==, 0);
    assert_kind(f, "box", KH_FOLDER_UNKNOWN, 65533);
    g_assert_true(kh_instance_dir_take_back(f->parent, "box", "data.raw", 65534, NULL));
    assert_kind(f, "box", KH_FOLDER_KEPT, 0);
}

/* What cannot be read, for want of descriptors, is not empty. */
static void
kind_not_seen(Fixture *f, gconstpointer data)
{
    struct rlimit before, few;
    int next = open("/dev/null", O_RDONLY | O_CLOEXEC);

    close(next);
    g_assert_true(kh_instance_dir_write(f->fd, "args", -1, "secret", NULL));
    g_assert_cmpint(getrlimit(RLIMIT_NOFILE, &before), ==, 0);
    few = before;
    for (guint more = 0; more < 2; more++) {
        few.rlim_cur = (rlim_t)next + more;
        g_assert_cmpint(setrlimit(RLIMIT_NOFILE, &few), ==, 0);
        assert_kind(f, "box", KH_FOLDER_UNKNOWN, geteuid());
    }
    g_assert_cmpint(setrlimit(RLIMIT_NOFILE, &before), ==, 0);
}

static void
state_folder(Fixture *f, gconstpointer data)
{
    g_autofree char *path = g_build_filename(f->base, "state, with=odd name", NULL);
    g_autofree char *runtime = g_build_filename(f->base, "run", NULL);
    g_autoptr(KhStateDir) first = NULL;
    g_autoptr(GError) error = NULL;
    struct stat st;

    first = kh_state_dir_open(path, runtime, &error);
    g_assert_no_error(error);
    g_assert_cmpint(g_stat(path, &st), ==, 0);
    g_assert_cmpint(st.st_mode & 07777, ==, 0711);
    g_assert_cmpuint(kh_state_dir_file_max(first), >, 1 << 30);

    /* A lock belongs to the open file, so this process can be its own rival. */
    g_assert_null(kh_state_dir_open(path, runtime, &error));
    g_assert_error(error, KH_ERROR, KH_ERROR_BUSY);
}

static char *
real_path(const char *base, const char *name)
{
    g_autofree char *path = g_build_filename(base, name, NULL);
    g_autofree char *real = realpath(path, NULL);

    return g_strdup(real);
}

/* What a killed service has forked, and runs no program of its own yet, has its locks still. */
static void
lock_of_a_child(Fixture *f, gconstpointer data)
{
    g_autofree char *path = g_build_filename(f->base, "state", NULL);
    g_autofree char *runtime = g_build_filename(f->base, "run", NULL);
    g_autoptr(KhStateDir) first = kh_state_dir_open(path, runtime, NULL);
    g_autoptr(KhStateDir) second = NULL;
    g_autoptr(GError) error = NULL;
    pid_t child = fork();

    if (child == 0) {
        g_usleep(200 * 1000);
        _exit(0);
    }
    g_assert_cmpint(child, >, 0);
    g_clear_object(&first);
    second = kh_state_dir_open(path, runtime, &error);
    g_assert_no_error(error);
    waitpid(child, NULL, 0);
}

/* The same sockets under another state are refused too, before anything is made there. */
static void
shared_runtime(Fixture *f, gconstpointer data)
{
    g_autofree char *path = g_build_filename(f->base, "state", NULL);
    g_autofree char *other = g_build_filename(f->base, "other", NULL);
    g_autofree char *instances = g_build_filename(other, "instances", NULL);
    g_autofree char *runtime = g_build_filename(f->base, "run", NULL);
    g_autoptr(KhStateDir) first = kh_state_dir_open(path, runtime, NULL);
    g_autoptr(KhStateDir) second = NULL;
    g_autoptr(GError) error = NULL;

    g_assert_null(kh_state_dir_open(other, runtime, &error));
    g_assert_error(error, KH_ERROR, KH_ERROR_BUSY);
    g_assert_nonnull(strstr(error->message, kh_state_dir_get_runtime(first)));
    g_assert_nonnull(strstr(error->message, "another runtime-dir"));
    g_assert_false(g_file_test(instances, G_FILE_TEST_EXISTS));
    g_clear_error(&error);
    g_assert_null(kh_state_dir_open(other, other, &error));
    g_assert_error(error, KH_ERROR, KH_ERROR_INVALID_ARGUMENT);
    g_clear_error(&error);
    g_clear_object(&first);
    second = kh_state_dir_open(other, runtime, &error);
    g_assert_no_error(error);
}

/* A link as the last part, one before it, and folders that lie on another disk. */
static void
linked_state(Fixture *f, gconstpointer data)
{
    static const char *const folders[] = {"real", "real/state", "disk", "disk/i", "real/run"};
    g_autofree char *path = g_build_filename(f->base, "link", "way", NULL);
    g_autofree char *runtime = g_build_filename(f->base, "link", "run", NULL);
    g_autoptr(KhStateDir) dir = NULL;
    g_autoptr(GError) error = NULL;
    const char *found[4];

    for (guint i = 0; i < G_N_ELEMENTS(folders); i++)
        g_assert_cmpint(mkdirat(f->parent, folders[i], 0700), ==, 0);
    g_assert_cmpint(symlinkat("real", f->parent, "link"), ==, 0);
    g_assert_cmpint(symlinkat("state", f->parent, "real/way"), ==, 0);
    g_assert_cmpint(symlinkat("../../disk/i", f->parent, "real/state/instances"), ==, 0);
    dir = kh_state_dir_open(path, runtime, &error);
    g_assert_no_error(error);
    found[0] = kh_state_dir_get_path(dir);
    found[1] = kh_state_dir_get_instances(dir);
    found[2] = kh_state_dir_get_images(dir);
    found[3] = kh_state_dir_get_runtime(dir);
    for (guint i = 0; i < 4; i++) {
        static const char *const wanted[] = {"real/state", "disk/i", "real/state/images",
                                             "real/run"};
        g_autofree char *real = real_path(f->base, wanted[i]);

        g_assert_cmpstr(found[i], ==, real);
    }
}

/* Nothing is made in the place of what is not mounted; each link that matters is named. */
static void
dangling_links(Fixture *f, gconstpointer data)
{
    static const char *const bad[] = {"away", "away/state", "box"};
    g_autofree char *runtime = g_build_filename(f->base, "run", NULL);
    g_autofree char *target = g_build_filename(f->base, "not-mounted", NULL);

    g_assert_cmpint(symlinkat("not-mounted", f->parent, "away"), ==, 0);
    g_assert_cmpint(symlinkat("../not-mounted", f->fd, "instances"), ==, 0);
    for (guint i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_autofree char *path = g_build_filename(f->base, bad[i], NULL);
        g_autofree char *link = g_build_filename(f->base, i < 2 ? "away" : "box/instances", NULL);
        g_autoptr(GError) error = NULL;

        g_assert_null(kh_state_dir_open(path, runtime, &error));
        g_assert_error(error, KH_ERROR, KH_ERROR_FAILED);
        g_assert_true(g_str_has_prefix(error->message, link));
        g_assert_nonnull(strstr(error->message, "symbolic link"));
        g_assert_false(g_file_test(target, G_FILE_TEST_EXISTS));
    }
}

/* A lock that is a link would be another folder's lock. */
static void
linked_lock(Fixture *f, gconstpointer data)
{
    g_autofree char *path = g_build_filename(f->base, "box", NULL);
    g_autofree char *runtime = g_build_filename(f->base, "run", NULL);
    g_autofree char *lock = g_build_filename(path, "lock", NULL);
    g_autoptr(GError) error = NULL;

    plant(f, "outside", "");
    g_assert_cmpint(symlinkat("../outside", f->fd, "lock"), ==, 0);
    g_assert_null(kh_state_dir_open(path, runtime, &error));
    g_assert_true(g_str_has_prefix(error->message, lock));
    g_assert_nonnull(strstr(error->message, "symbolic link"));
}

/* What a link leads to must be as plain as what is set. */
static void
odd_target(Fixture *f, gconstpointer data)
{
    g_autofree char *path = g_build_filename(f->base, "link", NULL);
    g_autofree char *runtime = g_build_filename(f->base, "run", NULL);
    g_autoptr(GError) error = NULL;

    g_assert_cmpint(mkdirat(f->parent, "it's", 0700), ==, 0);
    g_assert_cmpint(symlinkat("it's", f->parent, "link"), ==, 0);
    g_assert_null(kh_state_dir_open(path, runtime, &error));
    g_assert_error(error, KH_ERROR, KH_ERROR_INVALID_ARGUMENT);
}

static void
refused_paths(void)
{
    static const char *const bad[] = {"relative",   "/tmp/kh'x",  "/tmp/kh\"x",
                                      "/tmp/kh\\x", "/tmp/kh\nx", "/tmp/\xff"};

    for (guint i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_autoptr(GError) error = NULL;

        g_assert_null(kh_state_dir_open(bad[i], "/tmp/kh-run", &error));
        g_assert_error(error, KH_ERROR, KH_ERROR_INVALID_ARGUMENT);
        g_assert_false(g_file_test(bad[i], G_FILE_TEST_EXISTS));
    }
}

#define ADD(path, function) g_test_add(path, Fixture, NULL, set_up, function, tear_down)

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    ADD("/instance-dir/hostile-names", hostile_names);
    ADD("/instance-dir/foreign-owner", foreign_owner);
    ADD("/instance-dir/sockets", sockets);
    ADD("/instance-dir/modes", modes);
    ADD("/instance-dir/deep", removes_deep_trees);
    ADD("/instance-dir/keep", keeps_data);
    ADD("/instance-dir/take-back", takes_back);
    ADD("/instance-dir/linked", linked_folder);
    ADD("/instance-dir/closed", removes_closed_folders);
    ADD("/instance-dir/durable", durable);
    ADD("/instance-dir/sync-file", syncs_no_other_file);
    ADD("/instance-dir/marks", marks);
    ADD("/instance-dir/kinds", kinds);
    ADD("/instance-dir/kinds-of-others", kinds_of_others);
    ADD("/instance-dir/kind-not-seen", kind_not_seen);
    ADD("/state-dir/open", state_folder);
    ADD("/state-dir/durable", durable_state);
    ADD("/state-dir/lock-of-a-child", lock_of_a_child);
    ADD("/state-dir/shared-runtime", shared_runtime);
    ADD("/state-dir/linked", linked_state);
    ADD("/state-dir/dangling", dangling_links);
    ADD("/state-dir/linked-lock", linked_lock);
    ADD("/state-dir/odd-target", odd_target);
    g_test_add_func("/state-dir/refused", refused_paths);
    return g_test_run();
}
