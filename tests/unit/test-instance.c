/* SPDX-License-Identifier: MIT */
/* Tests of what is asked of an instance at an awkward moment. */
#include "instance/instance.h"
#include "machine/removal.h"
#include "machine/start-up.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "error.h"
#include "launch/shim-protocol.h"
#include "model/config-checks.h"
#include "sleeper.h"
#include "state/instance-dir-making.h"
#include "state/instance-dir-removal.h"
#include "state/instance-dir.h"
#include "state/sql.h"

#define LONG_TEXT 2048 /* what has it is not kept in the C library's own cache when it is freed */
#define VM_UID 1879179200 /* of the range that the service uses by default, its very end */

/* A launcher that answers when the test does. */
#define SLOW_TYPE_LAUNCHER (slow_launcher_get_type())
G_DECLARE_FINAL_TYPE(SlowLauncher, slow_launcher, SLOW, LAUNCHER, GObject)

struct _SlowLauncher {
    GObject parent_instance;
    GTask *search;      /* for a machine; ours */
    guint64 memory_max; /* of a machine that was to be launched */
};

static void slow_launcher_iface_init(KhLauncherInterface *iface);

G_DEFINE_FINAL_TYPE_WITH_CODE(SlowLauncher, slow_launcher, G_TYPE_OBJECT,
                              G_IMPLEMENT_INTERFACE(KH_TYPE_LAUNCHER, slow_launcher_iface_init))

static void
slow_launcher_class_init(SlowLauncherClass *class)
{
}

static void
slow_launcher_init(SlowLauncher *self)
{
}

static void
recover_async(KhLauncher *launcher, const KhMachineRef *ref, GAsyncReadyCallback callback,
              gpointer user_data)
{
    SLOW_LAUNCHER(launcher)->search = g_task_new(launcher, NULL, callback, user_data);
}

static void
release_async(KhLauncher *launcher, const KhMachineRef *ref, GAsyncReadyCallback callback,
              gpointer user_data)
{
    g_autoptr(GTask) task = g_task_new(launcher, NULL, callback, user_data);

    g_task_return_boolean(task, FALSE);
}

/* Nothing comes up. */
static void
launch_async(KhLauncher *launcher, const KhLaunchSpec *launch, GAsyncReadyCallback callback,
             gpointer user_data)
{
    g_autoptr(GTask) task = g_task_new(launcher, NULL, callback, user_data);

    SLOW_LAUNCHER(launcher)->memory_max = launch->memory_max;
    g_task_return_new_error(task, KH_ERROR, KH_ERROR_LAUNCH_FAILED, "nothing is launched");
}

/* A disk gets its file system, it says. */
static void
run_tool_async(KhLauncher *launcher, const char *const *args, GAsyncReadyCallback callback,
               gpointer user_data)
{
    g_autoptr(GTask) task = g_task_new(launcher, NULL, callback, user_data);

    g_task_return_boolean(task, TRUE);
}

static void
slow_launcher_iface_init(KhLauncherInterface *iface)
{
    iface->name = "slow";
    iface->launch_async = launch_async;
    iface->run_tool_async = run_tool_async;
    iface->recover_async = recover_async;
    iface->release_async = release_async;
}

typedef struct {
    char *base;
    KhSettings settings;
    KhFacts facts;
    KhMachines machines;
    KhStore *store;
    KhJobs *jobs;
    KhShutdown *shutdown;
    SlowLauncher *launcher;
    KhInstance *instance;
    KhProcess shim, qemu;
} Fixture;

/* As a service before this one has left it. */
static KhRecord *
make_record(const KhFacts *facts, KhState state)
{
    g_autoptr(GVariant) empty = g_variant_ref_sink(g_variant_new("a{sv}", NULL));
    KhRecord *record = kh_record_new();

    record->id = g_strdup("11111111-2222-4333-8444-555555555555");
    record->name = g_strdup("x");
    record->config = kh_config_new(empty, &facts->limits, NULL);
    record->vm_uid = -1;
    record->state = state;
    if (state == KH_STATE_FAILED) {
        record->restart_usec = g_get_real_time() + 30 * G_USEC_PER_SEC;
        g_free(record->reason);
        record->reason = g_strdup("it starts again");
    }
    g_free(record->boot_id);
    record->boot_id = g_strdup(facts->boot_id);
    return record;
}

