/* SPDX-License-Identifier: MIT */
/* One start of a machine; see start-up.h. */
#include "start-up.h"

#include "crash-point.h"
#include "error.h"
#include "qemu/command-line.h"

#define MIB (G_GUINT64_CONSTANT(1) << 20)
#define OVERHEAD_MIB 256

typedef struct {
    const KhMachines *machines;
    KhRecord *record;
    KhStartUp how;
    KhConfig *config; /* what it is started with, whatever @record gets meanwhile */
} StartUp;

static void
start_up_free(gpointer data)
{
    StartUp *start_up = data;

    kh_record_unref(start_up->record);
    g_clear_object(&start_up->how.cancellable);
    kh_config_unref(start_up->config);
    g_free(start_up);
}

guint64
kh_start_up_memory_max(const KhConfig *config, const char *accelerator)
{
    guint64 buffer = g_str_equal(accelerator, "tcg") ? KH_TCG_BUFFER_MIB : 0;

    return config->memory_bytes + (OVERHEAD_MIB + buffer) * MIB;
}

static KhMachine
machine_of(const KhMachines *machines, const KhRecord *record, const char *accelerator,
           gboolean simulated)
{
    return (KhMachine){.config = record->config,
                       .name = record->name,
                       .accelerator = accelerator,
                       .simulated = simulated,
                       .c_bit = machines->facts->c_bit,
                       .luks_uuid = record->config->sealed ? record->id : NULL};
}

char **
kh_start_up_describe(const KhMachines *machines, const KhRecord *record, const char *accelerator,
                     gboolean simulated)
{
    g_autofree char *image = kh_image_store_folder(machines->images, record->config->image);
    g_autofree char *data = kh_preparation_state_folder(machines, record);
    KhMachine machine = machine_of(machines, record, accelerator, simulated);

    machine.qemu = machines->settings->qemu;
    machine.image_folder = image;
    machine.data_folder = data;
    return kh_command_line_build_portable(&machine);
}

static void
on_launched(GObject *source, GAsyncResult *result, gpointer data)
{
    g_autoptr(GTask) task = data;
    GError *error = NULL;
    KhVm *vm = kh_launcher_launch_finish(KH_LAUNCHER(source), result, &error);

    kh_crash_point("start:launched");
    if (vm != NULL)
        g_task_return_pointer(task, vm, g_object_unref);
    else
        g_task_return_error(task, error);
}

static void
launch(GTask *task)
{
    StartUp *s = g_task_get_task_data(task);
    const KhMachines *machines = s->machines;
    const KhRecord *record = s->record;
    const KhConfig *config = s->config;
    g_autofree char *state = kh_preparation_state_folder(machines, record);
    g_autofree char *runtime =
        g_build_filename(kh_state_dir_get_runtime(machines->state_dir), record->id, NULL);
    g_autofree char *image = kh_image_store_folder(machines->images, config->image);
    g_autofree char *kernel = g_build_filename(image, KH_IMAGE_KERNEL, NULL);
    g_autofree char *initrd = g_build_filename(image, KH_IMAGE_INITRD, NULL);
    g_autofree char *firmware = g_build_filename(image, KH_IMAGE_FIRMWARE, NULL);
    const KhMachine machine = machine_of(machines, record, s->how.accelerator, record->simulated);
    g_auto(GStrv) args = kh_command_line_build(&machine);
    const KhLaunchSpec request = {.id = record->id,
                                  .name = record->name,
                                  .state_folder = state,
                                  .runtime_folder = runtime,
                                  .instances_fd = kh_state_dir_instances_fd(machines->state_dir),
                                  .runtime_fd = kh_state_dir_runtime_fd(machines->state_dir),
                                  .uid = record->vm_uid,
                                  .kvm = g_str_equal(s->how.accelerator, "kvm"),
                                  .kvm_gid = machines->facts->vm_gid,
                                  .kernel = kernel,
                                  .initrd = initrd,
                                  .firmware = config->tee && !record->simulated ? firmware : NULL,
                                  .qemu = machines->settings->qemu,
                                  .qemu_args = args,
                                  .log_size = machines->settings->log_size,
                                  .log_files = machines->settings->log_files,
                                  .stop_timeout = machines->settings->stop_timeout,
                                  .memory_max = kh_start_up_memory_max(config, s->how.accelerator),
                                  .cpu_quota = config->cpu_quota};

    s->how.on_step("starting QEMU", 0.5, s->how.data);
    kh_launcher_launch_async(machines->launcher, &request, on_launched, g_object_ref(task));
}

static void
on_prepared(GObject *source, GAsyncResult *result, gpointer data)
{
    g_autoptr(GTask) task = data;
    GError *error = NULL;

    kh_crash_point("start:prepared");
    if (!kh_preparation_run_finish(result, &error)) {
        /* Of a launch, not found means a machine that has ended; here nothing was launched. */
        if (g_error_matches(error, KH_ERROR, KH_ERROR_NOT_FOUND))
            error->code = KH_ERROR_RESOURCE_UNAVAILABLE;
        g_task_return_error(task, error);
    } else if (!g_task_return_error_if_cancelled(task))
        launch(task);
}

void
kh_start_up_async(const KhMachines *machines, KhRecord *record, const KhStartUp *how,
                  GAsyncReadyCallback callback, gpointer user_data)
{
    GTask *task = g_task_new(NULL, how->cancellable, callback, user_data);
    StartUp *s = g_new0(StartUp, 1);

    s->machines = machines;
    s->record = kh_record_ref(record);
    s->how = *how;
    s->config = kh_config_ref(record->config);
    g_object_ref(s->how.cancellable);
    g_task_set_source_tag(task, kh_start_up_async);
    g_task_set_check_cancellable(task, FALSE);
    g_task_set_task_data(task, s, start_up_free);
    how->on_step("checking boot components and data disk", 0.1, how->data);
    kh_preparation_run_async(machines, record, how->note_disk, how->data, on_prepared, task);
}

KhVm *
kh_start_up_finish(GAsyncResult *result, GError **error)
{
    return g_task_propagate_pointer(G_TASK(result), error);
}
