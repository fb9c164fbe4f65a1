/* SPDX-License-Identifier: MIT */
/* The shim as a direct child; see direct-launcher.h and shim-protocol.h. */
#include "direct-launcher.h"

#include <fcntl.h>
#include <gio/gunixinputstream.h>
#include <glib-unix.h>
#include <grp.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "error.h"
#include "names.h"
#include "shim-protocol.h"

/* Between the shim's start and QEMU's exec there is little to do. */
#define READY_TIMEOUT_MS 20000
#define TOOL_OUTPUT_MAX 4096

struct _KhDirectLauncher {
    GObject parent_instance;
    char *shim;
};

G_DEFINE_FINAL_TYPE(KhDirectLauncher, kh_direct_launcher, G_TYPE_OBJECT)

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

KhDirectLauncher *
kh_direct_launcher_new(const char *shim)
{
    KhDirectLauncher *self = g_object_new(KH_TYPE_DIRECT_LAUNCHER, NULL);

    self->shim = g_strdup(shim);
    return self;
}

static void
add(GStrvBuilder *args, const char *option, char *value)
{
    g_strv_builder_add(args, option);
    g_strv_builder_add(args, value);
    g_free(value);
}

/* The machine's group has the number of its user; neither has an entry anywhere. */
static void
add_uid(GStrvBuilder *args, gint64 uid, gboolean kvm)
{
    struct group *group = kvm ? getgrnam("kvm") : NULL;

    if (uid < 0)
        return;
    add(args, "--uid", g_strdup_printf("%" G_GINT64_FORMAT, uid));
    add(args, "--gid", g_strdup_printf("%" G_GINT64_FORMAT, uid));
    if (group != NULL)
        add(args, "--group", g_strdup_printf("%u", group->gr_gid));
}

