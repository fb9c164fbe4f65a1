/* SPDX-License-Identifier: MIT */
/* Tests of which processes are followed: the machine's own and no other. */
#include "launch/vm.h"

#include <fcntl.h>
#include <glib/gstdio.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "error.h"
#include "launch/launcher.h"

#define OTHER_UID 1999995555

/* A process that does nothing, of @uid if that is not 0. */
static GPid
sleeper(uid_t uid)
{
    GPid pid = fork();

    g_assert_cmpint(pid, >=, 0);
    if (pid > 0)
        return pid;
    if (uid != 0 && setresuid(uid, uid, uid) != 0)
        _exit(1);
    prctl(PR_SET_PDEATHSIG, SIGKILL); /* a test that failed leaves none */
    pause();
    _exit(0);
}

static void
end(GPid pid)
{
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
}

static gboolean
is_alive(GPid pid)
{
    siginfo_t info = {0};

    return waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid == 0;
}

static void
wait_for_owner(GPid pid, uid_t uid)
{
    g_autofree char *path = g_strdup_printf("/proc/%d", pid);
    GStatBuf status = {0};

    while (status.st_uid != uid) {
        g_assert_cmpint(g_stat(path, &status), ==, 0);
        g_usleep(1000);
    }
}

static KhVm *
read_line(GPid shim, GPid qemu, gint64 uid, gint64 known, GError **error)
{
    g_autofree char *line = g_strdup_printf("ready %d %d\n", shim, qemu);

    return kh_launcher_read_ready_line(line, uid, known, error);
}

static void
own(void)
{
    GPid shim = sleeper(0), qemu = sleeper(0);
    g_autoptr(GError) error = NULL;
    g_autoptr(KhVm) vm = read_line(shim, qemu, -1, shim, &error);
    g_autoptr(KhVm) again = NULL;

    g_assert_no_error(error);
    g_assert_cmpint(kh_vm_get_shim(vm)->pid, ==, shim);
    g_assert_cmpint(kh_vm_get_qemu(vm)->pid, ==, qemu);
    again = kh_vm_new(kh_vm_get_shim(vm), kh_vm_get_qemu(vm), &error);
    g_assert_no_error(error);
    g_assert_nonnull(again);
    g_clear_object(&again);
    g_clear_object(&vm);
    end(shim);
    end(qemu);
}

/* Neither a shim nor a QEMU of another user, and nothing happens to either. */
static void
foreign(void)
{
    GPid ours = sleeper(0), others;
    const GPid *const pids[][2] = {{&ours, &others}, {&others, &ours}, {&others, &others}};
    g_autoptr(GError) error = NULL;

    if (geteuid() != 0) {
        end(ours);
        g_test_skip("not root");
        return;
    }
    others = sleeper(OTHER_UID);
    wait_for_owner(others, OTHER_UID);
    for (guint i = 0; i < G_N_ELEMENTS(pids); i++) {
        g_assert_null(read_line(*pids[i][0], *pids[i][1], -1, 0, &error));
        g_assert_error(error, KH_ERROR, KH_ERROR_LAUNCH_FAILED);
        g_clear_error(&error);
    }
    g_assert_null(read_line(ours, ours, OTHER_UID, 0, &error));
    g_assert_error(error, KH_ERROR, KH_ERROR_LAUNCH_FAILED);
    g_assert_true(is_alive(ours));
    g_assert_true(is_alive(others));
    end(ours);
    end(others);
}

/* A shim that is gone does not have a foreign QEMU killed in its place. */
static void
foreign_alone(void)
{
    GPid gone = sleeper(0), other = sleeper(0);
    g_autoptr(GError) error = NULL;

    end(gone);
    g_assert_null(read_line(gone, other, OTHER_UID, 0, &error));
    g_assert_error(error, KH_ERROR, KH_ERROR_LAUNCH_FAILED);
    g_assert_true(is_alive(other));
    end(other);
}

static void
other_shim(void)
{
    GPid shim = sleeper(0), qemu = sleeper(0);
    g_autoptr(GError) error = NULL;

    g_assert_null(read_line(shim, qemu, -1, qemu, &error));
    g_assert_error(error, KH_ERROR, KH_ERROR_LAUNCH_FAILED);
    end(shim);
    end(qemu);
}

