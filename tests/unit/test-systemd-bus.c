/* SPDX-License-Identifier: MIT */
/* How units are looked at and ended, with a systemd of the test's own on a private bus. */
#include "launch/systemd-bus.h"

#include <fcntl.h>
#include <glib/gstdio.h>
#include <unistd.h>

#include "error.h"
#include "fake-shim.h"
#include "launch/systemd-launcher.h"
#include "state/instance-dir-removal.h"

#define SYSTEMD "org.freedesktop.systemd1"
#define MACHINED "org.freedesktop.machine1"
#define ID "0a"
#define UNIT "katana-vm-" ID ".service"
#define LAST_QUESTION "ExecMainStatus"
/* For what comes; and for what does not come in time. */
#define LONG_MS 20000
#define SHORT_MS 300

static const char interfaces[] =
    "<node><interface name='" SYSTEMD ".Manager'>"
    "<method name='Subscribe'/>"
    "<method name='StartTransientUnit'><arg type='s' direction='in'/><arg type='s' direction='in'/>"
    "<arg type='a(sv)' direction='in'/><arg type='a(sa(sv))' direction='in'/>"
    "<arg type='o' direction='out'/></method>"
    "<method name='StopUnit'><arg type='s' direction='in'/><arg type='s' direction='in'/>"
    "<arg type='o' direction='out'/></method>"
    "<method name='ResetFailedUnit'><arg type='s' direction='in'/></method>"
    "<method name='UnrefUnit'><arg type='s' direction='in'/></method>"
    "<method name='RefUnit'><arg type='s' direction='in'/></method></interface>"
    "<interface name='" SYSTEMD ".Unit'><property name='Job' type='(uo)' access='read'/>"
    "<property name='ActiveState' type='s' access='read'/></interface>"
    "<interface name='" SYSTEMD ".Service'><property name='Result' type='s' access='read'/>"
    "<property name='StatusText' type='s' access='read'/>"
    "<property name='MainPID' type='u' access='read'/>"
    "<property name='ExecMainCode' type='i' access='read'/>"
    "<property name='ExecMainStatus' type='i' access='read'/></interface>"
    "<interface name='" MACHINED ".Manager'><method name='RegisterMachine'>"
    "<arg type='s' direction='in'/><arg type='ay' direction='in'/><arg type='s' direction='in'/>"
    "<arg type='s' direction='in'/><arg type='u' direction='in'/><arg type='s' direction='in'/>"
    "<arg type='o' direction='out'/></method></interface></node>";

typedef struct {
    GSubprocess *daemon;
    char *address;
    GDBusConnection *systemd;
    KhSystemdBus *bus;
    const char *state;       /* of the unit */
    const char *after_start; /* its state then */
    guint stop_ms;           /* how long it takes to end */
    const char *refusal;     /* the error of the next questions */
    guint refusals;
    gboolean hold;
    gboolean all_asked;
    GQueue held; /* GDBusMethodInvocation * */
    guint starts, stops, others, answers;
    guint asked_owner; /* how often */
    guint machines;    /* that machined was told of */
    GVariant *machine; /* the last one's UUID, as bytes */
    GPid main_pid;     /* 0: none */
    char *status_text; /* NULL: none */
    char *folder;      /* of the machine's folders */
    KhMachineRef ref;
    KhVm *vm;
    KhUnitState *found;
    GError *error;
} Fixture;

static GVariant *
value_of(Fixture *f, const char *name)
{
    if (g_str_equal(name, "Job"))
        return g_variant_new("(uo)", 0, "/");
    if (g_str_equal(name, "ActiveState"))
        return g_variant_new_string(f->state);
    if (g_str_equal(name, "Result"))
        return g_variant_new_string("success");
    if (g_str_equal(name, "StatusText"))
        return g_variant_new_string(f->status_text != NULL ? f->status_text : "");
    if (g_str_equal(name, "MainPID"))
        return g_variant_new_uint32((guint32)f->main_pid);
    return g_variant_new_int32(0);
}

static const char *
question_of(GDBusMethodInvocation *invocation)
{
    const char *name;

    g_variant_get(g_dbus_method_invocation_get_parameters(invocation), "(&s&s)", NULL, &name);
    return name;
}

