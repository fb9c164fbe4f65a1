/* SPDX-License-Identifier: MIT */
/* What the launchers share, and the calls through their interface; see launcher.h. */
#include "launcher.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "error.h"
#include "names.h"
#include "shim-protocol.h"

#define TOOL_OUTPUT_MAX 4096

G_DEFINE_INTERFACE(KhLauncher, kh_launcher, G_TYPE_OBJECT)

static void
kh_launcher_default_init(KhLauncherInterface *iface)
{
}

const char *
kh_launcher_get_name(KhLauncher *self)
{
    return KH_LAUNCHER_GET_IFACE(self)->name;
}

gboolean
kh_launcher_knows_machines(KhLauncher *self)
{
    return KH_LAUNCHER_GET_IFACE(self)->recover_async != NULL;
}

KhLimitKinds
kh_launcher_get_limits(KhLauncher *self)
{
    return KH_LAUNCHER_GET_IFACE(self)->get_limits(self);
}

/* Whether the process is in a machine's group of this launcher's; so is one that has ended. */
static gboolean
is_in_group(KhLauncher *self, const char *id, guint32 pid)
{
    g_autofree char *groups = kh_process_read(pid, "cgroup", NULL, NULL);
    g_autofree char *leaf =
        g_strdup_printf("/katana-vm-%s%s", id, KH_LAUNCHER_GET_IFACE(self)->group_suffix);
    const char *group = groups == NULL ? NULL : strstr(groups, "0::/");
    g_autofree char *path = group == NULL ? NULL : g_strndup(group, strcspn(group, "\n"));

    return groups == NULL || (path != NULL && g_str_has_suffix(path, leaf));
}

gboolean
kh_launcher_holds(KhLauncher *self, const char *id, guint32 pid, guint cpu_quota)
{
    KhLimitKinds wanted = cpu_quota == 0 ? KH_LIMIT_MEMORY : KH_LIMIT_ALL;

    return (kh_launcher_get_limits(self) & wanted) == wanted &&
           (pid == 0 || is_in_group(self, id, pid));
}

void
kh_launcher_launch_async(KhLauncher *self, const KhLaunchSpec *launch, GAsyncReadyCallback callback,
                         gpointer user_data)
{
    KH_LAUNCHER_GET_IFACE(self)->launch_async(self, launch, callback, user_data);
}

KhVm *
kh_launcher_launch_finish(KhLauncher *self, GAsyncResult *result, GError **error)
{
    return g_task_propagate_pointer(G_TASK(result), error);
}

void
kh_launcher_recover_async(KhLauncher *self, const KhMachineRef *ref, GAsyncReadyCallback callback,
                          gpointer user_data)
{
    KH_LAUNCHER_GET_IFACE(self)->recover_async(self, ref, callback, user_data);
}

KhVm *
kh_launcher_recover_finish(KhLauncher *self, GAsyncResult *result, GError **error)
{
    return g_task_propagate_pointer(G_TASK(result), error);
}

void
kh_launcher_release_async(KhLauncher *self, const KhMachineRef *ref, GAsyncReadyCallback callback,
                          gpointer user_data)
{
    KH_LAUNCHER_GET_IFACE(self)->release_async(self, ref, callback, user_data);
}

gboolean
kh_launcher_release_finish(KhLauncher *self, GAsyncResult *result)
{
    return g_task_propagate_boolean(G_TASK(result), NULL);
}

