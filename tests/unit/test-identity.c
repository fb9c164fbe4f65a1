/* SPDX-License-Identifier: MIT */
/* Tests of whose machine a process is. */
#include "launch/identity.h"

#include <fcntl.h>
#include <glib/gstdio.h>
#include <sched.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/wait.h>
#include <unistd.h>

#include "error.h"
#include "fake-shim.h"
#include "launch/shim-protocol.h"
#include "state/instance-dir-removal.h"

#define ID "0a"
#define OTHER_UID 1999995556

/* An instance's folders of two services: ours, and one on a copy. */
typedef struct {
    char *top;
    char *own, *copy; /* its state folders */
    char *runtime;
    KhMachineRef ref;
} Fixture;

static char *
make_folder(Fixture *f, const char *name)
{
    char *path = g_build_filename(f->top, name, NULL);

    g_assert_cmpint(g_mkdir_with_parents(path, 0755), ==, 0);
    return path;
}

static int
open_parent(const char *path)
{
    g_autofree char *parent = g_path_get_dirname(path);
    int fd = open(parent, O_PATH | O_DIRECTORY | O_CLOEXEC);

    g_assert_cmpint(fd, >=, 0);
    return fd;
}

static void
set_up(Fixture *f, gconstpointer data)
{
    f->top = g_dir_make_tmp("kh-identity-XXXXXX", NULL);
    f->own = make_folder(f, "own/instances/" ID);
    f->copy = make_folder(f, "copy/instances/" ID);
    f->runtime = make_folder(f, "run/" ID);
    f->ref = (KhMachineRef){.id = ID,
                            .instances_fd = open_parent(f->own),
                            .runtime_fd = open_parent(f->runtime),
                            .uid = -1};
}

static void
tear_down(Fixture *f, gconstpointer data)
{
    close(f->ref.instances_fd);
    close(f->ref.runtime_fd);
    g_assert_true(kh_instance_dir_remove(AT_FDCWD, f->top, NULL, NULL));
    g_free(f->own);
    g_free(f->copy);
    g_free(f->runtime);
    g_free(f->top);
}

static int
code_of(KhIdentity identity)
{
    return identity == KH_IDENTITY_FOREIGN   ? KH_ERROR_NOT_AUTHORIZED
           : identity == KH_IDENTITY_UNKNOWN ? KH_ERROR_RESOURCE_UNAVAILABLE
                                             : KH_ERROR_NOT_FOUND;
}

static void
assert_identity(const Fixture *f, GPid pid, KhIdentity wanted, const char *says)
{
    g_autoptr(GError) error = NULL;
    KhIdentity found = kh_identity_of(&f->ref, pid, &error);

    g_assert_cmpint(found, ==, wanted);
    if (wanted == KH_IDENTITY_OURS)
        g_assert_no_error(error);
    else
        g_assert_error(error, KH_ERROR, code_of(wanted));
    if (says != NULL && strstr(error->message, says) == NULL)
        g_error("\"%s\" does not say \"%s\"", error->message, says);
}

/* The same of a process that is there for this only. */
static void
assert_shim(const Fixture *f, const char *id, const char *folder, KhIdentity wanted,
            const char *says)
{
    GPid pid = fake_shim_start(&(FakeShim){.id = id, .folder = folder});

    assert_identity(f, pid, wanted, says);
    fake_shim_end(pid);
}

static void
folders(Fixture *f, gconstpointer data)
{
    g_autofree char *link = g_build_filename(f->top, "link", NULL);
    g_autofree char *through = g_build_filename(link, ID, NULL);
    g_autofree char *roundabout =
        g_build_filename(f->copy, "..", "..", "..", "own", "instances", ID, NULL);

    g_assert_cmpint(symlink("own/instances", link), ==, 0);
    assert_shim(f, ID, f->own, KH_IDENTITY_OURS, NULL);
    assert_shim(f, ID, through, KH_IDENTITY_OURS, NULL);
    assert_shim(f, ID, roundabout, KH_IDENTITY_OURS, NULL);
    assert_shim(f, ID, f->copy, KH_IDENTITY_FOREIGN,
                "copy/instances/" ID ", which is another folder");
    /* Whatever our own has become. */
    g_assert_cmpint(g_rmdir(f->own), ==, 0);
    assert_shim(f, ID, f->copy, KH_IDENTITY_FOREIGN, "it is left alone");
    g_assert_cmpint(symlink(f->copy, f->own), ==, 0);
    assert_shim(f, ID, f->copy, KH_IDENTITY_FOREIGN, "it is left alone");
    g_assert_cmpint(g_unlink(f->own), ==, 0);
}

static void
others(Fixture *f, gconstpointer data)
{
    GPid ended = fake_shim_start(&(FakeShim){.id = ID, .folder = f->own});
    siginfo_t info;

    assert_shim(f, "0b", f->own, KH_IDENTITY_OTHER, "does not run a machine");
    assert_identity(f, getpid(), KH_IDENTITY_OTHER, NULL);
    kill(ended, SIGKILL);
    g_assert_cmpint(waitid(P_PID, (id_t)ended, &info, WEXITED | WNOWAIT), ==, 0);
    assert_identity(f, ended, KH_IDENTITY_GONE, NULL);
    fake_shim_end(ended);
    assert_identity(f, ended, KH_IDENTITY_GONE, NULL);
}