static void
answer(Fixture *f, GDBusMethodInvocation *invocation)
{
    const char *name = question_of(invocation);

    if (f->refusals > 0) {
        f->refusals--;
        g_dbus_method_invocation_return_dbus_error(invocation, f->refusal, "refused");
    } else {
        g_dbus_method_invocation_return_value(invocation, g_variant_new("(v)", value_of(f, name)));
    }
}

static void
on_question(Fixture *f, GDBusMethodInvocation *invocation)
{
    f->all_asked = f->all_asked || g_str_equal(question_of(invocation), LAST_QUESTION);
    if (f->hold)
        g_queue_push_tail(&f->held, invocation);
    else
        answer(f, invocation);
}

static gboolean
on_stopped(gpointer data)
{
    Fixture *f = data;

    f->state = "inactive";
    return G_SOURCE_REMOVE;
}

static void
on_start(Fixture *f, GDBusMethodInvocation *invocation)
{
    if (!g_str_equal(f->state, "inactive")) {
        g_dbus_method_invocation_return_dbus_error(invocation, SYSTEMD ".UnitExists", "there");
        return;
    }
    f->starts++;
    f->state = f->after_start;
    g_dbus_method_invocation_return_value(invocation, g_variant_new("(o)", "/job/1"));
}

static void
on_call(GDBusConnection *connection, const char *sender, const char *path, const char *interface,
        const char *method, GVariant *parameters, GDBusMethodInvocation *invocation, gpointer data)
{
    Fixture *f = data;

    if (g_str_equal(interface, "org.freedesktop.DBus.Properties")) {
        on_question(f, invocation);
    } else if (g_str_equal(method, "StartTransientUnit")) {
        on_start(f, invocation);
    } else if (g_str_equal(method, "RegisterMachine")) {
        g_clear_pointer(&f->machine, g_variant_unref);
        f->machine = g_variant_get_child_value(parameters, 1);
        f->machines++;
        g_dbus_method_invocation_return_value(invocation, g_variant_new("(o)", "/machine/1"));
    } else if (g_str_equal(method, "StopUnit")) {
        if (f->stops++ == 0)
            g_timeout_add(f->stop_ms, on_stopped, f);
        g_dbus_method_invocation_return_value(invocation, g_variant_new("(o)", "/job/2"));
    } else {
        f->others += !g_str_equal(method, "Subscribe");
        g_dbus_method_invocation_return_value(invocation, NULL);
    }
}

static void
start_bus(Fixture *f)
{
    g_autofree char *option = g_strconcat("--address=", g_getenv("DBUS_SYSTEM_BUS_ADDRESS"), NULL);
    g_autoptr(GError) error = NULL;
    g_autoptr(GDataInputStream) output = NULL;

    f->daemon = g_subprocess_new(G_SUBPROCESS_FLAGS_STDOUT_PIPE | G_SUBPROCESS_FLAGS_STDERR_SILENCE,
                                 &error, "dbus-daemon", "--session", "--nofork", "--nopidfile",
                                 "--print-address=1", option, NULL);
    g_assert_no_error(error);
    output = g_data_input_stream_new(g_subprocess_get_stdout_pipe(f->daemon));
    f->address = g_data_input_stream_read_line(output, NULL, NULL, &error);
    g_assert_no_error(error);
}

static void
own_name(Fixture *f, const char *name)
{
    g_autoptr(GVariant) owned = g_dbus_connection_call_sync(
        f->systemd, "org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus",
        "RequestName", g_variant_new("(su)", name, 0), NULL, 0, -1, NULL, NULL);

    g_assert_nonnull(owned);
}

static void
set_up(Fixture *f, gconstpointer data)
{
    static const GDBusInterfaceVTable vtable = {.method_call = on_call};
    g_autoptr(GDBusNodeInfo) info = g_dbus_node_info_new_for_xml(interfaces, NULL);
    g_autofree char *unit = kh_unit_path(UNIT);
    const char *const paths[] = {"/org/freedesktop/systemd1", unit, unit,
                                 "/org/freedesktop/machine1"};

    start_bus(f);
    f->systemd =
        g_dbus_connection_new_for_address_sync(f->address,
                                               G_DBUS_CONNECTION_FLAGS_AUTHENTICATION_CLIENT |
                                                   G_DBUS_CONNECTION_FLAGS_MESSAGE_BUS_CONNECTION,
                                               NULL, NULL, NULL);
    g_assert_nonnull(f->systemd);
    g_dbus_connection_set_exit_on_close(f->systemd, FALSE);
    for (guint i = 0; i < G_N_ELEMENTS(paths); i++)
        g_assert_cmpuint(g_dbus_connection_register_object(
                             f->systemd, paths[i], info->interfaces[i], &vtable, f, NULL, NULL),
                         !=, 0);
    own_name(f, SYSTEMD);
    own_name(f, MACHINED);
    f->bus = kh_systemd_bus_new(f->address);
    f->state = "inactive";
    f->after_start = "active";
}

