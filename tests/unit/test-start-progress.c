/* SPDX-License-Identifier: MIT */
/* Tests of what systemd is told while the service starts. */
#include "start-progress.h"

#include <gio/gio.h>
#include <gio/gunixsocketaddress.h>
#include <glib/gstdio.h>

typedef struct {
    char *folder, *path;
    GSocket *socket;
    KhStartProgress *progress;
} Fixture;

static void
set_up(Fixture *f, gconstpointer data)
{
    g_autoptr(GSocketAddress) address = NULL;

    f->folder = g_dir_make_tmp("kh-progress-XXXXXX", NULL);
    f->path = g_build_filename(f->folder, "notify", NULL);
    address = g_unix_socket_address_new(f->path);
    f->socket = g_socket_new(G_SOCKET_FAMILY_UNIX, G_SOCKET_TYPE_DATAGRAM, 0, NULL);
    g_assert_true(g_socket_bind(f->socket, address, FALSE, NULL));
    g_socket_set_blocking(f->socket, FALSE);
    g_setenv("NOTIFY_SOCKET", f->path, TRUE);
    f->progress = kh_start_progress_new();
}

static void
tear_down(Fixture *f, gconstpointer data)
{
    kh_start_progress_free(f->progress);
    g_unsetenv("NOTIFY_SOCKET");
    g_clear_object(&f->socket);
    g_unlink(f->path);
    g_rmdir(f->folder);
    g_free(f->path);
    g_free(f->folder);
}

/* The next message; NULL for none. */
static char *
receive(Fixture *f)
{
    char text[256];
    gssize length = g_socket_receive(f->socket, text, sizeof text, NULL, NULL);

    return length < 0 ? NULL : g_strndup(text, (gsize)length);
}

static void
check_next(Fixture *f, const char *wanted)
{
    g_autofree char *text = receive(f);

    g_assert_cmpstr(text, ==, wanted);
}

static void
asks_for_time(Fixture *f, gconstpointer data)
{
    kh_start_progress_note(f->progress, "Loading instances", 3, 10);
    check_next(f, "STATUS=Loading instances, 3 of 10\nEXTEND_TIMEOUT_USEC=30000000");
}

static void
counts_where_it_can(Fixture *f, gconstpointer data)
{
    kh_start_progress_note(f->progress, "Reading the database", 0, 0);
    check_next(f, "STATUS=Reading the database\nEXTEND_TIMEOUT_USEC=30000000");
}

/* As often as it is called; a second later it is said again. */
static void
says_it_once_a_second(Fixture *f, gconstpointer data)
{
    gint64 since = g_get_monotonic_time();
    g_autofree char *again = NULL;

    for (guint i = 0; i < 1000; i++)
        kh_start_progress_note(f->progress, "Loading instances", i, 1000);
    check_next(f, "STATUS=Loading instances, 0 of 1000\nEXTEND_TIMEOUT_USEC=30000000");
    while (again == NULL) {
        g_usleep(1000);
        kh_start_progress_note(f->progress, "Loading instances", 1000, 1000);
        again = receive(f);
    }
    g_assert_cmpint(g_get_monotonic_time() - since, >=, G_USEC_PER_SEC);
}

static void
is_silent_after_the_start(Fixture *f, gconstpointer data)
{
    kh_start_progress_note(NULL, "Loading instances", 3, 10);
    check_next(f, NULL);
}

#define ADD(path, function) g_test_add(path, Fixture, NULL, set_up, function, tear_down)

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    ADD("/start-progress/time", asks_for_time);
    ADD("/start-progress/count", counts_where_it_can);
    ADD("/start-progress/seldom", says_it_once_a_second);
    ADD("/start-progress/ready", is_silent_after_the_start);
    return g_test_run();
}
