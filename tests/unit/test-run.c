/* SPDX-License-Identifier: MIT */
/* Tests of how a run takes a machine that is dead before anybody has followed it. */
#include "machine/run.h"

#include "sleeper.h"
#include "state/instance-dir.h"

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
    kh_record_free(f->record);
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

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add("/run/dead-on-arrival", Fixture, NULL, set_up, dead_on_arrival, tear_down);
    g_test_add("/run/dead-and-dropped", Fixture, NULL, set_up, dead_and_dropped, tear_down);
    return g_test_run();
}
