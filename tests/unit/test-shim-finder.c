/* SPDX-License-Identifier: MIT */
/* Tests of how a machine of an earlier service is found again, and another's is not. */
#include "launch/shim-finder.h"

#include <fcntl.h>
#include <glib/gstdio.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "error.h"
#include "fake-shim.h"
#include "launch/shim-protocol.h"
#include "state/instance-dir-removal.h"

#define OTHER_UID 1999995557

/* Our folders, and an instance's state folder on a copy of them. */
typedef struct {
    char *top;
    char *id; /* nobody else's on this host, whose processes are all looked at */
    char *own, *copy, *runtime;
    char *socket;
    KhMachineRef ref;
} Fixture;

static char *
make_folder(Fixture *f, const char *parent)
{
    char *path = g_build_filename(f->top, parent, f->id, NULL);

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
    f->top = g_dir_make_tmp("kh-finder-XXXXXX", NULL);
    f->id = g_uuid_string_random();
    f->own = make_folder(f, "own/instances");
    f->copy = make_folder(f, "copy/instances");
    f->runtime = make_folder(f, "run");
    f->socket = g_build_filename(f->runtime, KH_SOCKET_CONTROL, NULL);
    f->ref = (KhMachineRef){.id = f->id,
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
    g_free(f->socket);
    g_free(f->own);
    g_free(f->copy);
    g_free(f->runtime);
    g_free(f->id);
    g_free(f->top);
}

static KhProcess
noted(GPid pid)
{
    return (KhProcess){.pid = pid, .start_time = kh_process_start_time(pid)};
}

/* A machine of @folder, noted in the reference. */
static GPid
start_machine(Fixture *f, const char *folder, const char *socket)
{
    GPid shim =
        fake_shim_start(&(FakeShim){.id = f->id, .folder = folder, .socket = socket, .qemu = TRUE});

    f->ref.shim = noted(shim);
    f->ref.qemu = noted(fake_shim_find_qemu(shim));
    return shim;
}

typedef KhVm *(*Way)(const KhMachineRef *ref, GError **error);

static void
assert_found(const Fixture *f, Way way)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(KhVm) vm = way(&f->ref, &error);

    g_assert_no_error(error);
    g_assert_cmpint(kh_vm_get_shim(vm)->pid, ==, f->ref.shim.pid);
    g_assert_cmpint(kh_vm_get_qemu(vm)->pid, ==, f->ref.qemu.pid);
}

static void
assert_not_found(const Fixture *f, Way way, KhError code)
{
    g_autoptr(GError) error = NULL;

    g_assert_null(way(&f->ref, &error));
    g_assert_error(error, KH_ERROR, (int)code);
}

static gboolean
is_alive(GPid pid)
{
    siginfo_t info = {0};

    return waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid == 0;
}

static void
ours(Fixture *f, gconstpointer data)
{
    GPid shim = start_machine(f, f->own, f->socket);

    assert_found(f, kh_shim_finder_find);
    assert_found(f, kh_shim_finder_follow);
    fake_shim_end(shim);
    assert_not_found(f, kh_shim_finder_find, KH_ERROR_NOT_FOUND);
    waitpid((pid_t)f->ref.qemu.pid, NULL, 0);
    assert_not_found(f, kh_shim_finder_follow, KH_ERROR_NOT_FOUND);
}

/* The sockets are gone, then the folder they were in: the shim's words are left. */
static void
without_sockets(Fixture *f, gconstpointer data)
{
    GPid shim = start_machine(f, f->own, f->socket);

    g_assert_cmpint(g_unlink(f->socket), ==, 0);
    assert_found(f, kh_shim_finder_find);
    g_assert_cmpint(g_rmdir(f->runtime), ==, 0);
    assert_found(f, kh_shim_finder_find);
    fake_shim_end(shim);
    assert_not_found(f, kh_shim_finder_find, KH_ERROR_NOT_FOUND);
}

/* QEMU may bind what it likes in the place of the socket, and let it rest. */
static void
replaced_socket(Fixture *f, gconstpointer data)
{
    GPid shim = start_machine(f, f->own, NULL);
    GPid other =
        fake_shim_start(&(FakeShim){.id = "another", .folder = f->own, .socket = f->socket});

    assert_found(f, kh_shim_finder_find);
    fake_shim_end(other);
    assert_found(f, kh_shim_finder_find);
    fake_shim_end(shim);
}

/* The machine of the service that has the original of our state folder. */
static void
foreign(Fixture *f, gconstpointer data)
{
    GPid shim = start_machine(f, f->copy, NULL);

    assert_not_found(f, kh_shim_finder_find, KH_ERROR_NOT_AUTHORIZED);
    assert_not_found(f, kh_shim_finder_follow, KH_ERROR_NOT_AUTHORIZED);
    g_assert_true(is_alive(shim));
    g_assert_cmpint(kill((pid_t)f->ref.qemu.pid, 0), ==, 0);
    fake_shim_end(shim);
}

