/* SPDX-License-Identifier: MIT */
/* The measurement that is expected; see expected-measurement.h. */
#include "expected-measurement.h"

#include "error.h"
#include "qemu/command-line.h"
#include "tee/bytes.h"
#include "tee/cpu-types.h"
#include "tee/kernel-cmdline.h"
#include "tee/measurement.h"

#define QEMU_TIMEOUT_S 20
#define QEMU_ANSWER_MAX (256 * 1024)

/* What the thread works with. */
typedef struct {
    char *qemu, *firmware, *kernel, *initrd, *cmdline;
    char *sums[3]; /* of these three parts, as the image has them */
    char *vcpu_type;
    guint vcpus;
    GCancellable *late;
    guint timer;
} Work;

static void
work_free(gpointer data)
{
    Work *work = data;

    g_clear_handle_id(&work->timer, g_source_remove);
    g_object_unref(work->late);
    g_free(work->qemu);
    g_free(work->firmware);
    g_free(work->kernel);
    g_free(work->initrd);
    g_free(work->cmdline);
    for (gsize i = 0; i < G_N_ELEMENTS(work->sums); i++)
        g_free(work->sums[i]);
    g_free(work->vcpu_type);
    g_free(work);
}

/* All that @qemu prints, until it ends; NULL and an error. */
static char *
read_answer(GSubprocess *qemu, GCancellable *late, GError **error)
{
    g_autofree char *answer = g_malloc0(QEMU_ANSWER_MAX + 1);
    gsize length = 0;

    if (!g_input_stream_read_all(g_subprocess_get_stdout_pipe(qemu), answer, QEMU_ANSWER_MAX,
                                 &length, late, error))
        return NULL;
    if (length == QEMU_ANSWER_MAX) {
        g_set_error(error, KH_ERROR, KH_ERROR_LIMIT_EXCEEDED, "it prints more than %d bytes",
                    QEMU_ANSWER_MAX);
        return NULL;
    }
    return g_subprocess_wait_check(qemu, late, error) ? g_steal_pointer(&answer) : NULL;
}

/* What "-cpu help" prints: a line per model, whose first word is its name. */
static char *
ask_qemu(const Work *work, GError **error)
{
    const char *const command[] = {work->qemu, "-cpu", "help", NULL};
    g_autoptr(GError) failure = NULL;
    g_autoptr(GSubprocess) qemu = g_subprocess_newv(
        command, G_SUBPROCESS_FLAGS_STDOUT_PIPE | G_SUBPROCESS_FLAGS_STDERR_SILENCE, &failure);
    char *answer = qemu == NULL ? NULL : read_answer(qemu, work->late, &failure);

    if (answer != NULL)
        return answer;
    if (qemu != NULL)
        g_subprocess_force_exit(qemu);
    g_set_error(error, KH_ERROR, KH_ERROR_LAUNCH_FAILED,
                "%s cannot be asked which processors it knows: %s", work->qemu, failure->message);
    return NULL;
}

/* As QEMU spells it: it takes no other case. */
static gboolean
check_processor(const Work *work, GError **error)
{
    g_autofree char *answer = ask_qemu(work, error);
    g_auto(GStrv) lines = answer == NULL ? NULL : g_strsplit(answer, "\n", -1);

    for (guint i = 0; lines != NULL && lines[i] != NULL; i++) {
        g_auto(GStrv) words = g_strsplit(g_strstrip(lines[i]), " ", 2);

        if (words[0] != NULL && g_str_equal(words[0], work->vcpu_type))
            return TRUE;
    }
    if (answer != NULL)
        g_set_error(error, KH_ERROR, KH_ERROR_INVALID_ARGUMENT,
                    "vcpu-type is %s, which %s does not know; give one that \"-cpu help\" lists, "
                    "such as " KH_CONFIG_VCPU_TYPE_DEFAULT ", or install a newer QEMU",
                    work->vcpu_type, work->qemu);
    return FALSE;
}

/* start would refuse another part, and nothing is to be expected of it. */
static gboolean
check_part(const char *path, const guint8 *sha256, const char *wanted, GError **error)
{
    g_autofree char *found = kh_bytes_to_hex(sha256, KH_SHA256_SIZE);

    if (g_strcmp0(found, wanted) == 0)
        return TRUE;
    return kh_error_set(
        error, KH_ERROR_INTEGRITY_MISMATCH,
        "%s has the SHA-256 %s, but its image was imported with %s; image=default changes "
        "to today's boot components",
        path, found, wanted == NULL ? "no such part" : wanted);
}