static void
set_up(Fixture *f, gconstpointer data)
{
    g_autofree char *state = NULL, *runtime = NULL, *database = NULL;
    KhRecord *record;

    f->base = g_dir_make_tmp("kh-instance-XXXXXX", NULL);
    state = g_build_filename(f->base, "state", NULL);
    runtime = g_build_filename(f->base, "run", NULL);
    f->settings = (KhSettings){.stop_timeout = 60};
    f->facts =
        (KhFacts){.limits = {G_MAXINT64, G_MAXINT64}, .accelerator = "tcg", .boot_id = "this"};
    f->machines = (KhMachines){.settings = &f->settings, .facts = &f->facts};
    f->shutdown = kh_shutdown_new();
    f->machines.state_dir = kh_state_dir_open(state, runtime, NULL);
    database = kh_state_dir_build(f->machines.state_dir, "state.db");
    f->store = kh_store_open(database, NULL);
    f->jobs = kh_jobs_new();
    f->launcher = g_object_new(SLOW_TYPE_LAUNCHER, NULL);
    f->machines.launcher = KH_LAUNCHER(f->launcher);
    record = make_record(&f->facts, (KhState)GPOINTER_TO_INT(data));
    g_assert_true(kh_store_insert(f->store, record, NULL));
    g_assert_true(kh_instance_dir_create(kh_state_dir_runtime_fd(f->machines.state_dir), record->id,
                                         -1, NULL));
    f->instance = kh_instance_new(&f->machines, f->store, f->jobs, f->shutdown, record);
    kh_instance_take_over(f->instance, FALSE);
}

static void
tear_down(Fixture *f, gconstpointer data)
{
    g_clear_object(&f->instance);
    g_clear_object(&f->launcher);
    g_clear_object(&f->jobs);
    g_clear_object(&f->shutdown);
    g_clear_object(&f->store);
    g_clear_object(&f->machines.state_dir);
    kh_instance_dir_remove(-1, f->base, NULL, NULL);
    g_free(f->base);
}

/* The search comes to a machine. */
static void
find_machine(Fixture *f)
{
    g_autoptr(GTask) search = g_steal_pointer(&f->launcher->search);

    f->shim = sleeper_start();
    f->qemu = sleeper_start();
    g_task_return_pointer(search, kh_vm_new(&f->shim, &f->qemu, NULL), g_object_unref);
}

static void
on_qemu_ended(GPid pid, int status, gpointer data)
{
    *(gboolean *)data = TRUE;
}

static gboolean
on_late(gpointer data)
{
    *(gboolean *)data = TRUE;
    return G_SOURCE_CONTINUE;
}

static void
wait_for_qemu(Fixture *f)
{
    gboolean ended = FALSE, late = FALSE;
    guint timer = g_timeout_add_seconds(10, on_late, &late);

    g_child_watch_add((GPid)f->qemu.pid, on_qemu_ended, &ended);
    while (!ended && !late)
        g_main_context_iteration(NULL, TRUE);
    g_source_remove(timer);
    g_assert_true(ended);
    sleeper_end(&f->shim);
}

static void
keep_result(GObject *source, GAsyncResult *result, gpointer data)
{
    *(GAsyncResult **)data = g_object_ref(result);
}

static gboolean
finish(GAsyncResult *result, GError **error)
{
    g_autoptr(KhJob) job = KH_JOB(g_async_result_get_source_object(result));

    return kh_job_wait_finish(job, result, error);
}

/* What is asked for is begun, and waited for. NULL: it is refused, or there is nothing to do. */
static KhJob *
ask(Fixture *f, const KhRequest *request, GAsyncReadyCallback callback, gpointer data,
    GError **error)
{
    KhJob *job = kh_instance_request(f->instance, request, error);

    if (job != NULL)
        kh_instance_wait_async(f->instance, job, request, callback, data);
    return job;
}

static void
on_stopped(GObject *source, GAsyncResult *result, gpointer data)
{
    g_autoptr(GError) error = NULL;

    finish(result, &error);
    g_assert_no_error(error);
    (*(guint *)data)++;
}

