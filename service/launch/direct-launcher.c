/* SPDX-License-Identifier: MIT */
/* The shim as a direct child; see direct-launcher.h and shim-protocol.h. */
#include "direct-launcher.h"

#include <gio/gunixinputstream.h>
#include <glib-unix.h>
#include <unistd.h>

#include "cgroup.h"
#include "crash-point.h"
#include "error.h"
#include "journal.h"
#include "shim-protocol.h"

/* Between the shim's start and QEMU's exec there is little to do. */
#define READY_TIMEOUT_MS 20000
/* The kernel takes a dead process out of its group a little later. */
#define REMOVE_INTERVAL_MS 20
#define REMOVE_TRIES 100

struct _KhDirectLauncher {
    GObject parent_instance;
    char *shim;
    KhCgroups *cgroups; /* NULL where there are none to be had */
};

static void kh_direct_launcher_iface_init(KhLauncherInterface *iface);

G_DEFINE_FINAL_TYPE_WITH_CODE(KhDirectLauncher, kh_direct_launcher, G_TYPE_OBJECT,
                              G_IMPLEMENT_INTERFACE(KH_TYPE_LAUNCHER,
                                                    kh_direct_launcher_iface_init))

static void
kh_direct_launcher_finalize(GObject *object)
{
    KhDirectLauncher *self = KH_DIRECT_LAUNCHER(object);

    g_free(self->shim);
    g_clear_pointer(&self->cgroups, kh_cgroups_free);
    G_OBJECT_CLASS(kh_direct_launcher_parent_class)->finalize(object);
}

static void
kh_direct_launcher_class_init(KhDirectLauncherClass *class)
{
    G_OBJECT_CLASS(class)->finalize = kh_direct_launcher_finalize;
}

static void
kh_direct_launcher_init(KhDirectLauncher *self)
{
}

KhLauncher *
kh_direct_launcher_new(const char *shim)
{
    KhDirectLauncher *self = g_object_new(KH_TYPE_DIRECT_LAUNCHER, NULL);
    g_autoptr(GError) error = NULL;

    self->shim = g_strdup(shim);
    self->cgroups = kh_cgroups_open(&error);
    if (self->cgroups == NULL)
        g_message("Memory and CPU limits of machines are not enforced: %s", error->message);
    return KH_LAUNCHER(self);
}

static KhLimitKinds
get_limits(KhLauncher *launcher)
{
    return KH_DIRECT_LAUNCHER(launcher)->cgroups != NULL ? KH_LIMIT_ALL : KH_LIMIT_NONE;
}

/* The shim's own path before its arguments. */
static char **
build_command(KhDirectLauncher *self, const char *const *args)
{
    g_autoptr(GStrvBuilder) command = g_strv_builder_new();

    g_strv_builder_add(command, self->shim);
    g_strv_builder_addv(command, (const char **)args);
    return g_strv_builder_end(command);
}

/*
 * In the new process, before exec: a ^C on the service's terminal is not for the machines,
 * and "0" puts the process that writes it into the group. Nothing runs outside of it.
 */
static void
set_up_child(gpointer data)
{
    int procs = GPOINTER_TO_INT(data);

    setsid();
    if (procs >= 0 && write(procs, "0", 1) != 1)
        _exit(KH_SHIM_EXIT_FAILED);
}

/* One removal of a group. */
typedef struct {
    char *id;
    gboolean oom_kill;
    guint tries;
} Removal;

static void
removal_free(gpointer data)
{
    Removal *removal = data;

    g_free(removal->id);
    g_free(removal);
}

static gboolean
on_removal_timer(gpointer data)
{
    g_autoptr(GTask) task = data;
    KhDirectLauncher *self = g_task_get_source_object(task);
    Removal *removal = g_task_get_task_data(task);
    gboolean removed = kh_cgroups_remove(self->cgroups, removal->id);

    if (!removed && ++removal->tries < REMOVE_TRIES) {
        g_timeout_add(REMOVE_INTERVAL_MS, on_removal_timer, g_steal_pointer(&task));
        return G_SOURCE_REMOVE;
    }
    if (!removed)
        kh_journal_log(G_LOG_LEVEL_MESSAGE, &(KhSubject){.id = removal->id, .caller = -1},
                       "The control group of %s still has processes in it", removal->id);
    g_task_return_boolean(task, removal->oom_kill);
    return G_SOURCE_REMOVE;
}

static void
release_async(KhLauncher *launcher, const KhMachineRef *ref, GAsyncReadyCallback callback,
              gpointer user_data)
{
    KhDirectLauncher *self = KH_DIRECT_LAUNCHER(launcher);
    g_autoptr(GTask) task = g_task_new(self, NULL, callback, user_data);
    Removal *removal = g_new0(Removal, 1);

    g_task_set_source_tag(task, release_async);
    g_task_set_task_data(task, removal, removal_free);
    removal->id = g_strdup(ref->id);
    if (self->cgroups == NULL) {
        g_task_return_boolean(task, FALSE);
        return;
    }
    removal->oom_kill = kh_cgroups_had_oom_kill(self->cgroups, removal->id);
    on_removal_timer(g_steal_pointer(&task));
}

