/* SPDX-License-Identifier: MIT */
/* Tests of whose machine a process is. The program is its own shim, when called like one. */
#include "launch/identity.h"

#include <fcntl.h>
#include <glib/gstdio.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "error.h"
#include "launch/shim-protocol.h"
#include "state/instance-dir.h"

#define ID "0a"
#define OTHER_UID 1999995556

/* An instance's folders of two services: ours, and one on a copy. */
typedef struct {
    char *top;
    char *own, *copy; /* its state folders */
    char *runtime;
    KhTraces traces;
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
    f->traces = (KhTraces){.id = ID,
                           .instances_fd = open_parent(f->own),
                           .runtime_fd = open_parent(f->runtime),
                           .uid = -1};
}

static void
tear_down(Fixture *f, gconstpointer data)
{
    close(f->traces.instances_fd);
    close(f->traces.runtime_fd);
    g_assert_true(kh_instance_dir_remove(AT_FDCWD, f->top, NULL, NULL));
    g_free(f->own);
    g_free(f->copy);
    g_free(f->runtime);
    g_free(f->top);
}

/* Becomes a process with the words of a shim; one that listens on @socket, if not NULL. */
static _Noreturn void
become_shim(const char *id, const char *folder, const char *socket, uid_t uid)
{
    const char *words[] = {"/shim", "--run", "--instance", id,  "--state-dir",
                           folder,  "--",    socket,       NULL};

    if (uid != 0 && setresuid(uid, uid, uid) != 0)
        _exit(1);
    prctl(PR_SET_PDEATHSIG, SIGKILL); /* a test that failed leaves none */
    execv("/proc/self/exe", (char *const *)words);
    _exit(1);
}

/* Waits until it has its words. With CLONE_NEWPID in @flags in a container of its own. */
static GPid
start(const char *id, const char *folder, const char *socket, uid_t uid, unsigned long flags)
{
    int pipe[2];
    GPid pid;
    char byte;

    g_assert_cmpint(pipe2(pipe, O_CLOEXEC), ==, 0);
    pid = (GPid)syscall(SYS_clone, flags | SIGCHLD, NULL, NULL, NULL, NULL);
    if (pid == 0)
        become_shim(id, folder, socket, uid);
    close(pipe[1]);
    g_assert_cmpint(read(pipe[0], &byte, 1), ==, 0);
    close(pipe[0]);
    return pid;
}

static void
end(GPid pid)
{
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
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
    KhIdentity found = kh_identity_of(&f->traces, pid, &error);

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
    GPid pid = start(id, folder, NULL, 0, 0);

    assert_identity(f, pid, wanted, says);
    end(pid);
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
    assert_shim(f, ID, f->copy, KH_IDENTITY_FOREIGN, "copy/instances/" ID ", which is another one");
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
    GPid ended = start(ID, f->own, NULL, 0, 0);
    siginfo_t info;

    assert_shim(f, "0b", f->own, KH_IDENTITY_OTHER, "does not run a machine");
    assert_identity(f, getpid(), KH_IDENTITY_OTHER, NULL);
    kill(ended, SIGKILL);
    g_assert_cmpint(waitid(P_PID, (id_t)ended, &info, WEXITED | WNOWAIT), ==, 0);
    assert_identity(f, ended, KH_IDENTITY_GONE, NULL);
    end(ended);
    assert_identity(f, ended, KH_IDENTITY_GONE, NULL);
}

static void
wait_for_listener(const char *folder, const char *name)
{
    int parent = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC), fd = -1;
    pid_t pid;

    while (fd < 0) {
        g_usleep(1000);
        fd = kh_instance_dir_connect(parent, name, -1, &pid, NULL);
    }
    close(fd);
    close(parent);
}

static void
serve(Fixture *f, const char *folder, const char *name, KhIdentity wanted)
{
    g_autofree char *gone = g_build_filename(f->top, "gone", ID, NULL);
    g_autofree char *socket = g_build_filename(folder, name, NULL);
    GPid pid = start(ID, gone, socket, 0, 0);

    wait_for_listener(folder, name);
    assert_identity(f, pid, wanted, wanted == KH_IDENTITY_OURS ? NULL : "which is not there");
    end(pid);
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
    other = start(ID, f->own, NULL, OTHER_UID, 0);
    own = start(ID, f->own, NULL, 0, 0);
    assert_identity(f, own, KH_IDENTITY_OURS, NULL);
    assert_identity(f, other, KH_IDENTITY_FOREIGN, "as user 1999995556, not as user 0");
    f->traces.uid = OTHER_UID;
    assert_identity(f, other, KH_IDENTITY_OURS, NULL);
    assert_identity(f, own, KH_IDENTITY_OURS, NULL);
    f->traces.uid = OTHER_UID + 1;
    assert_identity(f, other, KH_IDENTITY_FOREIGN, NULL);
    end(other);
    end(own);
}

static void
container(Fixture *f, gconstpointer data)
{
    GPid pid;

    if (geteuid() != 0) {
        g_test_skip("not root");
        return;
    }
    pid = start(ID, f->own, NULL, 0, CLONE_NEWPID);
    assert_identity(f, pid, KH_IDENTITY_FOREIGN, "in a container");
    end(pid);
}

/* What it was before. */
static rlim_t
limit_descriptors(rlim_t n)
{
    struct rlimit limit;
    rlim_t before;

    g_assert_cmpint(getrlimit(RLIMIT_NOFILE, &limit), ==, 0);
    before = limit.rlim_cur;
    limit.rlim_cur = n;
    g_assert_cmpint(setrlimit(RLIMIT_NOFILE, &limit), ==, 0);
    return before;
}

/* Whatever cannot be opened, it is not taken for another's, nor for gone. */
static void
look_with_few(const Fixture *f, GPid pid)
{
    int first = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 0);
    rlim_t before;

    close(first);
    before = limit_descriptors((rlim_t)first);
    assert_identity(f, pid, KH_IDENTITY_UNKNOWN, "could not be looked at");
    limit_descriptors((rlim_t)first + 1);
    assert_identity(f, pid, KH_IDENTITY_OURS, NULL);
    limit_descriptors(before);
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
    pid = start(ID, f->own, NULL, 0, 0);
    look_with_few(f, pid);
    end(pid);
}

static int
be_shim(const char *socket_path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (socket_path != NULL) {
        g_strlcpy(address.sun_path, socket_path, sizeof address.sun_path);
        if (bind(fd, (struct sockaddr *)&address, sizeof address) != 0 || listen(fd, 8) != 0)
            return 1;
    }
    alarm(60);
    pause();
    return 0;
}

#define TEST(name, function)                                                                       \
    g_test_add("/identity/" name, Fixture, NULL, set_up, function, tear_down)

int
main(int argc, char **argv)
{
    if (argc > 6 && g_str_equal(argv[1], "--run"))
        return be_shim(argv[7]);
    g_test_init(&argc, &argv, NULL);
    TEST("folders", folders);
    TEST("others", others);
    TEST("moved", moved);
    TEST("users", users);
    TEST("container", container);
    TEST("short-of-descriptors", short_of_descriptors);
    return g_test_run();
}