/* Whoever asks after it for a graceful stop does not make one of a stop by force. */
static void
force_stays_force(Fixture *f, gconstpointer data)
{
    guint stopped = 0;
    g_autoptr(KhJob) kill =
        ask(f, &(KhRequest){.operation = KH_OPERATION_KILL}, on_stopped, &stopped, NULL);
    g_autoptr(KhJob) stop =
        ask(f, &(KhRequest){.operation = KH_OPERATION_STOP}, on_stopped, &stopped, NULL);

    g_assert_true(kill == stop);
    find_machine(f);
    wait_for_qemu(f);
    while (stopped < 2)
        g_main_context_iteration(NULL, TRUE);
    g_assert_cmpint(kh_instance_get_record(f->instance)->state, ==, KH_STATE_STOPPED);
    g_assert_cmpstr(kh_instance_get_record(f->instance)->stop_result, ==, "forced");
}

/* An instance that has ended by its row, and whose machine is looked for all the same. */
static void
doubt(Fixture *f)
{
    KhRecord *record = make_record(&f->facts, KH_STATE_STOPPED);

    g_clear_object(&f->instance);
    f->instance = kh_instance_new(&f->machines, f->store, f->jobs, f->shutdown, record);
    kh_instance_take_over(f->instance, TRUE);
}

/* The search comes to none. */
static void
find_nothing(Fixture *f)
{
    g_autoptr(GTask) search = g_steal_pointer(&f->launcher->search);

    g_task_return_new_error(search, KH_ERROR, KH_ERROR_NOT_FOUND, "nothing runs");
}

/* A start that waits to know of a machine is taken back before that is known. */
static void
waiting_start_is_cancelled(Fixture *f, gconstpointer data)
{
    g_autoptr(GAsyncResult) result = NULL;
    g_autoptr(GError) error = NULL;
    g_autoptr(KhJob) job = NULL;

    doubt(f);
    g_assert_true(kh_instance_start_if_gone(f->instance));
    job = g_object_ref(kh_instance_get_job(f->instance));
    kh_job_wait_async(job, 0, NULL, keep_result, &result);
    g_assert_true(kh_job_cancel(job, 7, &error));
    g_assert_cmpint(kh_job_get_state(job), ==, KH_JOB_CANCELLED);
    g_assert_null(kh_instance_get_job(f->instance));
    find_nothing(f);
    while (g_main_context_iteration(NULL, FALSE))
        continue;
    g_assert_false(finish(result, &error));
    g_assert_error(error, KH_ERROR, KH_ERROR_CANCELLED);
    g_assert_cmpint(kh_instance_get_record(f->instance)->state, ==, KH_STATE_STOPPED);
}

/* The journal names who deletes it, though somebody else's stop is still under way. */
static void
deletion_has_its_caller(Fixture *f, gconstpointer data)
{
    const KhRecord *record = kh_instance_get_record(f->instance);
    g_autoptr(KhJob) stop = kh_instance_request(
        f->instance, &(KhRequest){.operation = KH_OPERATION_STOP, .caller = 7}, NULL);
    g_autoptr(KhJob) deletion = NULL;

    g_assert_cmpint(record->caller_uid, ==, 7);
    deletion = kh_instance_request(
        f->instance, &(KhRequest){.operation = KH_OPERATION_FORCE_DELETE, .caller = 8}, NULL);
    g_assert_cmpint(record->caller_uid, ==, 8);
    find_nothing(f);
    while (kh_job_get_state(deletion) == KH_JOB_RUNNING)
        g_main_context_iteration(NULL, TRUE);
    g_assert_cmpint(kh_job_get_state(stop), ==, KH_JOB_DONE);
}

/* Nobody is told that the data stays who comes after a deletion that takes it. */
static void
data_is_not_promised(Fixture *f, gconstpointer data)
{
    const KhRequest taking = {.operation = KH_OPERATION_FORCE_DELETE};
    const KhRequest keeping = {.operation = KH_OPERATION_FORCE_DELETE, .keep_data = TRUE};
    g_autoptr(GAsyncResult) taken = NULL, joined = NULL;
    g_autoptr(GError) error = NULL;
    g_autoptr(KhJob) first = ask(f, &taking, keep_result, &taken, NULL);
    g_autoptr(KhJob) second = NULL;

    g_assert_null(kh_instance_request(f->instance, &keeping, &error));
    g_assert_error(error, KH_ERROR, KH_ERROR_BUSY);
    second = ask(f, &taking, keep_result, &joined, NULL);
    g_assert_true(first == second);
    find_nothing(f);
    while (taken == NULL || joined == NULL)
        g_main_context_iteration(NULL, TRUE);
    g_assert_true(finish(taken, NULL));
    g_assert_true(finish(joined, NULL));
}