static void
tear_down(Fixture *f, gconstpointer data)
{
    g_clear_object(&f->bus);
    g_dbus_connection_close_sync(f->systemd, NULL, NULL);
    /* Calls that have come and were not answered have this as their data. */
    while (g_main_context_iteration(NULL, FALSE))
        ;
    g_clear_object(&f->systemd);
    g_subprocess_force_exit(f->daemon);
    g_subprocess_wait(f->daemon, NULL, NULL);
    g_clear_object(&f->daemon);
    g_clear_pointer(&f->found, kh_unit_state_free);
    g_clear_pointer(&f->machine, g_variant_unref);
    g_clear_error(&f->error);
    g_clear_object(&f->vm);
    g_free(f->address);
    g_free(f->status_text);
    if (f->main_pid != 0)
        fake_shim_end(f->main_pid);
    if (f->folder == NULL)
        return;
    close(f->ref.instances_fd);
    close(f->ref.runtime_fd);
    g_assert_true(kh_instance_dir_remove(AT_FDCWD, f->folder, NULL, NULL));
    g_free(f->folder);
}

static char *
make_folder(Fixture *f, const char *name)
{
    char *path = g_build_filename(f->folder, name, ID, NULL);

    g_assert_cmpint(g_mkdir_with_parents(path, 0755), ==, 0);
    return path;
}

static int
open_folder(Fixture *f, const char *name)
{
    g_autofree char *path = g_build_filename(f->folder, name, NULL);
    int fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);

    g_assert_cmpint(fd, >=, 0);
    return fd;
}

/* The unit has a living machine in it: of our folder "own", or of "copy". */
static void
start_machine(Fixture *f, const char *whose)
{
    g_autofree char *own = NULL, *copy = NULL, *runtime = NULL;

    f->folder = g_dir_make_tmp("kh-bus-XXXXXX", NULL);
    own = make_folder(f, "own");
    copy = make_folder(f, "copy");
    runtime = make_folder(f, "run");
    f->ref = (KhMachineRef){.id = ID,
                            .instances_fd = open_folder(f, "own"),
                            .runtime_fd = open_folder(f, "run"),
                            .uid = -1};
    f->main_pid = fake_shim_start(
        &(FakeShim){.id = ID, .folder = g_str_equal(whose, "own") ? own : copy, .qemu = TRUE});
    f->status_text = g_strdup_printf("ready %d %d", f->main_pid, fake_shim_find_qemu(f->main_pid));
    f->state = "active";
}

static void
on_done(GObject *source, GAsyncResult *result, gpointer data)
{
    Fixture *f = data;

    g_clear_pointer(&f->found, kh_unit_state_free);
    g_clear_error(&f->error);
    f->found = kh_systemd_bus_finish(KH_SYSTEMD_BUS(source), result, &f->error);
    f->answers++;
}

static void
wait_for(const guint *count, guint wanted)
{
    while (*count < wanted)
        g_main_context_iteration(NULL, TRUE);
}

/* The first answer to come is the one to the last question. */
static void
answers_in_any_order(Fixture *f, gconstpointer data)
{
    f->state = "active";
    f->hold = TRUE;
    kh_systemd_bus_settle_async(f->bus, UNIT, LONG_MS, on_done, f);
    while (!f->all_asked)
        g_main_context_iteration(NULL, TRUE);
    while (f->held.length > 0)
        answer(f, g_queue_pop_tail(&f->held));
    wait_for(&f->answers, 1);
    g_assert_no_error(f->error);
    g_assert_cmpstr(f->found->active_state, ==, "active");
}

static void
lost_connection(Fixture *f, gconstpointer data)
{
    GDBusMethodInvocation *invocation;

    f->hold = TRUE;
    for (guint i = 0; i < 5; i++)
        kh_systemd_bus_settle_async(f->bus, UNIT, SHORT_MS, on_done, f);
    while (!f->all_asked)
        g_main_context_iteration(NULL, TRUE);
    g_subprocess_force_exit(f->daemon);
    wait_for(&f->answers, 5);
    g_assert_error(f->error, KH_ERROR, KH_ERROR_TIMED_OUT);
    while ((invocation = g_queue_pop_head(&f->held)) != NULL)
        g_object_unref(invocation);
}

