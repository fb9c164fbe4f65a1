/* SPDX-License-Identifier: MIT */
/* Tests of which images are kept while instances come and go, and of their export. */
#include "manager/manager.h"

#include <glib/gstdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "auth/intake.h"
#include "bus/exporter.h"
#include "bus/job-object.h"
#include "error.h"
#include "launch/direct-launcher.h"
#include "state/instance-dir-removal.h"
#include "state/sql.h"

/* How often a record has been looked at; the linker has all calls come here. */
static guint looks;

const KhRecord *__real_kh_instance_get_record(KhInstance *instance);
const KhRecord *__wrap_kh_instance_get_record(KhInstance *instance);

const KhRecord *
__wrap_kh_instance_get_record(KhInstance *instance)
{
    looks++;
    return __real_kh_instance_get_record(instance);
}

typedef struct {
    char *base, *first, *second; /* boot components, of two versions */
    KhSettings settings;
    KhFacts facts;
    KhMachines machines;
    KhStore *store;
    KhJobs *jobs;
    KhShutdown *shutdown;
    KhManager *manager;
} Fixture;

static char *
make_components(Fixture *f, const char *version)
{
    static const char *const parts[] = {"vmlinuz", "initrd.img"};
    char *folder = g_build_filename(f->base, version, NULL);

    g_mkdir(folder, 0755);
    for (guint i = 0; i < G_N_ELEMENTS(parts); i++) {
        g_autofree char *path = g_build_filename(folder, parts[i], NULL);

        g_assert_true(g_file_set_contents(path, version, -1, NULL));
    }
    return folder;
}

static void
open_manager(Fixture *f)
{
    f->manager = kh_manager_new(&f->machines, f->store, f->jobs, f->shutdown);
    g_assert_true(kh_manager_load(f->manager, NULL, NULL));
    kh_manager_take_over(f->manager, NULL);
}

static void
set_up(Fixture *f, gconstpointer data)
{
    g_autofree char *state = NULL, *runtime = NULL, *database = NULL, *images = NULL;

    f->base = g_dir_make_tmp("kh-manager-XXXXXX", NULL);
    f->first = make_components(f, "first");
    f->second = make_components(f, "second");
    state = g_build_filename(f->base, "state", NULL);
    runtime = g_build_filename(f->base, "run", NULL);
    f->settings =
        (KhSettings){.ports = {1024, 65535}, .max_instances = 10, .boot_components = f->first};
    f->facts = (KhFacts){.limits = {G_MAXINT64, G_MAXINT64}, .accelerator = "tcg"};
    f->machines = (KhMachines){.settings = &f->settings, .facts = &f->facts};
    f->jobs = kh_jobs_new();
    f->shutdown = kh_shutdown_new();
    f->machines.state_dir = kh_state_dir_open(state, runtime, NULL);
    database = kh_state_dir_build(f->machines.state_dir, "state.db");
    images = kh_state_dir_build(f->machines.state_dir, "images");
    f->store = kh_store_open(database, NULL);
    f->machines.images = kh_image_store_new(kh_state_dir_images_fd(f->machines.state_dir), images);
    f->machines.launcher = kh_direct_launcher_new("/nowhere/shim");
    open_manager(f);
}

static void
tear_down(Fixture *f, gconstpointer data)
{
    g_clear_object(&f->manager);
    g_clear_object(&f->machines.launcher);
    g_clear_object(&f->jobs);
    g_clear_object(&f->shutdown);
    /* A removal holds it until its thread has ended, of which no event tells. */
    while (g_atomic_int_get(&G_OBJECT(f->machines.images)->ref_count) > 1)
        if (!g_main_context_iteration(NULL, FALSE))
            g_usleep(1000);
    g_clear_object(&f->machines.images);
    g_clear_object(&f->store);
    g_clear_object(&f->machines.state_dir);
    kh_instance_dir_remove(-1, f->base, NULL, NULL);
    g_free(f->base);
    g_free(f->first);
    g_free(f->second);
}

static void
keep_result(GObject *source, GAsyncResult *result, gpointer data)
{
    *(GAsyncResult **)data = g_object_ref(result);
}

static void
begin_create(Fixture *f, const char *name, GAsyncResult **result)
{
    g_autoptr(GVariant) config = g_variant_ref_sink(g_variant_new("a{sv}", NULL));

    kh_manager_create_async(f->manager, name, config, &(KhOverrides){FALSE, FALSE}, 0, keep_result,
                            result);
}

static GAsyncResult *
wait_for(GAsyncResult **result)
{
    while (*result == NULL)
        g_main_context_iteration(NULL, TRUE);
    return g_steal_pointer(result);
}