/* Dead already is another thing than foreign. */
static void
gone(void)
{
    GPid shim = sleeper(0), qemu = sleeper(0);
    g_autoptr(GError) error = NULL;

    end(shim);
    end(qemu);
    g_assert_null(read_line(shim, qemu, -1, 0, &error));
    g_assert_error(error, KH_ERROR, KH_ERROR_NOT_FOUND);
}

/* Both may end before anybody has connected to the signal. */
static void
ended_unseen(void)
{
    GPid shim = sleeper(0), qemu = sleeper(0);
    g_autoptr(KhVm) vm = read_line(shim, qemu, -1, 0, NULL);

    g_assert_nonnull(vm);
    g_assert_false(kh_vm_has_ended(vm));
    end(qemu);
    g_main_context_iteration(NULL, TRUE);
    g_assert_false(kh_vm_has_ended(vm));
    end(shim);
    g_main_context_iteration(NULL, TRUE);
    g_assert_true(kh_vm_has_ended(vm));
}

static gpointer
end_in_thread(gpointer data)
{
    end(GPOINTER_TO_INT(data));
    return NULL;
}

/* Whenever one ends, the other is followed. */
static void
ending_meanwhile(void)
{
    for (guint i = 0; i < 1000; i++) {
        GPid shim = sleeper(0), qemu = sleeper(0);
        GThread *thread = g_thread_new("end", end_in_thread, GINT_TO_POINTER(i % 2 ? shim : qemu));
        g_autoptr(GError) error = NULL;
        g_autoptr(KhVm) vm = NULL;

        g_usleep(i % 100);
        vm = read_line(shim, qemu, -1, 0, &error);
        g_assert_no_error(error);
        g_assert_nonnull(vm);
        g_thread_join(thread);
        end(i % 2 ? qemu : shim);
    }
}

/* The shim is told, QEMU is not. */
static void
terminate(void)
{
    GPid shim = sleeper(0), qemu = sleeper(0);
    g_autoptr(KhVm) vm = read_line(shim, qemu, -1, 0, NULL);
    siginfo_t info = {0};

    g_assert_nonnull(vm);
    g_assert_true(kh_vm_terminate(vm));
    g_assert_cmpint(waitid(P_PID, (id_t)shim, &info, WEXITED | WNOWAIT), ==, 0);
    g_assert_cmpint(info.si_status, ==, SIGTERM);
    /* Before its end is heard of, before it is waited for, and after both. */
    g_assert_false(kh_vm_terminate(vm));
    g_assert_true(is_alive(qemu));
    end(shim);
    g_assert_false(kh_vm_terminate(vm));
    g_main_context_iteration(NULL, TRUE);
    g_assert_false(kh_vm_terminate(vm));
    end(qemu);
}

/* A process of the database is known by its start time. */
static void
reused(void)
{
    GPid pid = sleeper(0);
    KhProcess later = {.pid = pid, .start_time = kh_process_start_time(pid) - 1};
    KhProcess timeless = {.pid = pid};
    g_autoptr(GError) error = NULL;

    g_assert_null(kh_vm_new(&later, &later, &error));
    g_assert_error(error, KH_ERROR, KH_ERROR_NOT_FOUND);
    g_clear_error(&error);
    g_assert_null(kh_vm_new(&timeless, &timeless, &error));
    g_assert_error(error, KH_ERROR, KH_ERROR_NOT_FOUND);
    g_assert_true(is_alive(pid));
    end(pid);
}

/* What has ended has, though nobody has waited for it. */
static void
not_waited_for(void)
{
    GPid pid = sleeper(0);
    KhProcess process = {.pid = pid, .start_time = kh_process_start_time(pid)};
    g_autoptr(GError) error = NULL;
    siginfo_t info;

    kill(pid, SIGKILL);
    g_assert_cmpint(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), ==, 0);
    g_assert_null(kh_vm_new(&process, &process, &error));
    g_assert_error(error, KH_ERROR, KH_ERROR_NOT_FOUND);
    end(pid);
}