/* An answer that says nothing of the unit is no answer: two looks of seven questions. */
static void
refused(Fixture *f, gconstpointer data)
{
    static const char *const names[] = {"org.freedesktop.DBus.Error.AccessDenied",
                                        "org.freedesktop.DBus.Error.LimitsExceeded",
                                        "org.freedesktop.DBus.Error.NoMemory"};

    f->state = "active";
    for (guint i = 0; i < G_N_ELEMENTS(names); i++) {
        f->refusal = names[i];
        f->refusals = 14;
        kh_systemd_bus_settle_async(f->bus, UNIT, LONG_MS, on_done, f);
        wait_for(&f->answers, i + 1);
        g_assert_no_error(f->error);
        g_assert_cmpstr(f->found->active_state, ==, "active");
        g_assert_cmpuint(f->refusals, ==, 0);
    }
}

static void
absent(Fixture *f, gconstpointer data)
{
    static const char *const names[] = {
        "org.freedesktop.DBus.Error.UnknownObject", "org.freedesktop.DBus.Error.UnknownMethod",
        "org.freedesktop.DBus.Error.UnknownInterface", SYSTEMD ".NoSuchUnit"};

    f->refusals = G_MAXUINT;
    for (guint i = 0; i < G_N_ELEMENTS(names); i++) {
        f->refusal = names[i];
        kh_systemd_bus_settle_async(f->bus, UNIT, LONG_MS, on_done, f);
        wait_for(&f->answers, i + 1);
        g_assert_no_error(f->error);
        g_assert_true(kh_unit_state_is_dead(f->found));
    }
}

/* Not known at first. */
static gboolean
is_owned(const KhUnitState *state, gpointer data, GError **error)
{
    Fixture *f = data;

    if (f->asked_owner++ > 1)
        return TRUE;
    g_assert_cmpuint(f->stops, ==, 0);
    g_set_error(error, KH_ERROR, KH_ERROR_RESOURCE_UNAVAILABLE, "Not seen");
    return FALSE;
}

/* A unit that nobody knows of does not stand in the way of a new one. */
static void
clash(Fixture *f, gconstpointer data)
{
    f->state = "active";
    f->stop_ms = 300;
    g_test_expect_message(NULL, G_LOG_LEVEL_WARNING, "*was given up*");
    kh_systemd_bus_start_async(f->bus, UNIT, g_variant_new("a(sv)", NULL), is_owned, f, LONG_MS,
                               on_done, f);
    wait_for(&f->answers, 1);
    g_test_assert_expected_messages();
    g_assert_no_error(f->error);
    g_assert_cmpuint(f->stops, ==, 1);
    g_assert_cmpuint(f->starts, ==, 1);
    g_assert_cmpstr(f->found->active_state, ==, "active");
}

static void
on_released(GObject *source, GAsyncResult *result, gpointer data)
{
    Fixture *f = data;

    kh_launcher_release_finish(KH_LAUNCHER(source), result);
    f->answers++;
}

/* The machine is said to be dead, its unit is not. */
static void
release(Fixture *f, gconstpointer data)
{
    g_autoptr(KhLauncher) launcher = kh_systemd_launcher_new("/shim", NULL, "/", SHORT_MS);
    gint64 begin;

    start_machine(f, "own");
    f->stop_ms = SHORT_MS;
    begin = g_get_monotonic_time();
    g_test_expect_message(NULL, G_LOG_LEVEL_WARNING, "*was given up*");
    kh_launcher_release_async(launcher, &f->ref, on_released, f);
    wait_for(&f->answers, 1);
    g_test_assert_expected_messages();
    g_assert_cmpuint(f->stops, >, 0);
    g_assert_cmpstr(f->state, ==, "inactive");
    /* It had been given its time. */
    g_assert_cmpint(g_get_monotonic_time() - begin, >=, 2 * SHORT_MS * 1000);
}