/* One on a copy does not stand in the way of our own. */
static void
both(Fixture *f, gconstpointer data)
{
    GPid first = start_machine(f, f->copy, NULL), own = start_machine(f, f->own, NULL);
    GPid last = fake_shim_start(&(FakeShim){.id = f->id, .folder = f->copy, .qemu = TRUE});

    assert_found(f, kh_shim_finder_find);
    fake_shim_end(own);
    assert_not_found(f, kh_shim_finder_find, KH_ERROR_NOT_AUTHORIZED);
    fake_shim_end(first);
    fake_shim_end(last);
}

/* The numbers of the row are those of other processes by now, or of another machine. */
static void
recycled(Fixture *f, gconstpointer data)
{
    GPid shim = start_machine(f, f->own, NULL);
    GPid other = fake_shim_start(&(FakeShim){.id = "another", .folder = f->own, .qemu = TRUE});

    f->ref.shim.start_time--;
    f->ref.qemu.start_time--;
    assert_not_found(f, kh_shim_finder_follow, KH_ERROR_NOT_FOUND);
    f->ref.shim = noted(other);
    f->ref.qemu = noted(fake_shim_find_qemu(other));
    assert_not_found(f, kh_shim_finder_follow, KH_ERROR_NOT_FOUND);
    g_assert_true(is_alive(shim));
    g_assert_true(is_alive(other));
    fake_shim_end(shim);
    fake_shim_end(other);
}

/* A shim without a QEMU is starting or ending: it is not known yet what comes of it. */
static void
on_its_way(Fixture *f, gconstpointer data)
{
    GPid shim = fake_shim_start(&(FakeShim){.id = f->id, .folder = f->own});

    assert_not_found(f, kh_shim_finder_find, KH_ERROR_RESOURCE_UNAVAILABLE);
    fake_shim_end(shim);
    assert_not_found(f, kh_shim_finder_find, KH_ERROR_NOT_FOUND);
}

/* Its user is known before it has become it. */
static void
users(Fixture *f, gconstpointer data)
{
    GPid shim;

    if (geteuid() != 0) {
        g_test_skip("not root");
        return;
    }
    f->ref.uid = OTHER_UID;
    shim = fake_shim_start(&(FakeShim){.id = f->id, .folder = f->own});
    assert_not_found(f, kh_shim_finder_find, KH_ERROR_RESOURCE_UNAVAILABLE);
    fake_shim_end(shim);
    shim =
        fake_shim_start(&(FakeShim){.id = f->id, .folder = f->own, .qemu = TRUE, .uid = OTHER_UID});
    f->ref.shim = noted(shim);
    f->ref.qemu = noted(fake_shim_find_qemu(shim));
    assert_found(f, kh_shim_finder_find);
    assert_found(f, kh_shim_finder_follow);
    /* Whoever else calls himself so: anybody can. */
    f->ref.uid = OTHER_UID + 1;
    assert_not_found(f, kh_shim_finder_find, KH_ERROR_NOT_FOUND);
    fake_shim_end(shim);
}

/* With every number of descriptors it is found, or it is said that it could not be looked at. */
static void
look_with_few(Fixture *f)
{
    gboolean found = FALSE;

    for (guint n = 0; !found; n++) {
        rlim_t before = fake_shim_leave_descriptors(n);
        g_autoptr(GError) error = NULL;
        g_autoptr(KhVm) vm = kh_shim_finder_find(&f->ref, &error);

        fake_shim_limit_descriptors(before);
        found = vm != NULL;
        if (!found)
            g_assert_error(error, KH_ERROR, KH_ERROR_RESOURCE_UNAVAILABLE);
        g_assert_cmpuint(n, <, 10);
    }
}

static void
short_of_descriptors(Fixture *f, gconstpointer data)
{
    GPid shim;

    if (!g_test_subprocess()) {
        g_test_trap_subprocess(NULL, 0, G_TEST_SUBPROCESS_DEFAULT);
        g_test_trap_assert_passed();
        return;
    }
    g_assert_nonnull(g_main_context_default());
    shim = start_machine(f, f->own, f->socket);
    look_with_few(f);
    g_assert_cmpint(g_unlink(f->socket), ==, 0);
    look_with_few(f);
    g_assert_true(is_alive(shim));
    fake_shim_end(shim);
}

#define TEST(name, function)                                                                       \
    g_test_add("/shim-finder/" name, Fixture, NULL, set_up, function, tear_down)

int
main(int argc, char **argv)
{
    fake_shim_act(argc, argv);
    g_test_init(&argc, &argv, NULL);
    prctl(PR_SET_CHILD_SUBREAPER, 1); /* to wait for QEMU, too */
    TEST("ours", ours);
    TEST("without-sockets", without_sockets);
    TEST("replaced-socket", replaced_socket);
    TEST("foreign", foreign);
    TEST("both", both);
    TEST("recycled", recycled);
    TEST("on-its-way", on_its_way);
    TEST("users", users);
    TEST("short-of-descriptors", short_of_descriptors);
    return g_test_run();
}