/* One launch that waits for the ready line. */
typedef struct {
    GSubprocess *shim;
    gint64 uid; /* the machine's; -1: the service's own */
    GInputStream *pipe;
    GCancellable *cancellable;
    guint timer;
    gboolean timed_out;
    GError *error; /* while a shim that came to nothing is being ended */
    char line[KH_SHIM_LINE_MAX + 1];
} Waiting;

static void
waiting_free(gpointer data)
{
    Waiting *waiting = data;

    g_clear_handle_id(&waiting->timer, g_source_remove);
    g_clear_object(&waiting->shim);
    g_clear_object(&waiting->pipe);
    g_clear_object(&waiting->cancellable);
    g_clear_error(&waiting->error);
    g_free(waiting);
}

static gboolean
on_ready_timeout(gpointer data)
{
    Waiting *waiting = data;

    waiting->timer = 0;
    waiting->timed_out = TRUE;
    g_cancellable_cancel(waiting->cancellable);
    return G_SOURCE_REMOVE;
}

static void
on_shim_gone(GObject *source, GAsyncResult *result, gpointer data)
{
    g_autoptr(GTask) task = data;
    Waiting *waiting = g_task_get_task_data(task);

    g_subprocess_wait_finish(G_SUBPROCESS(source), result, NULL);
    g_task_return_error(task, g_steal_pointer(&waiting->error));
}

/* Nothing may be left of a machine that is said not to run: QEMU ends with its shim. */
static void
end_shim(GTask *task)
{
    Waiting *waiting = g_task_get_task_data(task);

    g_subprocess_force_exit(waiting->shim);
    g_subprocess_wait_async(waiting->shim, NULL, on_shim_gone, g_object_ref(task));
}

/* 0: it has ended. */
static gint64
pid_of(GSubprocess *shim)
{
    const char *pid = g_subprocess_get_identifier(shim);

    return pid == NULL ? 0 : g_ascii_strtoll(pid, NULL, 10);
}

static void
on_ready(GObject *source, GAsyncResult *result, gpointer data)
{
    g_autoptr(GTask) task = data;
    Waiting *waiting = g_task_get_task_data(task);
    KhVm *vm = NULL;

    g_input_stream_read_all_finish(G_INPUT_STREAM(source), result, NULL, NULL);
    g_clear_handle_id(&waiting->timer, g_source_remove);
    if (waiting->timed_out)
        g_set_error(&waiting->error, KH_ERROR, KH_ERROR_TIMED_OUT,
                    "The shim did not start QEMU within %d s", READY_TIMEOUT_MS / 1000);
    else
        vm = kh_launcher_read_ready_line(waiting->line, waiting->uid, pid_of(waiting->shim),
                                         &waiting->error);
    if (vm != NULL)
        g_task_return_pointer(task, vm, g_object_unref);
    else
        end_shim(task);
}

/* Reaps the shim whenever it ends. */
static void
on_shim_reaped(GObject *source, GAsyncResult *result, gpointer data)
{
    g_subprocess_wait_finish(G_SUBPROCESS(source), result, NULL);
}

/*
 * Starts the shim in a control group (-1: none), transfer full; @ready is the read end of
 * the ready pipe.
 */
static GSubprocess *
spawn_shim(char **args, int procs, int *ready, GError **error)
{
    g_autoptr(GSubprocessLauncher) launcher = g_subprocess_launcher_new(G_SUBPROCESS_FLAGS_NONE);
    g_autoptr(GSubprocess) shim = NULL;
    int pipe[2];

    if (!g_unix_open_pipe(pipe, FD_CLOEXEC, error))
        return NULL;
    g_subprocess_launcher_take_fd(launcher, pipe[1], KH_SHIM_FD_READY);
    /* systemd's socket is for the service's own notes. */
    g_subprocess_launcher_unsetenv(launcher, "NOTIFY_SOCKET");
    g_subprocess_launcher_set_child_setup(launcher, set_up_child, GINT_TO_POINTER(procs), NULL);
    shim = g_subprocess_launcher_spawnv(launcher, (const char *const *)args, error);
    g_subprocess_launcher_close(launcher);
    if (shim == NULL) {
        close(pipe[0]);
        return NULL;
    }
    kh_crash_point("start:spawned");
    g_subprocess_wait_async(shim, NULL, on_shim_reaped, NULL);
    *ready = pipe[0];
    return g_steal_pointer(&shim);
}