/* Which limits there are is read with the launcher's beginning, and no more. */
static void
limits_are_read_once(void)
{
    g_autofree char *folder = g_dir_make_tmp("kh-group-XXXXXX", NULL);
    g_autofree char *group = g_strconcat("../../..", folder, NULL);
    g_autofree char *file = g_build_filename(folder, "cgroup.controllers", NULL);
    g_autoptr(KhLauncher) some = NULL, none = NULL;

    g_assert_true(g_file_set_contents(file, "cpuset memory pids\n", -1, NULL));
    some = kh_systemd_launcher_new("/shim", NULL, group, G_MAXUINT);
    g_assert_cmpint(g_unlink(file), ==, 0);
    none = kh_systemd_launcher_new("/shim", NULL, group, G_MAXUINT);
    g_assert_cmpint(kh_launcher_get_limits(some), ==, KH_LIMIT_MEMORY);
    g_assert_cmpint(kh_launcher_get_limits(none), ==, KH_LIMIT_NONE);
    g_assert_cmpint(g_rmdir(folder), ==, 0);
}

/* The unit is of the service with the original of our folders. */
static void
release_foreign(Fixture *f, gconstpointer data)
{
    g_autoptr(KhLauncher) launcher = kh_systemd_launcher_new("/shim", NULL, "/", G_MAXUINT);

    start_machine(f, "copy");
    g_test_expect_message(NULL, G_LOG_LEVEL_MESSAGE, UNIT " is not touched.*it is left alone");
    kh_launcher_release_async(launcher, &f->ref, on_released, f);
    wait_for(&f->answers, 1);
    g_test_assert_expected_messages();
    g_assert_cmpuint(f->stops + f->others, ==, 0);
}

static void
on_recovered(GObject *source, GAsyncResult *result, gpointer data)
{
    Fixture *f = data;

    g_clear_object(&f->vm);
    g_clear_error(&f->error);
    f->vm = kh_launcher_recover_finish(KH_LAUNCHER(source), result, &f->error);
    f->answers++;
}

static void
recover(Fixture *f, gconstpointer data)
{
    g_autoptr(KhLauncher) launcher = kh_systemd_launcher_new("/shim", NULL, "/", G_MAXUINT);
    GPid qemu;

    start_machine(f, "own");
    qemu = fake_shim_find_qemu(f->main_pid);
    kh_launcher_recover_async(launcher, &f->ref, on_recovered, f);
    wait_for(&f->answers, 1);
    g_assert_no_error(f->error);
    g_assert_cmpint(kh_vm_get_qemu(f->vm)->pid, ==, qemu);
    wait_for(&f->others, 1); /* it is held */
    /* What it says of itself is not needed: nothing, or another's process. */
    for (guint i = 0; i < 2; i++) {
        g_free(f->status_text);
        f->status_text = i == 0 ? g_strdup("") : g_strdup_printf("ready %d 1", getpid());
        kh_launcher_recover_async(launcher, &f->ref, on_recovered, f);
        wait_for(&f->answers, i + 2);
        g_assert_no_error(f->error);
        g_assert_cmpint(kh_vm_get_qemu(f->vm)->pid, ==, qemu);
    }
}

static void
recover_foreign(Fixture *f, gconstpointer data)
{
    g_autoptr(KhLauncher) launcher = kh_systemd_launcher_new("/shim", NULL, "/", G_MAXUINT);

    start_machine(f, "copy");
    kh_launcher_recover_async(launcher, &f->ref, on_recovered, f);
    wait_for(&f->answers, 1);
    g_assert_error(f->error, KH_ERROR, KH_ERROR_NOT_AUTHORIZED);
    g_assert_cmpuint(f->stops + f->others, ==, 0);
    /* Its shim has died, and systemd is ending what is left. */
    fake_shim_end(f->main_pid);
    f->main_pid = 0;
    f->state = "deactivating";
    kh_launcher_recover_async(launcher, &f->ref, on_recovered, f);
    wait_for(&f->answers, 2);
    g_assert_error(f->error, KH_ERROR, KH_ERROR_RESOURCE_UNAVAILABLE);
    g_assert_cmpuint(f->stops + f->others, ==, 0);
}

static void
on_launched(GObject *source, GAsyncResult *result, gpointer data)
{
    Fixture *f = data;

    g_assert_null(kh_launcher_launch_finish(KH_LAUNCHER(source), result, &f->error));
    f->answers++;
}