/* The lowest number of a descriptor that is free; what is above it is free, too. */
static guint
first_free(void)
{
    int fd = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 0);

    g_assert_cmpint(fd, >, 0);
    close(fd);
    return (guint)fd;
}

static void
limit_descriptors(guint n)
{
    struct rlimit limit;

    g_assert_cmpint(getrlimit(RLIMIT_NOFILE, &limit), ==, 0);
    limit.rlim_cur = n;
    g_assert_cmpint(setrlimit(RLIMIT_NOFILE, &limit), ==, 0);
}

static KhProcess
row_of(GPid pid)
{
    return (KhProcess){.pid = pid, .start_time = kh_process_start_time(pid)};
}

static void
assert_unknown(const KhProcess *shim, const KhProcess *qemu)
{
    g_autoptr(GError) error = NULL;

    g_assert_null(kh_vm_new(shim, qemu, &error));
    g_assert_error(error, KH_ERROR, KH_ERROR_RESOURCE_UNAVAILABLE);
    g_assert_nonnull(strstr(error->message, "could not be examined"));
}

/* Two handles, and the file that is read beside the second. What needs none is known. */
static void
look_with_few(const KhProcess *shim, const KhProcess *qemu, const KhProcess *gone)
{
    const guint first = first_free();
    g_autoptr(GError) error = NULL;
    g_autoptr(KhVm) vm = NULL;

    for (guint n = 0; n < 3; n++) {
        limit_descriptors(first + n);
        assert_unknown(shim, qemu);
        if (n < 2) {
            assert_unknown(gone, qemu);
            assert_unknown(shim, gone);
        }
        g_assert_null(kh_vm_new(gone, gone, &error));
        g_assert_error(error, KH_ERROR, KH_ERROR_NOT_FOUND);
        g_clear_error(&error);
    }
    limit_descriptors(first + 3);
    vm = kh_vm_new(shim, qemu, &error);
    g_assert_no_error(error);
    g_assert_nonnull(vm);
}

/* What cannot be looked at for want of descriptors is not taken for dead, and nothing is ended. */
static void
short_of_descriptors(void)
{
    GPid pids[] = {sleeper(0), sleeper(0), sleeper(0)};
    const KhProcess shim = row_of(pids[0]), qemu = row_of(pids[1]), gone = row_of(pids[2]);

    if (!g_test_subprocess()) {
        g_test_trap_subprocess(NULL, 0, G_TEST_SUBPROCESS_DEFAULT);
        g_test_trap_assert_passed();
    } else {
        g_assert_nonnull(g_main_context_default());
        end(pids[2]);
        look_with_few(&shim, &qemu, &gone);
        g_assert_true(is_alive(pids[0]));
        g_assert_true(is_alive(pids[1]));
        pids[2] = sleeper(0);
    }
    for (guint i = 0; i < G_N_ELEMENTS(pids); i++)
        end(pids[i]);
}

/* The end of its line is no part of what the shim says. */
static void
told_error(void)
{
    g_autoptr(GError) error = NULL;

    g_assert_null(kh_launcher_read_ready_line("error out of \033files\n", 1000, 1, &error));
    g_assert_error(error, KH_ERROR, KH_ERROR_LAUNCH_FAILED);
    g_assert_cmpstr(error->message, ==, "out of \357\277\275files");
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/vm/own", own);
    g_test_add_func("/vm/foreign", foreign);
    g_test_add_func("/vm/foreign-alone", foreign_alone);
    g_test_add_func("/vm/other-shim", other_shim);
    g_test_add_func("/vm/gone", gone);
    g_test_add_func("/vm/ended-unseen", ended_unseen);
    g_test_add_func("/vm/ending-meanwhile", ending_meanwhile);
    g_test_add_func("/vm/terminate", terminate);
    g_test_add_func("/vm/reused", reused);
    g_test_add_func("/vm/not-waited-for", not_waited_for);
    g_test_add_func("/vm/short-of-descriptors", short_of_descriptors);
    g_test_add_func("/vm/told-error", told_error);
    return g_test_run();
}
