/* SPDX-License-Identifier: MIT */
/* Tests of the reserve of descriptors. Each sets limits, and so is a process of its own. */
#include "descriptors.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "error.h"

#define LIMIT 64 /* a reserve of 16 */
#define RESERVE 16

static void
set_limit(rlim_t n)
{
    struct rlimit limit;

    g_assert_cmpint(getrlimit(RLIMIT_NOFILE, &limit), ==, 0);
    limit.rlim_cur = n;
    g_assert_cmpint(setrlimit(RLIMIT_NOFILE, &limit), ==, 0);
}

static guint
count_open(void)
{
    guint count = 0;

    for (int fd = 0; fd < LIMIT; fd++)
        count += fcntl(fd, F_GETFD) >= 0;
    return count;
}

/* Opens one after another until @left are left. */
static void
leave(guint left)
{
    while (count_open() < LIMIT - left)
        g_assert_cmpint(fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 0), >=, 0);
}

static void
assert_refused(guint wanted)
{
    g_autoptr(GError) error = NULL;

    g_assert_false(kh_descriptors_check(wanted, &error));
    g_assert_error(error, KH_ERROR, KH_ERROR_RESOURCE_UNAVAILABLE);
    g_assert_nonnull(strstr(error->message, "it may have 64 and each machine takes 6"));
}

static void
assert_granted(guint wanted)
{
    g_autoptr(GError) error = NULL;
    guint before = count_open();

    g_assert_true(kh_descriptors_check(wanted, &error));
    g_assert_no_error(error);
    g_assert_cmpuint(count_open(), ==, before);
}

static void
reserve(void)
{
    set_limit(LIMIT);
    g_assert_cmpuint(kh_descriptors_limit(), ==, LIMIT);
    leave(RESERVE + 6);
    assert_granted(6);
    assert_refused(7);
    leave(RESERVE);
    assert_granted(0);
    assert_refused(1);
    leave(0);
    assert_refused(0);
}

/* Those that are free need not be the last ones: old machines end before new ones do. */
static void
holes(void)
{
    set_limit(LIMIT);
    leave(0);
    for (int fd = 10; fd < 10 + RESERVE + 1; fd++)
        close(fd);
    assert_granted(1);
    assert_refused(2);
    for (int fd = 30; fd < 50; fd += 2)
        close(fd);
    assert_granted(11);
    assert_refused(12);
}

static void
machines(void)
{
    static const guint rows[][2] = {{16, 0}, {64, 2}, {1024, 160}};

    for (guint i = 0; i < G_N_ELEMENTS(rows); i++) {
        set_limit(rows[i][0]);
        g_assert_cmpuint(kh_descriptors_machines(), ==, rows[i][1]);
    }
}

static void
in_process_of_its_own(gconstpointer data)
{
    void (*function)(void) = data;

    if (g_test_subprocess()) {
        function();
        set_limit(1024);
        return;
    }
    g_test_trap_subprocess(NULL, 0, G_TEST_SUBPROCESS_DEFAULT);
    g_test_trap_assert_passed();
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_data_func("/descriptors/reserve", reserve, in_process_of_its_own);
    g_test_add_data_func("/descriptors/holes", holes, in_process_of_its_own);
    g_test_add_data_func("/descriptors/machines", machines, in_process_of_its_own);
    return g_test_run();
}