/* Another program's words to the database. */
static void
tell_database(Fixture *f, const char *sql)
{
    g_autofree char *database = kh_state_dir_build(f->machines.state_dir, "state.db");
    sqlite3 *db = NULL;

    g_assert_cmpint(sqlite3_open(database, &db), ==, SQLITE_OK);
    g_assert_cmpint(sqlite3_exec(db, sql, NULL, NULL, NULL), ==, SQLITE_OK);
    sqlite3_close(db);
}

/* Has it refuse what comes "BEFORE ...", as where its disk is full. */
static void
refuse(Fixture *f, const char *what)
{
    g_autofree char *sql = g_strdup_printf(
        "CREATE TRIGGER refuse BEFORE %s BEGIN SELECT RAISE(ABORT, 'full'); END", what);

    g_log_set_always_fatal(G_LOG_FATAL_MASK); /* it is warned of */
    tell_database(f, sql);
}

/* A deletion that is not begun changes nothing. */
static void
refused_deletion(Fixture *f, gconstpointer data)
{
    const KhRecord *record = kh_instance_get_record(f->instance);
    gint64 due = record->restart_usec;
    const KhRequest request = {.operation = KH_OPERATION_DELETE, .keep_data = TRUE};
    g_autoptr(GError) error = NULL;

    refuse(f, "UPDATE ON instances WHEN NEW.state = 'deleting'");
    g_assert_null(kh_instance_request(f->instance, &request, &error));
    g_assert_nonnull(error);
    g_assert_null(kh_instance_get_job(f->instance));
    g_assert_cmpint(record->state, ==, KH_STATE_FAILED);
    g_assert_cmpstr(record->reason, ==, "it starts again");
    g_assert_cmpint(record->restart_usec, ==, due);
    g_assert_false(record->keep_data);
    /* The restart is due still, so that there is something to stop. */
    g_assert_cmpint(kh_instance_check(f->instance, KH_OPERATION_STOP, NULL), ==,
                    KH_ADMISSION_ALLOW);
}

static KhState
saved_state(Fixture *f)
{
    g_autoptr(GPtrArray) records = kh_store_load(f->store, NULL);

    return records->len == 0 ? KH_N_STATES : ((KhRecord *)records->pdata[0])->state;
}

static void
wait_until_saved(Fixture *f, KhState state)
{
    gboolean late = FALSE;
    guint timer = g_timeout_add_seconds(10, on_late, &late);

    while (saved_state(f) != state && !late)
        g_main_context_iteration(NULL, TRUE);
    g_source_remove(timer);
    g_assert_false(late);
}

/* What is decided while nothing can be written is said to be at risk, and written later. */
static void
unsaved_stop(Fixture *f, gconstpointer data)
{
    const KhRequest stop = {.operation = KH_OPERATION_STOP};
    g_autoptr(GAsyncResult) first = NULL;
    g_autofree char *unsaved = NULL, *saved = NULL;
    g_autoptr(GError) error = NULL;
    g_autoptr(KhJob) job = NULL;

    refuse(f, "UPDATE ON instances");
    job = ask(f, &stop, keep_result, &first, NULL);
    while (first == NULL)
        g_main_context_iteration(NULL, TRUE);
    g_assert_false(finish(first, NULL));
    g_assert_cmpint(kh_job_get_state(job), ==, KH_JOB_FAILED);
    g_assert_null(kh_instance_request(f->instance, &stop, &error));
    g_assert_nonnull(error);
    g_clear_error(&error);
    g_assert_cmpint(kh_instance_get_record(f->instance)->state, ==, KH_STATE_STOPPED);
    unsaved = kh_instance_build_reason(f->instance);
    g_assert_nonnull(strstr(unsaved, "The database could not be told yet"));
    g_assert_cmpint(saved_state(f), ==, KH_STATE_FAILED);
    tell_database(f, "DROP TRIGGER refuse");
    wait_until_saved(f, KH_STATE_STOPPED);
    saved = kh_instance_build_reason(f->instance);
    g_assert_null(strstr(saved, "database"));
    g_assert_null(kh_instance_request(f->instance, &stop, &error));
    g_assert_no_error(error);
}

