/* SPDX-License-Identifier: MIT */
/* The shim as a direct child; see direct-launcher.h and shim-protocol.h. */
#include "direct-launcher.h"

#include <fcntl.h>
#include <gio/gunixinputstream.h>
#include <glib-unix.h>
#include <string.h>
#include <unistd.h>

#include "error.h"
#include "shim-finder.h"
#include "shim-protocol.h"

/* Between the shim's start and QEMU's exec there is little to do. */
#define READY_TIMEOUT_MS 20000

struct _KhDirectLauncher {
    GObject parent_instance;
    char *shim;
};

static void kh_direct_launcher_iface_init(KhLauncherInterface *iface);

G_DEFINE_FINAL_TYPE_WITH_CODE(KhDirectLauncher, kh_direct_launcher, G_TYPE_OBJECT,
                              G_IMPLEMENT_INTERFACE(KH_TYPE_LAUNCHER,
                                                    kh_direct_launcher_iface_init))

static void
kh_direct_launcher_finalize(GObject *object)
{
    g_free(KH_DIRECT_LAUNCHER(object)->shim);
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

    self->shim = g_strdup(shim);
    return KH_LAUNCHER(self);
}

static gboolean
enforces_limits(KhLauncher *launcher)
{
    return FALSE;
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

/* A ^C on the service's terminal is not for the machines. */
static void
leave_session(gpointer data)
{
    setsid();
}

/* One launch that waits for the ready line. */
typedef struct {
    GInputStream *pipe;
    GCancellable *cancellable;
    guint timer;
    gboolean timed_out;
    char line[KH_SHIM_LINE_MAX + 1];
} Waiting;

static void
waiting_free(gpointer data)
{
    Waiting *waiting = data;

    g_clear_handle_id(&waiting->timer, g_source_remove);
    g_clear_object(&waiting->pipe);
    g_clear_object(&waiting->cancellable);
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
on_ready(GObject *source, GAsyncResult *result, gpointer data)
{
    g_autoptr(GTask) task = data;
    Waiting *waiting = g_task_get_task_data(task);
    GError *error = NULL;
    KhVm *vm = NULL;

    g_input_stream_read_all_finish(G_INPUT_STREAM(source), result, NULL, NULL);
    g_clear_handle_id(&waiting->timer, g_source_remove);
    if (waiting->timed_out)
        error = g_error_new(KH_ERROR, KH_ERROR_TIMED_OUT,
                            "The shim has not started QEMU within %d s", READY_TIMEOUT_MS / 1000);
    else
        vm = kh_launcher_read_ready_line(waiting->line, &error);
    if (vm != NULL)
        g_task_return_pointer(task, vm, g_object_unref);
    else
        g_task_return_error(task, error);
}

/* Reaps the shim whenever it ends. */
static void
on_shim_reaped(GObject *source, GAsyncResult *result, gpointer data)
{
    g_subprocess_wait_finish(G_SUBPROCESS(source), result, NULL);
}

/* Starts the shim; the read end of the ready pipe, or -1. */
static int
spawn_shim(char **args, GError **error)
{
    g_autoptr(GSubprocessLauncher) launcher = g_subprocess_launcher_new(G_SUBPROCESS_FLAGS_NONE);
    g_autoptr(GSubprocess) shim = NULL;
    int pipe[2];

    if (!g_unix_open_pipe(pipe, FD_CLOEXEC, error))
        return -1;
    g_subprocess_launcher_take_fd(launcher, pipe[1], KH_SHIM_FD_READY);
    /* systemd's socket is for the service's own notes. */
    g_subprocess_launcher_unsetenv(launcher, "NOTIFY_SOCKET");
    g_subprocess_launcher_set_child_setup(launcher, leave_session, NULL, NULL);
    shim = g_subprocess_launcher_spawnv(launcher, (const char *const *)args, error);
    g_subprocess_launcher_close(launcher);
    if (shim == NULL) {
        close(pipe[0]);
        return -1;
    }
    g_subprocess_wait_async(shim, NULL, on_shim_reaped, NULL);
    return pipe[0];
}

static void
launch_async(KhLauncher *launcher, const KhLaunch *launch, GAsyncReadyCallback callback,
             gpointer user_data)
{
    KhDirectLauncher *self = KH_DIRECT_LAUNCHER(launcher);
    g_autoptr(GTask) task = g_task_new(self, NULL, callback, user_data);
    g_auto(GStrv) args = kh_launcher_build_run_args(launch, KH_SHIM_FD_READY);
    g_auto(GStrv) command = build_command(self, (const char *const *)args);
    Waiting *waiting = g_new0(Waiting, 1);
    GError *error = NULL;
    int fd = spawn_shim(command, &error);

    g_task_set_source_tag(task, launch_async);
    g_task_set_task_data(task, waiting, waiting_free);
    if (fd < 0) {
        g_task_return_error(task, kh_error_import(error, KH_ERROR_LAUNCH_FAILED, self->shim));
        return;
    }
    waiting->pipe = g_unix_input_stream_new(fd, TRUE);
    waiting->cancellable = g_cancellable_new();
    waiting->timer = g_timeout_add(READY_TIMEOUT_MS, on_ready_timeout, waiting);
    g_input_stream_read_all_async(waiting->pipe, waiting->line, KH_SHIM_LINE_MAX,
                                  G_PRIORITY_DEFAULT, waiting->cancellable, on_ready,
                                  g_object_ref(task));
}

/* Of launch and recover. */
static KhVm *
vm_finish(KhLauncher *launcher, GAsyncResult *result, GError **error)
{
    return g_task_propagate_pointer(G_TASK(result), error);
}

static void
recover_async(KhLauncher *launcher, const KhTraces *traces, GAsyncReadyCallback callback,
              gpointer user_data)
{
    g_autoptr(GTask) task = g_task_new(launcher, NULL, callback, user_data);
    GError *error = NULL;
    KhVm *vm = kh_shim_finder_find(traces, &error);

    g_task_set_source_tag(task, recover_async);
    if (vm != NULL)
        g_task_return_pointer(task, vm, g_object_unref);
    else
        g_task_return_error(task, error);
}

static void
release_async(KhLauncher *launcher, const char *id, GAsyncReadyCallback callback,
              gpointer user_data)
{
    g_autoptr(GTask) task = g_task_new(launcher, NULL, callback, user_data);

    g_task_set_source_tag(task, release_async);
    g_task_return_boolean(task, FALSE);
}

static gboolean
release_finish(KhLauncher *launcher, GAsyncResult *result)
{
    return g_task_propagate_boolean(G_TASK(result), NULL);
}

static void
set_cpu_quota(KhLauncher *launcher, const char *id, guint percent)
{
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

static gboolean
run_tool_finish(KhLauncher *launcher, GAsyncResult *result, GError **error)
{
    return g_task_propagate_boolean(G_TASK(result), error);
}

static void
kh_direct_launcher_iface_init(KhLauncherInterface *iface)
{
    iface->name = "direct";
    iface->enforces_limits = enforces_limits;
    iface->launch_async = launch_async;
    iface->launch_finish = vm_finish;
    iface->recover_async = recover_async;
    iface->recover_finish = vm_finish;
    iface->release_async = release_async;
    iface->release_finish = release_finish;
    iface->set_cpu_quota = set_cpu_quota;
    iface->run_tool_async = run_tool_async;
    iface->run_tool_finish = run_tool_finish;
}