/* Takes @launcher. */
static void
launch(Fixture *f, KhLauncher *launcher)
{
    static char *no_args[] = {NULL};
    const KhLaunchSpec launch = {.id = ID,
                                 .name = "one",
                                 .state_folder = "/var/lib/k/0a",
                                 .runtime_folder = "/run/k/0a",
                                 .instances_fd = f->ref.instances_fd,
                                 .runtime_fd = f->ref.runtime_fd,
                                 .uid = -1,
                                 .kernel = "/var/lib/k/vmlinuz",
                                 .initrd = "/var/lib/k/initrd.img",
                                 .qemu = "/usr/bin/qemu",
                                 .qemu_args = no_args,
                                 .memory_max = 1 << 30};
    g_autoptr(KhLauncher) ours = launcher;

    kh_launcher_launch_async(ours, &launch, on_launched, f);
    wait_for(&f->answers, 1);
}

/* systemd is not done with a start in time: the machine may come up at any moment. */
static void
late_launch(Fixture *f, gconstpointer data)
{
    start_machine(f, "own");
    f->state = "inactive";
    f->after_start = "activating";
    f->stop_ms = SHORT_MS;
    g_test_expect_message(NULL, G_LOG_LEVEL_WARNING, "*was given up*");
    launch(f, kh_systemd_launcher_new("/shim", NULL, "/", SHORT_MS));
    g_test_assert_expected_messages();
    g_assert_error(f->error, KH_ERROR, KH_ERROR_TIMED_OUT);
    g_assert_cmpuint(f->starts, ==, 1);
    g_assert_cmpuint(f->stops, >, 0);
    g_assert_cmpstr(f->state, ==, "inactive");
}

/* Another service's machine of that id is in the way of ours, and stays. */
static void
launch_over_foreign(Fixture *f, gconstpointer data)
{
    start_machine(f, "copy");
    launch(f, kh_systemd_launcher_new("/shim", NULL, "/", G_MAXUINT));
    g_assert_error(f->error, KH_ERROR, KH_ERROR_LAUNCH_FAILED);
    g_assert_nonnull(strstr(f->error->message, "it is left alone"));
    g_assert_cmpuint(f->starts + f->stops + f->others, ==, 0);
}

/* machined wants the bytes of a UUID or none: the ids of old instances are 16 digits. */
static void
registers(Fixture *f, gconstpointer data)
{
    static const struct {
        const char *id;
        gsize n;
    } ids[] = {{"00010203-0405-0607-0809-0a0b0c0d0e0f", 16},
               {"00010203-0405-0607-0809-0a0b0c0d0e", 0},
               {"0001-0203-0405-0607-0809-0a0b-0c0d-0e0f", 0},
               {"0001020304050607", 0},
               {"", 0}};

    for (guint i = 0; i < G_N_ELEMENTS(ids); i++) {
        const guint8 *bytes;
        gsize n;

        kh_systemd_bus_register(f->bus, ids[i].id, 1);
        wait_for(&f->machines, i + 1);
        bytes = g_variant_get_fixed_array(f->machine, &n, 1);
        g_assert_cmpuint(n, ==, ids[i].n);
        for (gsize j = 0; j < n; j++)
            g_assert_cmpuint(bytes[j], ==, j);
    }
}

#define TEST(name, function)                                                                       \
    g_test_add("/systemd-bus/" name, Fixture, NULL, set_up, function, tear_down)

int
main(int argc, char **argv)
{
    g_autofree char *folder = NULL, *path = NULL, *address = NULL;
    int status;

    fake_shim_act(argc, argv);
    g_test_init(&argc, &argv, NULL);
    folder = g_dir_make_tmp("kh-bus-XXXXXX", NULL);
    path = g_build_filename(folder, "bus", NULL);
    address = g_strconcat("unix:path=", path, NULL);
    g_setenv("DBUS_SYSTEM_BUS_ADDRESS", address, TRUE);
    TEST("answers-in-any-order", answers_in_any_order);
    TEST("lost-connection", lost_connection);
    TEST("refused", refused);
    TEST("absent", absent);
    TEST("clash", clash);
    TEST("release", release);
    TEST("release-foreign", release_foreign);
    TEST("recover", recover);
    TEST("recover-foreign", recover_foreign);
    TEST("launch-over-foreign", launch_over_foreign);
    TEST("late-launch", late_launch);
    TEST("registers", registers);
    g_test_add_func("/systemd-launcher/limits", limits_are_read_once);
    status = g_test_run();
    g_unlink(path);
    g_rmdir(folder);
    return status;
}