/* At the service's end everything is written that can be. */
static void
saved_at_the_end(Fixture *f, gconstpointer data)
{
    g_autoptr(GAsyncResult) result = NULL;
    g_autoptr(KhJob) job = NULL;

    refuse(f, "UPDATE ON instances");
    job = ask(f, &(KhRequest){.operation = KH_OPERATION_STOP}, keep_result, &result, NULL);
    g_assert_false(kh_instance_is_saved(f->instance));
    tell_database(f, "DROP TRIGGER refuse");
    g_assert_true(kh_instance_is_saved(f->instance));
    g_assert_cmpint(saved_state(f), ==, KH_STATE_STOPPED);
    while (result == NULL)
        g_main_context_iteration(NULL, TRUE);
    g_assert_false(finish(result, NULL));
}

/* A restart whose second half could be forgotten does not begin with the first. */
static void
refused_restart(Fixture *f, gconstpointer data)
{
    const KhRequest request = {.operation = KH_OPERATION_RESTART};
    g_autoptr(GError) error = NULL;

    refuse(f, "UPDATE ON instances");
    g_assert_null(kh_instance_request(f->instance, &request, &error));
    g_assert_nonnull(error);
    g_assert_cmpint(kh_instance_get_record(f->instance)->state, ==, KH_STATE_RUNNING);
    g_assert_cmpint(kh_instance_get_record(f->instance)->restart_usec, ==, 0);
    tell_database(f, "DROP TRIGGER refuse");
}

/* A row that cannot be removed keeps its instance "deleting", until it can. */
static void
row_stays(Fixture *f, gconstpointer data)
{
    const KhRequest request = {.operation = KH_OPERATION_DELETE};
    g_autoptr(GAsyncResult) result = NULL;
    g_autoptr(GError) error = NULL;
    g_autoptr(KhJob) first = NULL, second = NULL;

    refuse(f, "DELETE ON instances");
    first = ask(f, &request, keep_result, &result, NULL);
    find_nothing(f);
    while (result == NULL)
        g_main_context_iteration(NULL, TRUE);
    g_assert_false(finish(result, NULL));
    g_assert_cmpint(kh_job_get_state(first), ==, KH_JOB_RUNNING);
    g_assert_null(kh_instance_request(f->instance, &request, &error));
    g_assert_nonnull(error);
    g_assert_cmpint(kh_instance_get_record(f->instance)->state, ==, KH_STATE_DELETING);
    tell_database(f, "DROP TRIGGER refuse");
    second = kh_instance_request(f->instance, &request, NULL);
    g_assert_true(first == second);
    g_assert_cmpint(kh_job_get_state(second), ==, KH_JOB_DONE);
    g_assert_cmpint(saved_state(f), ==, KH_N_STATES);
}

/* The monitor of its machine, which says nothing to whoever comes. */
static int
serve_monitor(Fixture *f)
{
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    int monitor = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int folder = kh_instance_dir_open(kh_state_dir_runtime_fd(f->machines.state_dir),
                                      kh_instance_get_record(f->instance)->id, NULL);

    g_snprintf(name.sun_path, sizeof name.sun_path, "/proc/self/fd/%d/%s", folder, KH_SOCKET_QMP);
    g_assert_cmpint(bind(monitor, (struct sockaddr *)&name, sizeof name), ==, 0);
    g_assert_cmpint(listen(monitor, 1), ==, 0);
    close(folder);
    return monitor;
}