static char **
build_run_args(KhDirectLauncher *self, const KhLaunch *launch)
{
    g_autoptr(GStrvBuilder) args = g_strv_builder_new();

    g_strv_builder_add_many(args, self->shim, "--run", NULL);
    add(args, "--instance", g_strdup(launch->id));
    add(args, "--state-dir", g_strdup(launch->state_folder));
    add(args, "--runtime-dir", g_strdup(launch->runtime_folder));
    add_uid(args, launch->uid, launch->kvm);
    add(args, "--kernel", g_strdup(launch->kernel));
    add(args, "--initrd", g_strdup(launch->initrd));
    add(args, "--qemu", g_strdup(launch->qemu));
    add(args, "--service-uid", g_strdup_printf("%u", geteuid()));
    add(args, "--log-size", g_strdup_printf("%" G_GUINT64_FORMAT, launch->log_size));
    add(args, "--log-files", g_strdup_printf("%u", launch->log_files));
    add(args, "--stop-timeout", g_strdup_printf("%u", launch->stop_timeout));
    add(args, "--ready-fd", g_strdup_printf("%d", KH_SHIM_FD_READY));
    g_strv_builder_add(args, "--");
    g_strv_builder_addv(args, (const char **)launch->qemu_args);
    return g_strv_builder_end(args);
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
set_ready_error(Waiting *waiting, GError **error)
{
    char *line = waiting->line;

    g_strchomp(line);
    if (waiting->timed_out) {
        g_set_error(error, KH_ERROR, KH_ERROR_TIMED_OUT,
                    "The shim has not started QEMU within %d s", READY_TIMEOUT_MS / 1000);
    } else if (g_str_has_prefix(line, KH_ERROR_PREFIX)) {
        g_autofree char *text = kh_text_sanitize(line + strlen(KH_ERROR_PREFIX), KH_SHIM_LINE_MAX);

        g_set_error(error, KH_ERROR, KH_ERROR_LAUNCH_FAILED, "%s", text);
    } else {
        g_set_error(error, KH_ERROR, KH_ERROR_LAUNCH_FAILED,
                    "The shim ended before it had started QEMU; the journal may say why");
    }
}

static KhVm *
read_ready_line(Waiting *waiting, GError **error)
{
    KhProcess shim = {0}, qemu = {0};

    if (sscanf(waiting->line, KH_READY_PREFIX "%" G_GINT64_FORMAT " %" G_GINT64_FORMAT, &shim.pid,
               &qemu.pid) != 2) {
        set_ready_error(waiting, error);
        return NULL;
    }
    shim.start_time = kh_process_start_time(shim.pid);
    qemu.start_time = kh_process_start_time(qemu.pid);
    return kh_vm_new(&shim, &qemu, error);
}

static void
on_ready(GObject *source, GAsyncResult *result, gpointer data)
{
    g_autoptr(GTask) task = data;
    Waiting *waiting = g_task_get_task_data(task);
    GError *error = NULL;
    KhVm *vm;

    g_input_stream_read_all_finish(G_INPUT_STREAM(source), result, NULL, NULL);
    g_clear_handle_id(&waiting->timer, g_source_remove);
    vm = read_ready_line(waiting, &error);
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

void
kh_direct_launcher_launch_async(KhDirectLauncher *self, const KhLaunch *launch,
                                GAsyncReadyCallback callback, gpointer user_data)
{
    g_autoptr(GTask) task = g_task_new(self, NULL, callback, user_data);
    g_auto(GStrv) args = build_run_args(self, launch);
    Waiting *waiting = g_new0(Waiting, 1);
    GError *error = NULL;
    int fd = spawn_shim(args, &error);

    g_task_set_source_tag(task, kh_direct_launcher_launch_async);
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

KhVm *
kh_direct_launcher_launch_finish(KhDirectLauncher *self, GAsyncResult *result, GError **error)
{
    return g_task_propagate_pointer(G_TASK(result), error);
}

/* The last line of what a tool has said, for an error. */
static char *
last_line(const char *output)
{
    g_autofree char *bounded = g_strndup(output != NULL ? output : "", TOOL_OUTPUT_MAX);
    char *feed;

    g_strstrip(bounded);
    feed = strrchr(bounded, '\n');
    return kh_text_sanitize(feed != NULL ? feed + 1 : bounded, KH_SHIM_LINE_MAX);
}

static void
on_formatted(GObject *source, GAsyncResult *result, gpointer data)
{
    g_autoptr(GTask) task = data;
    GSubprocess *process = G_SUBPROCESS(source);
    g_autofree char *output = NULL, *line = NULL;
    GError *error = NULL;

    if (!g_subprocess_communicate_utf8_finish(process, result, NULL, &output, &error)) {
        g_task_return_error(task, kh_error_import(error, KH_ERROR_LAUNCH_FAILED, "mkfs.ext4"));
        return;
    }
    if (g_subprocess_get_if_exited(process) && g_subprocess_get_exit_status(process) == 0) {
        g_task_return_boolean(task, TRUE);
        return;
    }
    line = last_line(output);
    g_task_return_new_error(task, KH_ERROR,
                            strstr(line, "No space") != NULL ? KH_ERROR_RESOURCE_UNAVAILABLE
                                                             : KH_ERROR_LAUNCH_FAILED,
                            "The data disk got no file system: %s", line);
}

static char **
build_format_args(KhDirectLauncher *self, const char *state_folder, const char *file, gint64 uid)
{
    g_autoptr(GStrvBuilder) args = g_strv_builder_new();

    g_strv_builder_add_many(args, self->shim, "--format", NULL);
    add(args, "--state-dir", g_strdup(state_folder));
    add_uid(args, uid, FALSE);
    g_strv_builder_add_many(args, "--", "mkfs.ext4", "-q", "-F", "-E",
                            "lazy_itable_init=1,lazy_journal_init=1,nodiscard", file, NULL);
    return g_strv_builder_end(args);
}

void
kh_direct_launcher_format_async(KhDirectLauncher *self, const char *state_folder, const char *file,
                                gint64 uid, GAsyncReadyCallback callback, gpointer user_data)
{
    g_autoptr(GTask) task = g_task_new(self, NULL, callback, user_data);
    g_auto(GStrv) args = build_format_args(self, state_folder, file, uid);
    g_autoptr(GSubprocess) process = NULL;
    GError *error = NULL;

    g_task_set_source_tag(task, kh_direct_launcher_format_async);
    process = g_subprocess_newv((const char *const *)args, G_SUBPROCESS_FLAGS_STDERR_PIPE, &error);
    if (process == NULL) {
        g_task_return_error(task, kh_error_import(error, KH_ERROR_LAUNCH_FAILED, self->shim));
        return;
    }
    g_subprocess_communicate_utf8_async(process, NULL, NULL, on_formatted, g_object_ref(task));
}

gboolean
kh_direct_launcher_format_finish(KhDirectLauncher *self, GAsyncResult *result, GError **error)
{
    return g_task_propagate_boolean(G_TASK(result), error);
}

gboolean
kh_direct_launcher_probe_kvm(KhDirectLauncher *self, gint64 uid)
{
    g_autoptr(GStrvBuilder) builder = g_strv_builder_new();
    g_auto(GStrv) args = NULL;
    int status = -1;

    g_strv_builder_add_many(builder, self->shim, "--probe-kvm", NULL);
    add_uid(builder, uid, TRUE);
    args = g_strv_builder_end(builder);
    return g_spawn_sync(NULL, args, NULL, G_SPAWN_STDOUT_TO_DEV_NULL | G_SPAWN_STDERR_TO_DEV_NULL,
                        NULL, NULL, NULL, NULL, &status, NULL) &&
           g_spawn_check_wait_status(status, NULL);
}