void
kh_launcher_set_cpu_quota(KhLauncher *self, const char *id, guint percent)
{
    KH_LAUNCHER_GET_IFACE(self)->set_cpu_quota(self, id, percent);
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
add_uid(GStrvBuilder *args, gint64 uid, gint64 kvm_gid)
{
    if (uid < 0)
        return;
    add(args, "--uid", g_strdup_printf("%" G_GINT64_FORMAT, uid));
    add(args, "--gid", g_strdup_printf("%" G_GINT64_FORMAT, uid));
    if (kvm_gid >= 0)
        add(args, "--group", g_strdup_printf("%" G_GINT64_FORMAT, kvm_gid));
}

char **
kh_launcher_build_run_args(const KhLaunchSpec *launch, int ready_fd)
{
    g_autoptr(GStrvBuilder) args = g_strv_builder_new();

    g_strv_builder_add(args, "--run");
    add(args, "--instance", g_strdup(launch->id));
    add(args, "--state-dir", g_strdup(launch->state_folder));
    add(args, "--runtime-dir", g_strdup(launch->runtime_folder));
    add_uid(args, launch->uid, launch->kvm ? launch->kvm_gid : -1);
    add(args, "--kernel", g_strdup(launch->kernel));
    add(args, "--initrd", g_strdup(launch->initrd));
    if (launch->firmware != NULL)
        add(args, "--firmware", g_strdup(launch->firmware));
    add(args, "--qemu", g_strdup(launch->qemu));
    add(args, "--service-uid", g_strdup_printf("%u", geteuid()));
    add(args, "--log-size", g_strdup_printf("%" G_GUINT64_FORMAT, launch->log_size));
    add(args, "--log-files", g_strdup_printf("%u", launch->log_files));
    add(args, "--stop-timeout", g_strdup_printf("%u", launch->stop_timeout));
    if (ready_fd >= 0)
        add(args, "--ready-fd", g_strdup_printf("%d", ready_fd));
    g_strv_builder_add(args, "--");
    g_strv_builder_addv(args, (const char **)launch->qemu_args);
    return g_strv_builder_end(args);
}

/* The shim is known from elsewhere (0: not any more), whatever it says of itself. */
static KhVm *
follow(KhProcess *shim, KhProcess *qemu, gint64 uid, gint64 known, GError **error)
{
    if (known != 0 && known != shim->pid) {
        g_set_error(error, KH_ERROR, KH_ERROR_LAUNCH_FAILED,
                    "The shim is process %" G_GINT64_FORMAT " but says that it is %" G_GINT64_FORMAT
                    "; it is not trusted",
                    known, shim->pid);
        return NULL;
    }
    if (!kh_process_read_start_time(shim, error) || !kh_process_read_start_time(qemu, error))
        return NULL;
    return kh_vm_follow(shim, qemu, uid, error);
}

KhVm *
kh_launcher_read_ready_line(const char *line, gint64 uid, gint64 shim, GError **error)
{
    KhProcess told_shim = {0}, told_qemu = {0};

    if (sscanf(line, KH_READY_PREFIX "%" G_GINT64_FORMAT " %" G_GINT64_FORMAT, &told_shim.pid,
               &told_qemu.pid) == 2)
        return follow(&told_shim, &told_qemu, uid, shim, error);
    if (g_str_has_prefix(line, KH_ERROR_PREFIX)) {
        g_autofree char *said = g_strchomp(g_strdup(line + strlen(KH_ERROR_PREFIX)));
        g_autofree char *text = kh_text_sanitize(said, KH_SHIM_LINE_MAX);

        g_set_error(error, KH_ERROR, KH_ERROR_LAUNCH_FAILED, "%s", text);
    } else {
        g_set_error(error, KH_ERROR, KH_ERROR_LAUNCH_FAILED,
                    "The shim ended before it started QEMU; the journal may say why");
    }
    return NULL;
}

/* The last line of what a tool has said. */
static char *
last_line(const char *output)
{
    g_autofree char *bounded = g_strndup(output != NULL ? output : "", TOOL_OUTPUT_MAX);
    char *feed;

    g_strstrip(bounded);
    feed = strrchr(bounded, '\n');
    return kh_text_sanitize(feed != NULL ? feed + 1 : bounded, KH_SHIM_LINE_MAX);
}

GError *
kh_launcher_tool_error(const char *output)
{
    g_autofree char *line = last_line(output);

    if (line[0] == '\0')
        return g_error_new(KH_ERROR, KH_ERROR_LAUNCH_FAILED,
                           "the shim ended without saying why, as happens when it is killed; the "
                           "kernel's log may say more");
    return g_error_new(KH_ERROR,
                       strstr(line, "No space") != NULL ? KH_ERROR_RESOURCE_UNAVAILABLE
                                                        : KH_ERROR_LAUNCH_FAILED,
                       "%s", line);
}

static void
on_formatted(GObject *source, GAsyncResult *result, gpointer data)
{
    g_autoptr(GTask) task = data;
    GError *error = NULL;

    if (g_task_propagate_boolean(G_TASK(result), &error)) {
        g_task_return_boolean(task, TRUE);
        return;
    }
    g_prefix_error(&error, "The data disk cannot be given its file system: ");
    g_task_return_error(task, error);
}

void
kh_launcher_format_async(KhLauncher *self, const char *state_folder, const char *file, gint64 uid,
                         GAsyncReadyCallback callback, gpointer user_data)
{
    GTask *task = g_task_new(self, NULL, callback, user_data);
    g_autoptr(GStrvBuilder) builder = g_strv_builder_new();
    g_auto(GStrv) args = NULL;

    g_task_set_source_tag(task, kh_launcher_format_async);
    g_strv_builder_add(builder, "--format");
    add(builder, "--state-dir", g_strdup(state_folder));
    add_uid(builder, uid, -1);
    g_strv_builder_add_many(builder, "--", "mkfs.ext4", "-q", "-F", "-E",
                            "lazy_itable_init=1,lazy_journal_init=1,nodiscard", file, NULL);
    args = g_strv_builder_end(builder);
    KH_LAUNCHER_GET_IFACE(self)->run_tool_async(self, (const char *const *)args, on_formatted,
                                                task);
}

gboolean
kh_launcher_format_finish(KhLauncher *self, GAsyncResult *result, GError **error)
{
    return g_task_propagate_boolean(G_TASK(result), error);
}

typedef struct {
    gboolean done, opens;
} Probe;

static void
on_probed(GObject *source, GAsyncResult *result, gpointer data)
{
    Probe *probe = data;

    probe->done = TRUE;
    probe->opens = g_task_propagate_boolean(G_TASK(result), NULL);
}

gboolean
kh_launcher_probe(KhLauncher *self, const char *device, gint64 uid, gint64 kvm_gid)
{
    g_autofree char *mode = g_strconcat("--probe-", device, NULL);
    g_autoptr(GStrvBuilder) builder = g_strv_builder_new();
    g_auto(GStrv) args = NULL;
    Probe probe = {FALSE, FALSE};

    g_strv_builder_add(builder, mode);
    add_uid(builder, uid, kvm_gid);
    args = g_strv_builder_end(builder);
    KH_LAUNCHER_GET_IFACE(self)->run_tool_async(self, (const char *const *)args, on_probed, &probe);
    /* Not in a context of its own: a connection that is made here is for later, too. */
    while (!probe.done)
        g_main_context_iteration(NULL, TRUE);
    return probe.opens;
}