/* One that has just begun may come to hold its folder; one that never does is of another. */
static void
unheld(Fixture *f, gconstpointer data)
{
    int lock = open(f->own, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    gint64 deadline = g_get_monotonic_time() + 20 * G_USEC_PER_SEC;
    GPid pid;

    g_assert_cmpint(flock(lock, LOCK_SH), ==, 0);
    pid = fake_shim_start(&(FakeShim){.id = ID, .folder = f->own});
    assert_identity(f, pid, KH_IDENTITY_UNKNOWN, "does not hold its folder yet");
    while (kh_identity_of(&f->ref, pid, NULL) == KH_IDENTITY_UNKNOWN) {
        g_assert_cmpint(g_get_monotonic_time(), <, deadline);
        g_usleep(100000);
    }
    assert_identity(f, pid, KH_IDENTITY_FOREIGN, "which has been replaced by another folder");
    fake_shim_end(pid);
    close(lock);
}

static void
serve(Fixture *f, const char *folder, const char *name, KhIdentity wanted)
{
    g_autofree char *gone = g_build_filename(f->top, "gone", ID, NULL);
    g_autofree char *socket = g_build_filename(folder, name, NULL);
    GPid pid = fake_shim_start(&(FakeShim){.id = ID, .folder = gone, .socket = socket});

    assert_identity(f, pid, wanted, wanted == KH_IDENTITY_OURS ? NULL : "which is not there");
    fake_shim_end(pid);
    g_unlink(socket);
}

/* A state folder that has another name now: the sockets say whose it was. */
static void
moved(Fixture *f, gconstpointer data)
{
    serve(f, f->runtime, KH_SOCKET_CONTROL, KH_IDENTITY_OURS);
    serve(f, f->runtime, KH_SOCKET_QMP, KH_IDENTITY_OURS);
    serve(f, f->copy, KH_SOCKET_CONTROL, KH_IDENTITY_FOREIGN);
    g_assert_cmpint(g_rmdir(f->runtime), ==, 0);
    serve(f, f->copy, KH_SOCKET_CONTROL, KH_IDENTITY_FOREIGN);
}

/* Of the machine's user, or the service's own as long as it is starting. */
static void
users(Fixture *f, gconstpointer data)
{
    GPid other, own;

    if (geteuid() != 0) {
        g_test_skip("not root");
        return;
    }
    other = fake_shim_start(&(FakeShim){.id = ID, .folder = f->own, .uid = OTHER_UID});
    own = fake_shim_start(&(FakeShim){.id = ID, .folder = f->own});
    assert_identity(f, own, KH_IDENTITY_OURS, NULL);
    assert_identity(f, other, KH_IDENTITY_FOREIGN, "as user 1999995556, not as user 0");
    f->ref.uid = OTHER_UID;
    assert_identity(f, other, KH_IDENTITY_OURS, NULL);
    assert_identity(f, own, KH_IDENTITY_OURS, NULL);
    f->ref.uid = OTHER_UID + 1;
    assert_identity(f, other, KH_IDENTITY_FOREIGN, NULL);
    fake_shim_end(other);
    fake_shim_end(own);
}

static void
container(Fixture *f, gconstpointer data)
{
    GPid pid;

    if (geteuid() != 0) {
        g_test_skip("not root");
        return;
    }
    pid = fake_shim_start(&(FakeShim){.id = ID, .folder = f->own, .flags = CLONE_NEWPID});
    assert_identity(f, pid, KH_IDENTITY_FOREIGN, "in a container");
    fake_shim_end(pid);
}

/* Whatever cannot be opened, it is not taken for another's, nor for gone. */
static void
look_with_few(const Fixture *f, GPid pid)
{
    rlim_t before = fake_shim_leave_descriptors(0);

    assert_identity(f, pid, KH_IDENTITY_UNKNOWN, "could not be examined");
    fake_shim_limit_descriptors(before);
    fake_shim_leave_descriptors(1);
    assert_identity(f, pid, KH_IDENTITY_OURS, NULL);
    fake_shim_limit_descriptors(before);
}

static void
short_of_descriptors(Fixture *f, gconstpointer data)
{
    GPid pid;

    if (!g_test_subprocess()) {
        g_test_trap_subprocess(NULL, 0, G_TEST_SUBPROCESS_DEFAULT);
        g_test_trap_assert_passed();
        return;
    }
    pid = fake_shim_start(&(FakeShim){.id = ID, .folder = f->own});
    look_with_few(f, pid);
    fake_shim_end(pid);
}

#define TEST(name, function)                                                                       \
    g_test_add("/identity/" name, Fixture, NULL, set_up, function, tear_down)

int
main(int argc, char **argv)
{
    fake_shim_act(argc, argv);
    g_test_init(&argc, &argv, NULL);
    TEST("folders", folders);
    TEST("others", others);
    TEST("unheld", unheld);
    TEST("moved", moved);
    TEST("users", users);
    TEST("container", container);
    TEST("short-of-descriptors", short_of_descriptors);
    return g_test_run();
}