static KhInstance *
end_create(Fixture *f, GAsyncResult **result)
{
    g_autoptr(GAsyncResult) held = wait_for(result);
    g_autoptr(GError) error = NULL;
    KhInstance *instance = kh_manager_create_finish(f->manager, held, &error);

    g_assert_no_error(error);
    return instance;
}

static KhInstance *
create(Fixture *f, const char *name)
{
    GAsyncResult *result = NULL;

    begin_create(f, name, &result);
    return end_create(f, &result);
}

/* As a deletion ends. */
static void
forget(Fixture *f, KhInstance *instance)
{
    const char *id = kh_instance_get_record(instance)->id;

    kh_instance_dir_remove(kh_state_dir_instances_fd(f->machines.state_dir), id, NULL, NULL);
    kh_store_remove(f->store, id, NULL);
    g_signal_emit_by_name(instance, "gone");
}

static gboolean
has_image(Fixture *f, const char *image)
{
    return kh_image_store_find(f->machines.images, image) != NULL;
}

/* The last user of an image goes while another create is about to be pinned to it. */
static void
an_import_holds_images(Fixture *f, gconstpointer data)
{
    g_autoptr(KhInstance) one = create(f, "one");
    g_autofree char *image = g_strdup(kh_instance_get_record(one)->config->image);
    g_autoptr(KhInstance) two = NULL, three = NULL;
    GAsyncResult *result = NULL;

    f->settings.boot_components = f->second;
    two = create(f, "two");
    g_assert_cmpstr(kh_manager_get_default_image(f->manager), !=, image);
    f->settings.boot_components = f->first;
    begin_create(f, "three", &result);
    forget(f, one);
    g_assert_true(has_image(f, image));
    three = end_create(f, &result);
    g_assert_cmpstr(kh_instance_get_record(three)->config->image, ==, image);

    /* Then it goes with its last user, once no import is under way. */
    f->settings.boot_components = f->second;
    begin_create(f, "four", &result);
    forget(f, three);
    g_object_unref(end_create(f, &result));
    g_assert_false(has_image(f, image));
}

/* The default outlives its last instance and the service. */
static void
the_default_stays(Fixture *f, gconstpointer data)
{
    g_autoptr(KhInstance) one = create(f, "one");
    g_autofree char *image = g_strdup(kh_instance_get_record(one)->config->image);

    forget(f, one);
    g_assert_true(has_image(f, image));
    g_clear_object(&f->manager);
    open_manager(f);
    g_assert_cmpstr(kh_manager_get_default_image(f->manager), ==, image);
    g_assert_true(has_image(f, image));
}

static void
run_sql(Fixture *f, const char *script)
{
    g_autofree char *path = kh_state_dir_build(f->machines.state_dir, "state.db");
    g_autoptr(sqlite3) db = kh_sql_open(path, SQLITE_OPEN_READWRITE, NULL);

    g_assert_true(kh_sql_run_script(db, script, NULL));
}

/* What no instance is pinned to may be needed by what another table holds. */
static void
others_need_images(Fixture *f, gconstpointer data)
{
    g_autoptr(KhInstance) one = create(f, "one"), two = NULL;
    g_autofree char *image = g_strdup(kh_instance_get_record(one)->config->image);

    run_sql(f, "CREATE TABLE others(image TEXT REFERENCES images(id));"
               "INSERT INTO others SELECT image FROM instances");
    f->settings.boot_components = f->second;
    two = create(f, "two");
    forget(f, one);
    g_assert_true(has_image(f, image));
    run_sql(f, "DELETE FROM others");
    g_signal_emit_by_name(two, "changed");
    g_assert_false(has_image(f, image));
}

static guint
looks_of_a_change(Fixture *f)
{
    looks = 0;
    g_signal_emit_by_name(kh_manager_find(f->manager, "one", NULL), "changed");
    return looks;
}

static void
a_change_visits_no_other(Fixture *f, gconstpointer data)
{
    g_autoptr(GString) sql =
        g_string_new("BEGIN; CREATE TEMP TABLE row AS SELECT * FROM instances;");
    guint alone;

    g_object_unref(create(f, "one"));
    alone = looks_of_a_change(f);
    for (guint i = 0; i < 1000; i++)
        g_string_append_printf(sql,
                               "UPDATE row SET id='%u', name='other%u';"
                               "INSERT INTO instances SELECT * FROM row;",
                               i, i);
    g_string_append(sql, "COMMIT");
    run_sql(f, sql->str);
    g_object_unref(f->manager);
    f->manager = kh_manager_new(&f->machines, f->store, f->jobs, f->shutdown);
    g_assert_true(kh_manager_load(f->manager, NULL, NULL));
    g_assert_cmpuint(kh_manager_list(f->manager)->len, ==, 1001);
    looks_of_a_change(f); /* what the service before this one has left is looked for once */
    g_assert_cmpuint(looks_of_a_change(f), ==, alone);
    g_assert_cmpuint(alone, >, 0);
}

