/* SPDX-License-Identifier: MIT */
/* Tests that a text is written whole, or that it is known how much of it was. */
#include "write-all.h"

#include <errno.h>
#include <fcntl.h>
#include <glib-unix.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#define LENGTH (1024 * 1024)
#define PAUSE_USEC 1000

typedef struct {
    int fd;
    pthread_t writer; /* is interrupted all the time */
} Reader;

static void
on_signal(int number)
{
}

/* Slower than the writer; its pipe is full most of the time. */
static gpointer
read_slowly(gpointer data)
{
    const Reader *reader = data;
    GByteArray *all = g_byte_array_new();
    guint8 chunk[16384];
    ssize_t n;

    while ((n = read(reader->fd, chunk, sizeof chunk)) > 0) {
        g_byte_array_append(all, chunk, (guint)n);
        /* The first ends a write that has begun, the second one that has not. */
        for (guint i = 0; i < 2; i++) {
            pthread_kill(reader->writer, SIGUSR1);
            g_usleep(PAUSE_USEC);
        }
    }
    return all;
}

/* A pipe that blocks and one that does not; signals all the time. */
static void
whole(gconstpointer flags)
{
    const struct sigaction action = {.sa_handler = on_signal};
    g_autofree guint8 *text = g_malloc(LENGTH);
    g_autoptr(GByteArray) all = NULL;
    GThread *thread;
    Reader reader;
    int ends[2];

    for (guint i = 0; i < LENGTH; i++)
        text[i] = (guint8)(i * 7 + i / 251);
    g_assert_true(g_unix_open_pipe(ends, FD_CLOEXEC, NULL));
    g_assert_cmpint(fcntl(ends[1], F_SETFL, O_WRONLY | GPOINTER_TO_INT(flags)), ==, 0);
    g_assert_cmpint(sigaction(SIGUSR1, &action, NULL), ==, 0);
    reader = (Reader){ends[0], pthread_self()};
    thread = g_thread_new("reader", read_slowly, &reader);
    g_assert_cmpuint(kh_write_all(ends[1], text, LENGTH), ==, LENGTH);
    close(ends[1]);
    all = g_thread_join(thread);
    close(ends[0]);
    g_assert_cmpmem(all->data, all->len, text, LENGTH);
}

static void
full(void)
{
    int fd = open("/dev/full", O_WRONLY | O_CLOEXEC);

    g_assert_cmpuint(kh_write_all(fd, "text", 4), ==, 0);
    g_assert_cmpint(errno, ==, ENOSPC);
    g_assert_cmpuint(kh_write_all(fd, "", 0), ==, 0);
    close(fd);
}

/* Some of it can be written: the file may have no more. */
static void
half(void)
{
    const struct rlimit four = {4, 4};
    g_autofree char *path = NULL;
    int fd = g_file_open_tmp("kh-XXXXXX", &path, NULL);

    unlink(path);
    /* For this process alone, and for good. */
    if (g_test_subprocess()) {
        signal(SIGXFSZ, SIG_IGN);
        g_assert_cmpint(setrlimit(RLIMIT_FSIZE, &four), ==, 0);
        g_assert_cmpuint(kh_write_all(fd, "0123456789", 10), ==, 4);
        _exit(errno == EFBIG ? 0 : 1);
    }
    g_test_trap_subprocess(NULL, 0, G_TEST_SUBPROCESS_DEFAULT);
    g_test_trap_assert_passed();
    close(fd);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_data_func("/write-all/blocks", GINT_TO_POINTER(0), whole);
    g_test_add_data_func("/write-all/does-not-block", GINT_TO_POINTER(O_NONBLOCK), whole);
    g_test_add_func("/write-all/full", full);
    g_test_add_func("/write-all/half", half);
    return g_test_run();
}