static KhBootParts *
load_parts(const Work *work, GError **error)
{
    g_autoptr(KhBootParts) parts =
        kh_boot_parts_load(work->firmware, work->kernel, work->initrd, error);

    if (parts == NULL ||
        !check_part(work->firmware, parts->firmware->sha256, work->sums[0], error) ||
        !check_part(work->kernel, parts->kernel.sha256, work->sums[1], error) ||
        !check_part(work->initrd, parts->initrd.sha256, work->sums[2], error))
        return NULL;
    return g_steal_pointer(&parts);
}

static char *
measure(const Work *work, GError **error)
{
    const KhCpuType *type = kh_cpu_type_parse(work->vcpu_type, error);
    g_autoptr(KhBootParts) parts = type == NULL ? NULL : load_parts(work, error);
    guint8 digest[KH_LAUNCH_DIGEST_SIZE];
    KhLaunch launch = {.parts = parts, .cmdline = work->cmdline};

    if (parts == NULL)
        return NULL;
    launch.shape = (KhLaunchShape){.vcpus = work->vcpus,
                                   .vcpu_signature = type->signature,
                                   .guest_features = KH_GUEST_FEATURES,
                                   .vmm = KH_VMM_QEMU};
    if (!kh_launch_measure(&launch, digest, error))
        return NULL;
    return kh_bytes_to_hex(digest, sizeof digest);
}

static void
measure_in_thread(GTask *task, gpointer source, gpointer data, GCancellable *cancellable)
{
    GError *error = NULL;
    char *hex = check_processor(data, &error) ? measure(data, &error) : NULL;

    if (hex != NULL)
        g_task_return_pointer(task, hex, g_free);
    else
        g_task_return_error(task, error);
}

static gboolean
on_late(gpointer data)
{
    Work *work = data;

    work->timer = 0;
    g_cancellable_cancel(work->late);
    return G_SOURCE_REMOVE;
}

static char *
sum_of(const KhImage *image, const char *name)
{
    const KhImagePart *part = kh_image_part(image, name);

    return part == NULL ? NULL : g_strdup(part->sha256);
}

static Work *
work_new(const KhMeasuredLaunch *launch)
{
    const KhConfig *config = launch->config;
    Work *work = g_new0(Work, 1);

    work->qemu = g_strdup(launch->qemu);
    work->firmware = g_build_filename(launch->image_folder, KH_IMAGE_FIRMWARE, NULL);
    work->kernel = g_build_filename(launch->image_folder, KH_IMAGE_KERNEL, NULL);
    work->initrd = g_build_filename(launch->image_folder, KH_IMAGE_INITRD, NULL);
    work->cmdline = kh_kernel_cmdline(config->sealed ? launch->id : NULL);
    work->sums[0] = sum_of(launch->image, KH_IMAGE_FIRMWARE);
    work->sums[1] = sum_of(launch->image, KH_IMAGE_KERNEL);
    work->sums[2] = sum_of(launch->image, KH_IMAGE_INITRD);
    work->vcpu_type = g_strdup(config->vcpu_type);
    work->vcpus = config->vcpus;
    work->late = g_cancellable_new();
    return work;
}

void
kh_expected_measurement_async(const KhMeasuredLaunch *launch, GAsyncReadyCallback callback,
                              gpointer user_data)
{
    g_autoptr(GTask) task = g_task_new(NULL, NULL, callback, user_data);
    Work *work = work_new(launch);

    g_task_set_source_tag(task, kh_expected_measurement_async);
    g_task_set_task_data(task, work, work_free);
    work->timer = g_timeout_add_seconds(QEMU_TIMEOUT_S, on_late, work);
    g_task_run_in_thread(task, measure_in_thread);
}

char *
kh_expected_measurement_finish(GAsyncResult *result, GError **error)
{
    Work *work = g_task_get_task_data(G_TASK(result));

    g_clear_handle_id(&work->timer, g_source_remove);
    return g_task_propagate_pointer(G_TASK(result), error);
}

gboolean
kh_config_measures_differently(const KhConfig *a, const KhConfig *b)
{
    if (!a->tee && !b->tee)
        return FALSE;
    return a->tee != b->tee || a->vcpus != b->vcpus || a->sealed != b->sealed ||
           !g_str_equal(a->vcpu_type, b->vcpu_type) || !g_str_equal(a->image, b->image);
}