/* What follows a machine reads the instance's record, and ends with it, whoever holds it still. */
static void
run_ends_with_it(Fixture *f, gconstpointer data)
{
    int monitor = serve_monitor(f), peer = -1;
    char byte;

    find_machine(f);
    while ((peer = accept4(monitor, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) < 0)
        g_main_context_iteration(NULL, TRUE);
    g_assert_cmpint(recv(peer, &byte, 1, 0), ==, -1);
    g_assert_cmpint(errno, ==, EAGAIN);
    g_clear_object(&f->instance);
    g_assert_cmpint(recv(peer, &byte, 1, 0), ==, 0);
    while (g_main_context_iteration(NULL, FALSE))
        continue;
    close(peer);
    close(monitor);
    sleeper_end(&f->qemu);
    sleeper_end(&f->shim);
}

/* The id of boot components that the host has. */
static char *
import_image(Fixture *f)
{
    static const char *const parts[] = {KH_IMAGE_KERNEL, KH_IMAGE_INITRD};
    g_autoptr(GAsyncResult) result = NULL;

    f->machines.images = kh_image_store_new(kh_state_dir_images_fd(f->machines.state_dir),
                                            kh_state_dir_get_images(f->machines.state_dir));
    for (guint i = 0; i < G_N_ELEMENTS(parts); i++) {
        g_autofree char *path = g_build_filename(f->base, parts[i], NULL);

        g_assert_true(g_file_set_contents(path, parts[i], -1, NULL));
    }
    kh_image_store_import_async(f->machines.images, f->base, NULL, keep_result, &result);
    while (result == NULL)
        g_main_context_iteration(NULL, TRUE);
    return kh_image_store_import_finish(f->machines.images, result, NULL);
}

static KhConfig *
make_config(Fixture *f, const char *text)
{
    g_autoptr(GVariant) dict = g_variant_parse(G_VARIANT_TYPE_VARDICT, text, NULL, NULL, NULL);

    return kh_config_new(dict, &f->facts.limits, NULL);
}

/* Another one than the fixture's instance has, whose machine can be started. */
static KhRecord *
add_startable(Fixture *f, const char *image)
{
    g_autofree char *argument = g_strnfill(LONG_TEXT, 'x');
    g_autofree char *text = g_strdup_printf("{'accelerator': <'tcg'>, 'image': <'%s'>, "
                                            "'katana-args': <['%s']>}",
                                            image, argument);
    KhRecord *record = make_record(&f->facts, KH_STATE_CREATED);

    g_clear_object(&f->instance);
    kh_store_remove(f->store, record->id, NULL);
    kh_config_unref(record->config);
    record->config = make_config(f, text);
    record->vm_uid = geteuid() == 0 ? VM_UID : -1;
    g_assert_true(kh_store_insert(f->store, record, NULL));
    g_assert_true(kh_instance_dir_create(kh_state_dir_instances_fd(f->machines.state_dir),
                                         record->id, record->vm_uid, NULL));
    f->settings.qemu = "/bin/true";
    return record;
}

/* Another configuration in the place of its own, as a "set" makes it. */
static void
set_label(Fixture *f)
{
    g_autoptr(GVariant) changes =
        g_variant_ref_sink(g_variant_new_parsed("{'labels': <{'a': 'b'}>}"));
    g_autoptr(GVariant) merged =
        kh_config_merge(kh_instance_get_record(f->instance)->config, changes);
    KhConfig *config = kh_config_new(merged, &f->facts.limits, NULL);

    g_assert_true(kh_instance_configure(f->instance, config, changes, "", 0, NULL));
}

static void
keep_aspects(KhInstance *instance, KhAspects aspects, KhAspects *kept)
{
    *kept |= aspects;
}

/* What was left to be taken is all that a machine would now be made by, accelerator and limits too.
 */
static void
left_change_is_told(Fixture *f, gconstpointer data)
{
    KhRecord *record = make_record(&f->facts, KH_STATE_STOPPED);
    KhAspects told = 0;

    g_clear_object(&f->instance);
    record->pending =
        make_config(f, "{'accelerator': <'kvm'>, 'memory-bytes': <uint64 268435456>}");
    f->instance = kh_instance_new(&f->machines, f->store, f->jobs, f->shutdown, record);
    g_signal_connect(f->instance, "changed", G_CALLBACK(keep_aspects), &told);
    kh_instance_take_over(f->instance, FALSE);
    g_assert_cmpstr(kh_instance_get_accelerator(f->instance), ==, "kvm");
    g_assert_cmpint(told, ==, KH_ASPECT_CONFIG | KH_ASPECT_IMAGE | KH_ASPECT_MACHINE);
}

/* What a start goes by is not freed by a change that comes behind it. */
static void
set_behind_a_start(Fixture *f, gconstpointer data)
{
    const guint64 mib = 1 << 20, overhead = 256, buffer = 256;
    g_autofree char *image = import_image(f);
    g_autoptr(GAsyncResult) result = NULL;
    g_autoptr(KhJob) job = NULL;
    const KhRecord *record;

    mallopt(M_PERTURB, 0xa5); /* what is freed is overwritten at once */
    f->instance =
        kh_instance_new(&f->machines, f->store, f->jobs, f->shutdown, add_startable(f, image));
    record = kh_instance_get_record(f->instance);
    job = ask(f, &(KhRequest){.operation = KH_OPERATION_START}, keep_result, &result, NULL);
    set_label(f);
    while (result == NULL)
        g_main_context_iteration(NULL, TRUE);
    g_assert_cmpstr(record->error_message, ==, "nothing is launched");
    g_assert_cmpuint(f->launcher->memory_max, ==,
                     record->config->memory_bytes + (overhead + buffer) * mib);
    g_clear_object(&f->instance);
    g_clear_object(&f->machines.images);
}

static void
ignore_step(const char *step, double progress, gpointer data)
{
}

static gboolean
note_disk(const KhRecord *record, gpointer data, GError **error)
{
    return kh_store_update(((Fixture *)data)->store, record, error);
}

/* It goes by a record that nobody else has any more, and that gets another configuration. */
static void
start_up_has_its_record(Fixture *f, gconstpointer data)
{
    g_autoptr(GCancellable) cancellable = g_cancellable_new();
    const KhStartUp how = {.accelerator = "tcg",
                           .cancellable = cancellable,
                           .on_step = ignore_step,
                           .note_disk = note_disk,
                           .data = f};
    g_autofree char *image = import_image(f);
    g_autoptr(GAsyncResult) result = NULL;
    g_autoptr(GError) error = NULL;
    g_autoptr(GPtrArray) saved = NULL;
    KhRecord *record;
    KhConfig *before;

    mallopt(M_PERTURB, 0xa5); /* what is freed is overwritten at once */
    record = add_startable(f, image);
    before = record->config;
    kh_start_up_async(&f->machines, record, &how, keep_result, &result);
    record->config = kh_config_with(before, "description", g_variant_new_string("another"));
    kh_config_unref(before);
    kh_record_unref(record);
    while (result == NULL)
        g_main_context_iteration(NULL, TRUE);
    g_assert_null(kh_start_up_finish(result, &error));
    g_assert_cmpstr(error->message, ==, "nothing is launched");
    saved = kh_store_load(f->store, NULL);
    g_assert_cmpuint(saved->len, ==, 1);
    g_assert_true(((KhRecord *)saved->pdata[0])->formatted);
    g_clear_object(&f->machines.images);
}

/* As many threads as GLib has for tasks are at work until the test lets them go. */
#define THREADS 10

typedef struct {
    GMutex mutex;
    GCond free;
    gboolean are_free;
    guint waiting;
} Threads;

static void
wait_in_thread(GTask *task, gpointer source, gpointer data, GCancellable *cancellable)
{
    Threads *threads = data;

    g_mutex_lock(&threads->mutex);
    threads->waiting++;
    g_cond_broadcast(&threads->free);
    while (!threads->are_free)
        g_cond_wait(&threads->free, &threads->mutex);
    threads->waiting--;
    g_cond_broadcast(&threads->free);
    g_mutex_unlock(&threads->mutex);
}

static void
take_threads(Threads *threads)
{
    g_mutex_init(&threads->mutex);
    g_cond_init(&threads->free);
    for (guint i = 0; i < THREADS; i++) {
        g_autoptr(GTask) task = g_task_new(NULL, NULL, NULL, NULL);

        g_task_set_task_data(task, threads, NULL);
        g_task_run_in_thread(task, wait_in_thread);
    }
    g_mutex_lock(&threads->mutex);
    while (threads->waiting < THREADS)
        g_cond_wait(&threads->free, &threads->mutex);
    g_mutex_unlock(&threads->mutex);
}

static void
give_threads(Threads *threads)
{
    g_mutex_lock(&threads->mutex);
    threads->are_free = TRUE;
    g_cond_broadcast(&threads->free);
    while (threads->waiting > 0)
        g_cond_wait(&threads->free, &threads->mutex);
    g_mutex_unlock(&threads->mutex);
    g_cond_clear(&threads->free);
    g_mutex_clear(&threads->mutex);
}

/* A thread that outlives the service's end removes what it was told to, and nothing else. */
static void
removal_outlives_all(Fixture *f, gconstpointer data)
{
    int runtime = fcntl(kh_state_dir_runtime_fd(f->machines.state_dir), F_DUPFD_CLOEXEC, 0);
    g_autofree char *id = g_strdup(kh_instance_get_record(f->instance)->id);
    g_autoptr(KhRecord) record = make_record(&f->facts, KH_STATE_DELETING);
    g_autoptr(GAsyncResult) result = NULL;
    Threads threads = {0};

    g_assert_true(kh_instance_dir_create(runtime, "spared", -1, NULL));
    take_threads(&threads);
    kh_removal_run_async(&f->machines, record, keep_result, &result);
    g_free(record->id);
    record->id = g_strdup("spared");
    record->keep_data = TRUE;
    g_clear_object(&f->instance);
    g_clear_object(&f->machines.state_dir);
    give_threads(&threads);
    while (result == NULL)
        g_main_context_iteration(NULL, TRUE);
    g_assert_true(kh_removal_run_finish(result, NULL));
    g_assert_cmpint(faccessat(runtime, id, F_OK, 0), !=, 0);
    g_assert_cmpint(faccessat(runtime, "spared", F_OK, 0), ==, 0);
    close(runtime);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add("/instance/force-stays-force", Fixture, GINT_TO_POINTER(KH_STATE_RUNNING), set_up,
               force_stays_force, tear_down);
    g_test_add("/instance/data-is-not-promised", Fixture, GINT_TO_POINTER(KH_STATE_RUNNING), set_up,
               data_is_not_promised, tear_down);
    g_test_add("/instance/waiting-start-is-cancelled", Fixture, GINT_TO_POINTER(KH_STATE_STOPPED),
               set_up, waiting_start_is_cancelled, tear_down);
    g_test_add("/instance/deletion-has-its-caller", Fixture, GINT_TO_POINTER(KH_STATE_RUNNING),
               set_up, deletion_has_its_caller, tear_down);
    g_test_add("/instance/refused-deletion", Fixture, GINT_TO_POINTER(KH_STATE_FAILED), set_up,
               refused_deletion, tear_down);
    g_test_add("/instance/unsaved-stop", Fixture, GINT_TO_POINTER(KH_STATE_FAILED), set_up,
               unsaved_stop, tear_down);
    g_test_add("/instance/saved-at-the-end", Fixture, GINT_TO_POINTER(KH_STATE_FAILED), set_up,
               saved_at_the_end, tear_down);
    g_test_add("/instance/refused-restart", Fixture, GINT_TO_POINTER(KH_STATE_RUNNING), set_up,
               refused_restart, tear_down);
    g_test_add("/instance/run-ends-with-it", Fixture, GINT_TO_POINTER(KH_STATE_RUNNING), set_up,
               run_ends_with_it, tear_down);
    g_test_add("/instance/removal-outlives-all", Fixture, GINT_TO_POINTER(KH_STATE_STOPPED), set_up,
               removal_outlives_all, tear_down);
    g_test_add("/instance/set-behind-a-start", Fixture, GINT_TO_POINTER(KH_STATE_CREATED), set_up,
               set_behind_a_start, tear_down);
    g_test_add("/instance/left-change-is-told", Fixture, GINT_TO_POINTER(KH_STATE_STOPPED), set_up,
               left_change_is_told, tear_down);
    g_test_add("/instance/start-up-has-its-record", Fixture, GINT_TO_POINTER(KH_STATE_CREATED),
               set_up, start_up_has_its_record, tear_down);
    g_test_add("/instance/row-stays", Fixture, GINT_TO_POINTER(KH_STATE_STOPPED), set_up, row_stays,
               tear_down);
    return g_test_run();
}