static void
begin_connection(int fd, GDBusConnectionFlags flags, GAsyncResult **result)
{
    g_autoptr(GSocket) socket = g_socket_new_from_fd(fd, NULL);
    g_autoptr(GSocketConnection) stream = g_socket_connection_factory_create_connection(socket);
    g_autofree char *guid = g_dbus_generate_guid();

    g_dbus_connection_new(G_IO_STREAM(stream),
                          flags & G_DBUS_CONNECTION_FLAGS_AUTHENTICATION_SERVER ? guid : NULL,
                          flags, NULL, NULL, keep_result, result);
}

/* One without a bus, to a peer that is never heard of. */
static GDBusConnection *
connect_peers(GDBusConnection **peer)
{
    GAsyncResult *results[2] = {NULL, NULL};
    g_autoptr(GAsyncResult) client = NULL, server = NULL;
    int fds[2];

    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), ==, 0);
    begin_connection(fds[0], G_DBUS_CONNECTION_FLAGS_AUTHENTICATION_CLIENT, &results[0]);
    begin_connection(fds[1], G_DBUS_CONNECTION_FLAGS_AUTHENTICATION_SERVER, &results[1]);
    client = wait_for(&results[0]);
    server = wait_for(&results[1]);
    *peer = g_dbus_connection_new_finish(server, NULL);
    return g_dbus_connection_new_finish(client, NULL);
}

static guint
references(gpointer object)
{
    while (g_main_context_iteration(NULL, FALSE))
        ;
    return G_OBJECT(object)->ref_count;
}

/* Every loss of the bus makes a new exporter; the old one's objects go with it. */
static void
exports_nothing_for_good(Fixture *f, gconstpointer data)
{
    g_autoptr(KhInstance) instance = create(f, "one");
    g_autoptr(KhLimits) limits = kh_limits_new();
    g_autoptr(KhAuthority) authority = kh_authority_new(KH_AUTHORITY_OWNER, limits);
    g_autoptr(KhGate) gate = kh_gate_new(authority, limits);
    g_autoptr(GDBusConnection) peer = NULL;
    g_autoptr(GDBusConnection) connection = connect_peers(&peer);
    guint of_gate = references(gate), of_instance = references(instance);
    KhExporter *exporter;

    kh_intake_watch(connection, kh_gate_get_turns(gate));
    exporter = kh_exporter_new(f->manager, f->jobs, &f->machines, gate, connection, NULL);
    g_assert_cmpuint(references(gate), >, of_gate);
    g_object_unref(exporter);
    g_assert_cmpuint(references(gate), ==, of_gate);
    g_assert_cmpuint(references(instance), ==, of_instance);
}

/* One that belongs to no instance is on the bus from its begin to its end, like any other. */
static void
shows_a_job_without_an_instance(Fixture *f, gconstpointer data)
{
    const KhJobPlan plan = {.operation = "polish", .action = "operate", .subject = "/a/b"};
    g_autoptr(KhLimits) limits = kh_limits_new();
    g_autoptr(KhAuthority) authority = kh_authority_new(KH_AUTHORITY_OWNER, limits);
    g_autoptr(KhGate) gate = kh_gate_new(authority, limits);
    g_autoptr(KhJob) job = kh_jobs_begin(f->jobs, &plan);
    g_autoptr(KhJobObject) object = kh_job_object_new(job, f->manager, gate);
    KhDbusJob *bus = KH_DBUS_JOB(object);

    g_assert_cmpstr(kh_dbus_job_get_operation(bus), ==, "polish");
    g_assert_cmpstr(kh_dbus_job_get_subject(bus), ==, "/a/b");
    g_assert_cmpstr(kh_dbus_job_get_instance(bus), ==, "/");
    g_assert_cmpstr(kh_dbus_job_get_state(bus), ==, "running");
    kh_job_report(job, "rubbing", 0.5);
    g_assert_cmpstr(kh_dbus_job_get_step(bus), ==, "rubbing");
    kh_job_end(job, NULL);
    g_assert_cmpstr(kh_dbus_job_get_state(bus), ==, "done");
}

static void
begin_change(Fixture *f, KhInstance *instance, const char *changes, gboolean may_expose,
             GAsyncResult **result)
{
    g_autoptr(GVariant) dict = g_variant_parse(G_VARIANT_TYPE_VARDICT, changes, NULL, NULL, NULL);

    kh_manager_configure_async(f->manager, instance, dict, may_expose, 0, keep_result, result);
}

static gboolean
end_change(Fixture *f, GAsyncResult **result, GError **error)
{
    g_autoptr(GAsyncResult) held = wait_for(result);

    return kh_manager_configure_finish(f->manager, held, error);
}

