/* SPDX-License-Identifier: MIT */
/* Tests of how a run takes a machine that is dead before anybody has followed it. */
#include "machine/run.h"
#include "model/config-checks.h"

#include <malloc.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "launch/shim-protocol.h"
#include "sleeper.h"
#include "state/instance-dir-making.h"
#include "state/instance-dir-removal.h"

typedef struct {
    char *base;
    KhMachines machines;
    KhRecord *record;
} Fixture;

static void
set_up(Fixture *f, gconstpointer data)
{
    g_autofree char *state = NULL, *runtime = NULL;

    f->base = g_dir_make_tmp("kh-run-XXXXXX", NULL);
    state = g_build_filename(f->base, "state", NULL);
    runtime = g_build_filename(f->base, "run", NULL);
    f->machines.state_dir = kh_state_dir_open(state, runtime, NULL);
    g_assert_nonnull(f->machines.state_dir);
    f->record = kh_record_new();
    f->record->id = g_strdup("11111111-2222-4333-8444-555555555555");
    f->record->name = g_strdup("x");
    f->record->vm_uid = -1;
    g_assert_true(kh_instance_dir_create(kh_state_dir_runtime_fd(f->machines.state_dir),
                                         f->record->id, -1, NULL));
}

static void
tear_down(Fixture *f, gconstpointer data)
{
    kh_record_unref(f->record);
    g_clear_object(&f->machines.state_dir);
    kh_instance_dir_remove(-1, f->base, NULL, NULL);
    g_free(f->base);
}

static void
count(KhRun *run, guint *ends)
{
    (*ends)++;
}

/* Its end came while the launcher's answer was still on its way. */
static void
dead_on_arrival(Fixture *f, gconstpointer data)
{
    KhProcess shim = sleeper_start(), qemu = sleeper_start();
    g_autoptr(KhVm) vm = kh_vm_new(&shim, &qemu, NULL);
    g_autoptr(KhRun) run = NULL;
    guint ends = 0;

    sleeper_end(&qemu);
    sleeper_end(&shim);
    while (!kh_vm_has_ended(vm))
        g_main_context_iteration(NULL, TRUE);
    run = kh_run_new(&f->machines, f->record, vm);
    g_signal_connect(run, "ended", G_CALLBACK(count), &ends);
    g_assert_cmpuint(ends, ==, 0);
    while (ends == 0)
        g_main_context_iteration(NULL, TRUE);
    while (g_main_context_iteration(NULL, FALSE))
        continue;
    g_assert_cmpuint(ends, ==, 1);
}

/* One that is forgotten at once has nothing left to say. */
static void
dead_and_dropped(Fixture *f, gconstpointer data)
{
    KhProcess shim = sleeper_start(), qemu = sleeper_start();
    g_autoptr(KhVm) vm = kh_vm_new(&shim, &qemu, NULL);

    sleeper_end(&qemu);
    sleeper_end(&shim);
    while (!kh_vm_has_ended(vm))
        g_main_context_iteration(NULL, TRUE);
    g_object_unref(kh_run_new(&f->machines, f->record, vm));
    while (g_main_context_iteration(NULL, FALSE))
        continue;
}

/* A socket of the machine's that one can connect to. */
static int
serve(Fixture *f, const char *socket_name)
{
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    g_snprintf(name.sun_path, sizeof name.sun_path, "%s/run/%s/%s", f->base, f->record->id,
               socket_name);
    g_assert_cmpint(bind(listener, (struct sockaddr *)&name, sizeof name), ==, 0);
    g_assert_cmpint(listen(listener, 1), ==, 0);
    return listener;
}

static void
note_connection(GSocketService *service, GSocketConnection *connection, GObject *source,
                gboolean *asked)
{
    *asked = TRUE;
}

/* Katana's port is asked by a record that nobody else has any more. */
static void
record_of_its_own(Fixture *f, gconstpointer data)
{
    KhProcess shim = sleeper_start(), qemu = sleeper_start();
    g_autoptr(KhVm) vm = kh_vm_new(&shim, &qemu, NULL);
    g_autoptr(GSocketService) rpc = g_socket_service_new();
    guint16 port = g_socket_listener_add_any_inet_port(G_SOCKET_LISTENER(rpc), NULL, NULL);
    g_autofree char *text =
        g_strdup_printf("{'rpc-address': <'127.0.0.1'>, 'rpc-port': <uint16 %u>}", port);
    int listener = serve(f, KH_SOCKET_CONTROL), peer;
    g_autoptr(KhRun) run = NULL;
    gboolean asked = FALSE;

    mallopt(M_PERTURB, 0xa5); /* what is freed is overwritten at once */
    g_signal_connect(rpc, "incoming", G_CALLBACK(note_connection), &asked);
    f->record->config = kh_config_from_text(text, NULL);
    run = kh_run_new(&f->machines, f->record, vm);
    g_clear_pointer(&f->record, kh_record_unref);
    while ((peer = accept(listener, NULL, NULL)) < 0)
        g_main_context_iteration(NULL, TRUE);
    g_assert_cmpint(write(peer, "running pid=9\n", 14), ==, 14);
    while (!asked)
        g_main_context_iteration(NULL, TRUE);
    g_object_run_dispose(G_OBJECT(run));
    close(peer);
    close(listener);
    sleeper_end(&qemu);
    sleeper_end(&shim);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add("/run/dead-on-arrival", Fixture, NULL, set_up, dead_on_arrival, tear_down);
    g_test_add("/run/dead-and-dropped", Fixture, NULL, set_up, dead_and_dropped, tear_down);
    g_test_add("/run/record-of-its-own", Fixture, NULL, set_up, record_of_its_own, tear_down);
    return g_test_run();
}
