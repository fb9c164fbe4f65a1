/* SPDX-License-Identifier: MIT */
/* Tests of log streams and of what logs say about an end. */
#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <glib-unix.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "error.h"
#include "machine/exit-cause.h"
#include "log/log-stream.h"

#include "state/instance-dir-removal.h"

#define FILE_SIZE (1024 * 1024)
#define FILES 4
/* Of one file as it is read: its size and one line. */
#define FILE_BOUND (FILE_SIZE + 65536)

typedef struct {
    char *base;
    int folder;
    KhFolderWatcher *watcher;
    GCancellable *gone;
    gboolean closed;
} Fixture;

static void
set_up(Fixture *f, gconstpointer data)
{
    f->base = g_dir_make_tmp("kh-log-XXXXXX", NULL);
    f->folder = open(f->base, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    f->watcher = kh_folder_watcher_new();
    f->gone = g_cancellable_new();
}

static void
tear_down(Fixture *f, gconstpointer data)
{
    g_clear_object(&f->gone);
    g_clear_object(&f->watcher);
    close(f->folder);
    kh_instance_dir_remove(-1, f->base, NULL, NULL);
    g_free(f->base);
}

static void
append(Fixture *f, const char *name, const char *text)
{
    int fd = openat(f->folder, name, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);

    g_assert_cmpint(write(fd, text, strlen(text)), ==, (int)strlen(text));
    close(fd);
}

static void
on_closed(gpointer data)
{
    ((Fixture *)data)->closed = TRUE;
}

static void
keep_result(GObject *source, GAsyncResult *result, gpointer data)
{
    *(GAsyncResult **)data = g_object_ref(result);
}

static int
open_log(Fixture *f, guint lines, gboolean follow, int boot, GError **error)
{
    const KhLogRequest request = {.name = "serial.log",
                                  .uid = -1,
                                  .file_size = FILE_SIZE,
                                  .files_max = FILES,
                                  .lines = lines,
                                  .follow = follow,
                                  .boot = boot};
    g_autoptr(GAsyncResult) result = NULL;

    f->closed = FALSE;
    kh_log_stream_open_async(f->folder, &request, f->watcher, on_closed, f, f->gone, keep_result,
                             &result);
    while (result == NULL)
        g_main_context_iteration(NULL, TRUE);
    return kh_log_stream_open_finish(result, error);
}

/* Reads until there are @length bytes, or to the end for -1. */
static char *
drain(int fd, gssize length)
{
    GString *text = g_string_new(NULL);
    char chunk[4096];

    g_unix_set_fd_nonblocking(fd, TRUE, NULL);
    while (length < 0 || (gssize)text->len < length) {
        ssize_t n = read(fd, chunk, sizeof chunk);

        if (n == 0)
            break;
        if (n > 0)
            g_string_append_len(text, chunk, n);
        g_main_context_iteration(NULL, FALSE);
    }
    return g_string_free(text, FALSE);
}

static char *
read_lines(Fixture *f, guint lines, int boot)
{
    int fd = open_log(f, lines, FALSE, boot, NULL);
    char *text = drain(fd, -1);

    close(fd);
    g_assert_true(f->closed);
    return text;
}

static void
last_lines(Fixture *f, gconstpointer data)
{
    g_autofree char *empty = read_lines(f, 0, 0);
    g_autofree char *all = NULL, *three = NULL, *one = NULL, *many = NULL;

    g_assert_cmpstr(empty, ==, "");
    append(f, "serial.log.2", "1\n2\n");
    append(f, "serial.log.1", "3\n4\n");
    append(f, "serial.log", "5\n6");
    all = read_lines(f, 0, 0);
    g_assert_cmpstr(all, ==, "1\n2\n3\n4\n5\n6");
    three = read_lines(f, 3, 0);
    g_assert_cmpstr(three, ==, "4\n5\n6");
    one = read_lines(f, 1, 0);
    g_assert_cmpstr(one, ==, "6");
    many = read_lines(f, 100, 0);
    g_assert_cmpstr(many, ==, all);
}

static void
long_lines(Fixture *f, gconstpointer data)
{
    g_autofree char *line = g_strnfill(300000, 'x');
    g_autofree char *text = NULL;

    append(f, "serial.log", "first\n");
    append(f, "serial.log", line);
    append(f, "serial.log", "\nlast\n");
    text = read_lines(f, 2, 0);
    g_assert_cmpuint(strlen(text), ==, 300000 + 6);
}

static void
follows_through_rotation(Fixture *f, gconstpointer data)
{
    g_autofree char *first = NULL, *second = NULL, *third = NULL;
    int fd;

    append(f, "serial.log", "1\n");
    fd = open_log(f, 0, TRUE, 0, NULL);
    first = drain(fd, 2);
    g_assert_cmpstr(first, ==, "1\n");
    append(f, "serial.log", "2\n");
    g_assert_cmpint(renameat(f->folder, "serial.log", f->folder, "serial.log.1"), ==, 0);
    append(f, "serial.log", "3\n");
    second = drain(fd, 4);
    g_assert_cmpstr(second, ==, "2\n3\n");

    /* A new boot: the old files go away, the new one begins. */
    g_assert_cmpint(mkdirat(f->folder, "boot-1", 0700), ==, 0);
    g_assert_cmpint(renameat(f->folder, "serial.log", f->folder, "boot-1/serial.log"), ==, 0);
    g_assert_cmpint(renameat(f->folder, "serial.log.1", f->folder, "boot-1/serial.log.1"), ==, 0);
    append(f, "serial.log", "4\n");
    third = drain(fd, 2);
    g_assert_cmpstr(third, ==, "4\n");
    close(fd);
    while (!f->closed)
        g_main_context_iteration(NULL, TRUE);
}

static void
follows_from_nothing(Fixture *f, gconstpointer data)
{
    g_autofree char *text = NULL;
    int fd = open_log(f, 10, TRUE, 0, NULL);

    append(f, "serial.log", "hello\n");
    text = drain(fd, 6);
    g_assert_cmpstr(text, ==, "hello\n");
    close(fd);
    while (!f->closed)
        g_main_context_iteration(NULL, TRUE);
}

static void
boots(Fixture *f, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *before = NULL, *oldest = NULL;

    g_assert_cmpint(mkdirat(f->folder, "boot-9", 0700), ==, 0);
    g_assert_cmpint(mkdirat(f->folder, "boot-10", 0700), ==, 0);
    append(f, "boot-9/serial.log", "nine\n");
    append(f, "boot-10/serial.log", "ten\n");
    before = read_lines(f, 0, -1);
    oldest = read_lines(f, 0, -2);
    g_assert_cmpstr(before, ==, "ten\n");
    g_assert_cmpstr(oldest, ==, "nine\n");
    g_assert_cmpint(open_log(f, 0, FALSE, -3, &error), ==, -1);
    g_assert_error(error, KH_ERROR, KH_ERROR_NOT_FOUND);
    g_clear_error(&error);
    g_assert_cmpint(open_log(f, 0, FALSE, 1, &error), ==, -1);
    g_assert_error(error, KH_ERROR, KH_ERROR_INVALID_ARGUMENT);
}

static void
hostile_files(Fixture *f, gconstpointer data)
{
    g_autofree char *text = NULL;

    g_assert_cmpint(symlinkat("/etc/passwd", f->folder, "serial.log"), ==, 0);
    g_assert_cmpint(mkfifoat(f->folder, "serial.log.1", 0600), ==, 0);
    g_assert_cmpint(symlinkat("/etc", f->folder, "boot-1"), ==, 0);
    text = read_lines(f, 0, 0);
    g_assert_cmpstr(text, ==, "");
    g_assert_cmpint(open_log(f, 0, FALSE, -1, NULL), ==, -1);
}

static void
make_sparse(Fixture *f, const char *name, off_t size)
{
    int fd = openat(f->folder, name, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

    g_assert_cmpint(ftruncate(fd, size), ==, 0);
    close(fd);
}

static gsize
count_bytes(Fixture *f, guint lines)
{
    int fd = open_log(f, lines, FALSE, 0, NULL);
    gsize total = 0;
    ssize_t n = -1;

    g_unix_set_fd_nonblocking(fd, TRUE, NULL);
    while (n != 0) {
        char chunk[65536];

        n = read(fd, chunk, sizeof chunk);
        total += n > 0 ? (gsize)n : 0;
        g_main_context_iteration(NULL, FALSE);
    }
    close(fd);
    return total;
}

/* Nobody but the machine's user makes such files; of each only the end is a log. */
static void
endless_files(Fixture *f, gconstpointer data)
{
    make_sparse(f, "serial.log", (off_t)200 << 30);
    g_assert_cmpuint(count_bytes(f, 0), ==, FILE_BOUND);
    g_assert_cmpuint(count_bytes(f, 100), ==, FILE_BOUND);
    append(f, "serial.log", "\nlast\n");
    g_assert_cmpuint(count_bytes(f, 1), ==, 5);
    for (guint i = 1; i < 3 * FILES; i++) {
        g_autofree char *name = g_strdup_printf("serial.log.%u", i);

        make_sparse(f, name, (off_t)200 << 30);
    }
    g_assert_cmpuint(count_bytes(f, 0), ==, FILES * FILE_BOUND);
    g_assert_cmpuint(count_bytes(f, 1000), ==, FILES * FILE_BOUND);
}

/* A reader that takes all there is does not keep the main loop to itself. */
static void
a_turn_is_bounded(Fixture *f, gconstpointer data)
{
    int fd, waiting = 0;

    make_sparse(f, "serial.log", FILE_SIZE);
    fd = open_log(f, 0, FALSE, 0, NULL);
    g_assert_cmpint(fcntl(fd, F_SETPIPE_SZ, FILE_SIZE), >=, FILE_SIZE);
    while (waiting == 0) {
        g_main_context_iteration(NULL, TRUE);
        g_assert_cmpint(ioctl(fd, FIONREAD, &waiting), ==, 0);
    }
    g_assert_cmpint(waiting, <, FILE_SIZE / 2);
    close(fd);
    while (!f->closed)
        g_main_context_iteration(NULL, TRUE);
}

static guint
count_inotify(void)
{
    g_autoptr(GDir) dir = g_dir_open("/proc/self/fd", 0, NULL);
    const char *name;
    guint count = 0;

    while ((name = g_dir_read_name(dir)) != NULL) {
        g_autofree char *path = g_build_filename("/proc/self/fd", name, NULL);
        g_autofree char *target = g_file_read_link(path, NULL);

        count += target != NULL && strstr(target, "inotify") != NULL;
    }
    return count;
}

static void
many_followers(Fixture *f, gconstpointer data)
{
    int fds[200];

    for (guint i = 0; i < G_N_ELEMENTS(fds); i++) {
        fds[i] = open_log(f, 0, TRUE, 0, NULL);
        g_assert_cmpint(fds[i], >=, 0);
    }
    g_assert_cmpuint(count_inotify(), ==, 1);
    append(f, "serial.log", "hello\n");
    for (guint i = 0; i < G_N_ELEMENTS(fds); i++) {
        g_autofree char *text = drain(fds[i], 6);

        g_assert_cmpstr(text, ==, "hello\n");
        f->closed = FALSE;
        close(fds[i]);
        while (!f->closed)
            g_main_context_iteration(NULL, TRUE);
    }
}

/* With its instance; the folder alone is never told of while a descriptor of it is open. */
static void
ends_when_gone(Fixture *f, gconstpointer data)
{
    g_autofree char *text = NULL;
    int fd;

    append(f, "serial.log", "1\n");
    fd = open_log(f, 0, TRUE, 0, NULL);
    append(f, "serial.log", "2\n");
    g_cancellable_cancel(f->gone);
    text = drain(fd, -1);
    g_assert_cmpstr(text, ==, "1\n2\n");
    g_assert_true(f->closed);
    close(fd);
}

static void
fatal_lines(void)
{
    g_autofree char *found =
        kh_ending_find_fatal("ok\nFATAL: first\nFATAL:  no disk \033[0m\r\nnot FATAL: this\n");
    g_autofree char *none = kh_ending_find_fatal("no FATAL: here\n");

    g_autofree char *panic = kh_ending_find_fatal(
        "x\r\n[    3.65][    T1] Kernel panic - not syncing: VFS\r\n[    3.66] CPU: 0\r\n");
    g_autofree char *quoted = kh_ending_find_fatal("[x] Kernel panic - not syncing: said\n[1\n[");

    g_assert_cmpstr(panic, ==, "Kernel panic - not syncing: VFS");
    g_assert_null(quoted);
    g_assert_true(g_str_has_prefix(found, "no disk"));
    g_assert_null(strchr(found, '\033'));
    g_assert_null(none);
}

static void
exit_codes(void)
{
    static const struct {
        const char *log;
        int code;
    } cases[] = {
        {"x\nKatana exited with code 0\r\nTeardown: poweroff\r\n", 0},
        {"FATAL: Katana exited with code 42\r\n[ 1.0] reboot\n", 42},
        {"Katana exited with code 1\nKatana exited with code 255", 255},
        {"Katana exited with code 256\n", -1},
        {"Katana exited with code -1\n", -1},
        {"Katana exited with code 1 or so\n", -1},
        {"it said Katana exited with code 1\n", -1},
        {"Katana exited with code ", -1},
        {"", -1},
    };

    for (guint i = 0; i < G_N_ELEMENTS(cases); i++)
        g_assert_cmpint(kh_ending_find_exit_code(cases[i].log), ==, cases[i].code);
}

static void
assert_end(Fixture *f, KhEnding ending, int code, const char *says)
{
    g_autoptr(GError) error = NULL;

    g_assert_cmpint(kh_ending_describe(f->folder, -1, &error), ==, ending);
    g_assert_error(error, KH_ERROR, code);
    g_assert_nonnull(strstr(error->message, says));
}

static void
endings(Fixture *f, gconstpointer data)
{
    assert_end(f, KH_ENDING_UNKNOWN, KH_ERROR_FAILED, "no exit status");
    append(f, "exit-status", "exited 0\n");
    assert_end(f, KH_ENDING_POWERED_OFF, KH_ERROR_GUEST_FAILED, "powered itself off");
    append(f, "serial.log", "FATAL: Katana exited with code 3\n");
    assert_end(f, KH_ENDING_FAILED, KH_ERROR_GUEST_FAILED, "Katana exited with code 3");
    g_assert_cmpint(unlinkat(f->folder, "exit-status", 0), ==, 0);
    append(f, "exit-status", "signaled 9\n");
    assert_end(f, KH_ENDING_FAILED, KH_ERROR_FAILED, "signal 9");
    g_assert_cmpint(unlinkat(f->folder, "exit-status", 0), ==, 0);
    g_assert_cmpint(unlinkat(f->folder, "serial.log", 0), ==, 0);
    append(f, "exit-status", "exited 1\n");
    append(f, "qemu.log", "qemu: secret\n");
    assert_end(f, KH_ENDING_FAILED, KH_ERROR_LAUNCH_FAILED, "QEMU ended with code 1; its log");
    g_assert_cmpint(unlinkat(f->folder, "exit-status", 0), ==, 0);
    append(f, "exit-status", "exited 0 stopped\n");
    assert_end(f, KH_ENDING_STOPPED, KH_ERROR_CANCELLED, "from outside");
    g_assert_cmpint(unlinkat(f->folder, "exit-status", 0), ==, 0);
    append(f, "exit-status", "signaled 9 stopped\n");
    assert_end(f, KH_ENDING_FORCED, KH_ERROR_CANCELLED, "from outside");
}

static void
count_news(gpointer data)
{
    ++*(guint *)data;
}

/* What the machine writes to its disk in the same folder wakes nobody, and a hurry wakes once. */
static void
news_are_of_the_log(Fixture *f, gconstpointer data)
{
    guint told = 0;
    KhFolderWatch *watch =
        kh_folder_watcher_add(f->watcher, f->folder, "serial.log", count_news, &told, NULL);

    g_assert_nonnull(watch);
    for (guint i = 0; i < 10; i++) {
        append(f, "data.raw", "x");
        append(f, "qemu.log", "x");
    }
    while (g_main_context_iteration(NULL, FALSE))
        ;
    g_assert_cmpuint(told, ==, 0);
    for (guint i = 0; i < 10; i++) {
        append(f, "serial.log", "x");
        append(f, "serial.log.1", "x");
        append(f, "data.raw", "x");
    }
    while (told == 0)
        g_main_context_iteration(NULL, TRUE);
    while (g_main_context_iteration(NULL, FALSE))
        ;
    g_assert_cmpuint(told, ==, 1);
    kh_folder_watcher_remove(f->watcher, watch);
}

/* A machine that writes to its disk as fast as it can wakes the service now and then. */
static void
busy_disk(Fixture *f, gconstpointer data)
{
    guint told = 0, turns = 0, rests = 0;
    KhFolderWatch *watch =
        kh_folder_watcher_add(f->watcher, f->folder, "serial.log", count_news, &told, NULL);
    gint64 begin = g_get_monotonic_time();

    while (told == 0 || rests < 4) {
        for (guint i = 0; i < 500; i++)
            append(f, i % 2 == 0 ? "data.raw" : "qemu.log", "x");
        if (rests >= 2 && told == 0)
            append(f, "serial.log", "x");
        turns += g_main_context_iteration(NULL, FALSE);
        rests = (guint)((g_get_monotonic_time() - begin) / (KH_FOLDER_REST_MS * 1000));
        g_assert_cmpuint(rests, <, 600);
    }
    /* News, and the end of a rest. */
    g_assert_cmpuint(turns, <=, 2 * (rests + 1));
    kh_folder_watcher_remove(f->watcher, watch);
}

#define ADD(path, function) g_test_add(path, Fixture, NULL, set_up, function, tear_down)

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    ADD("/log/last-lines", last_lines);
    ADD("/log/long-lines", long_lines);
    ADD("/log/rotation", follows_through_rotation);
    ADD("/log/nothing-yet", follows_from_nothing);
    ADD("/log/boots", boots);
    ADD("/log/hostile", hostile_files);
    ADD("/log/endless", endless_files);
    ADD("/log/turn", a_turn_is_bounded);
    ADD("/log/many-followers", many_followers);
    ADD("/log/gone", ends_when_gone);
    ADD("/log/news", news_are_of_the_log);
    ADD("/log/busy-disk", busy_disk);
    g_test_add_func("/ending/fatal", fatal_lines);
    g_test_add_func("/ending/exit-codes", exit_codes);
    ADD("/ending/describe", endings);
    return g_test_run();
}