static gboolean
change(Fixture *f, KhInstance *instance, const char *changes, gboolean may_expose)
{
    GAsyncResult *result = NULL;

    begin_change(f, instance, changes, may_expose, &result);
    return end_change(f, &result, NULL);
}

static const char *
found(Fixture *f, const char *name_or_id)
{
    KhInstance *instance = kh_manager_find(f->manager, name_or_id, NULL);

    return instance == NULL ? NULL : kh_instance_get_record(instance)->id;
}

/* By name, by id, and by neither once it has gone; also of one whose name is another's id. */
static void
finds(Fixture *f, gconstpointer data)
{
    g_autoptr(KhInstance) one = create(f, "one");
    g_autofree char *id = g_strdup(kh_instance_get_record(one)->id);
    g_autoptr(KhInstance) other = create(f, id);
    g_autofree char *other_id = g_strdup(kh_instance_get_record(other)->id);

    g_assert_cmpstr(found(f, "one"), ==, id);
    g_assert_cmpstr(found(f, other_id), ==, other_id);
    g_assert_cmpstr(found(f, id), ==, other_id);
    forget(f, other);
    g_assert_cmpstr(found(f, id), ==, id);
    g_assert_null(found(f, other_id));
    forget(f, one);
    g_assert_null(found(f, "one"));
    g_assert_null(found(f, id));
    g_object_unref(create(f, "one"));
    g_assert_nonnull(found(f, "one"));
}

/* It is opened while boot components are being read for a change that was let through before. */
static void
a_change_meets_an_opening(Fixture *f, gconstpointer data)
{
    g_autoptr(KhInstance) one = create(f, "one");
    g_autoptr(GError) error = NULL;
    GAsyncResult *result = NULL, *opening = NULL;

    begin_change(f, one, "{'image': <'default'>, 'katana-args': <['--a']>}", FALSE, &result);
    begin_change(f, one, "{'rpc-address': <'0.0.0.0'>}", TRUE, &opening);
    g_assert_true(end_change(f, &opening, NULL));
    g_assert_false(end_change(f, &result, &error));
    g_assert_error(error, KH_ERROR, KH_ERROR_BUSY);
    g_assert_null(kh_instance_get_record(one)->config->katana_args[0]);

    g_assert_false(change(f, one, "{'rpc-port': <uint16 0>}", FALSE));
    g_assert_true(change(f, one, "{'vcpus': <uint32 1>}", FALSE));
    g_assert_true(change(f, one, "{'katana-args': <['--a']>}", TRUE));
}

/* What an import has brought goes again with the change, or the create, that came to nothing. */
static void
refused_leaves_the_default(Fixture *f, gconstpointer data)
{
    g_autoptr(KhInstance) one = create(f, "one");
    g_autofree char *image = g_strdup(kh_instance_get_record(one)->config->image);
    g_autoptr(GAsyncResult) created = NULL;
    g_autoptr(GPtrArray) images = NULL;
    g_autoptr(GError) error = NULL;
    GAsyncResult *result = NULL, *opening = NULL;

    f->settings.boot_components = f->second;
    begin_change(f, one, "{'image': <'default'>, 'katana-args': <['--a']>}", FALSE, &result);
    begin_change(f, one, "{'rpc-address': <'0.0.0.0'>}", TRUE, &opening);
    g_assert_true(end_change(f, &opening, NULL));
    g_assert_false(end_change(f, &result, NULL));
    g_assert_cmpstr(kh_manager_get_default_image(f->manager), ==, image);

    begin_create(f, "two", &result);
    f->settings.max_instances = 1;
    created = wait_for(&result);
    g_assert_null(kh_manager_create_finish(f->manager, created, &error));
    g_assert_error(error, KH_ERROR, KH_ERROR_LIMIT_EXCEEDED);
    g_assert_cmpstr(kh_manager_get_default_image(f->manager), ==, image);
    images = kh_image_store_list(f->machines.images);
    g_assert_cmpuint(images->len, ==, 1);

    g_assert_true(change(f, one, "{'image': <'default'>}", TRUE));
    g_assert_cmpstr(kh_manager_get_default_image(f->manager), !=, image);
}

#define ADD(path, function) g_test_add(path, Fixture, NULL, set_up, function, tear_down)

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    ADD("/manager/import-holds", an_import_holds_images);
    ADD("/manager/default", the_default_stays);
    ADD("/manager/others", others_need_images);
    ADD("/manager/visits", a_change_visits_no_other);
    ADD("/manager/exports", exports_nothing_for_good);
    ADD("/manager/job", shows_a_job_without_an_instance);
    ADD("/manager/finds", finds);
    ADD("/manager/opening", a_change_meets_an_opening);
    ADD("/manager/refused", refused_leaves_the_default);
    return g_test_run();
}