/* The same in a group of the machine's own, where there can be one. */
static GSubprocess *
spawn_machine(KhDirectLauncher *self, const KhLaunchSpec *launch, int *ready, GError **error)
{
    g_auto(GStrv) args = kh_launcher_build_run_args(launch, KH_SHIM_FD_READY);
    g_auto(GStrv) command = build_command(self, (const char *const *)args);
    GSubprocess *shim;
    int procs = -1;

    if (self->cgroups != NULL) {
        procs = kh_cgroups_create(self->cgroups, launch->id, launch->memory_max, launch->cpu_quota,
                                  error);
        if (procs < 0)
            return NULL;
    }
    shim = spawn_shim(command, procs, ready, error);
    if (procs >= 0)
        close(procs);
    return shim;
}

static void
launch_async(KhLauncher *launcher, const KhLaunchSpec *launch, GAsyncReadyCallback callback,
             gpointer user_data)
{
    KhDirectLauncher *self = KH_DIRECT_LAUNCHER(launcher);
    g_autoptr(GTask) task = g_task_new(self, NULL, callback, user_data);
    Waiting *waiting = g_new0(Waiting, 1);
    GError *error = NULL;
    int ready = -1;

    g_task_set_source_tag(task, launch_async);
    g_task_set_task_data(task, waiting, waiting_free);
    waiting->uid = launch->uid;
    waiting->shim = spawn_machine(self, launch, &ready, &error);
    if (waiting->shim == NULL) {
        g_task_return_error(task, kh_error_import(error, KH_ERROR_LAUNCH_FAILED, self->shim));
        return;
    }
    waiting->pipe = g_unix_input_stream_new(ready, TRUE);
    waiting->cancellable = g_cancellable_new();
    waiting->timer = g_timeout_add(READY_TIMEOUT_MS, on_ready_timeout, waiting);
    g_input_stream_read_all_async(waiting->pipe, waiting->line, KH_SHIM_LINE_MAX,
                                  G_PRIORITY_DEFAULT, waiting->cancellable, on_ready,
                                  g_object_ref(task));
}

static void
set_cpu_quota(KhLauncher *launcher, const char *id, guint percent)
{
    KhDirectLauncher *self = KH_DIRECT_LAUNCHER(launcher);
    g_autoptr(GError) error = NULL;

    if (self->cgroups != NULL && !kh_cgroups_set_cpu_quota(self->cgroups, id, percent, &error))
        kh_journal_log(G_LOG_LEVEL_WARNING, &(KhSubject){.id = id, .caller = -1}, "%s",
                       error->message);
}

static void
on_tool_ended(GObject *source, GAsyncResult *result, gpointer data)
{
    g_autoptr(GTask) task = data;
    GSubprocess *process = G_SUBPROCESS(source);
    g_autofree char *output = NULL;
    GError *error = NULL;

    if (!g_subprocess_communicate_utf8_finish(process, result, NULL, &output, &error))
        g_task_return_error(task, kh_error_import(error, KH_ERROR_LAUNCH_FAILED, "The shim"));
    else if (g_subprocess_get_if_exited(process) && g_subprocess_get_exit_status(process) == 0)
        g_task_return_boolean(task, TRUE);
    else
        g_task_return_error(task, kh_launcher_tool_error(output));
}

static void
run_tool_async(KhLauncher *launcher, const char *const *args, GAsyncReadyCallback callback,
               gpointer user_data)
{
    KhDirectLauncher *self = KH_DIRECT_LAUNCHER(launcher);
    g_autoptr(GTask) task = g_task_new(self, NULL, callback, user_data);
    g_autoptr(GSubprocessLauncher) spawner =
        g_subprocess_launcher_new(G_SUBPROCESS_FLAGS_STDERR_PIPE);
    g_auto(GStrv) command = build_command(self, args);
    g_autoptr(GSubprocess) process = NULL;
    GError *error = NULL;

    g_task_set_source_tag(task, run_tool_async);
    g_subprocess_launcher_unsetenv(spawner, "NOTIFY_SOCKET");
    process = g_subprocess_launcher_spawnv(spawner, (const char *const *)command, &error);
    if (process == NULL) {
        g_task_return_error(task, kh_error_import(error, KH_ERROR_LAUNCH_FAILED, self->shim));
        return;
    }
    g_subprocess_communicate_utf8_async(process, NULL, NULL, on_tool_ended, g_object_ref(task));
}

static void
kh_direct_launcher_iface_init(KhLauncherInterface *iface)
{
    iface->name = "direct";
    iface->group_suffix = "";
    iface->get_limits = get_limits;
    iface->launch_async = launch_async;
    iface->release_async = release_async;
    iface->set_cpu_quota = set_cpu_quota;
    iface->run_tool_async = run_tool_async;
}
