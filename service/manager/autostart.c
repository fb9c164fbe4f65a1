/* SPDX-License-Identifier: MIT */
/* All instances at once; see fleet.h. */
#include "autostart.h"

#include "log/instance-log.h"

/* Of the last tries to save what could not be saved before. */
#define SAVE_S 5
#define SAVE_INTERVAL_USEC (200 * 1000)

typedef struct {
    GPtrArray *waiting; /* of KhInstance, the next one first */
    const KhHost *host;
} Queue;

static void start_next(Queue *queue);

static void
on_started(GObject *source, GAsyncResult *result, gpointer data)
{
    KhInstance *instance = KH_INSTANCE(source);
    g_autoptr(GError) error = NULL;

    if (!kh_instance_operation_finish(instance, result, &error))
        kh_log_instance(kh_instance_get_record(instance), G_LOG_LEVEL_WARNING,
                        "did not start with the service: %s", error->message);
    start_next(data);
}

/* Takes @queue. */
static void
start_next(Queue *queue)
{
    g_autoptr(KhInstance) next = NULL;

    if (queue->waiting->len == 0 || queue->host->ending) {
        g_ptr_array_unref(queue->waiting);
        g_free(queue);
        return;
    }
    next = g_object_ref(queue->waiting->pdata[0]);
    g_ptr_array_remove_index(queue->waiting, 0);
    kh_instance_start_async(next, (gint64)queue->host->start_timeout * G_USEC_PER_SEC, on_started,
                            queue);
}

static gboolean
is_wanted(KhInstance *instance, const KhHost *host)
{
    const KhRecord *record = kh_instance_get_record(instance);

    return record->config->start_at_boot && !g_str_equal(record->stopped_in, host->boot_id);
}

static gboolean
is_down(KhInstance *instance)
{
    KhState state = kh_instance_get_record(instance)->state;

    return state == KH_STATE_CREATED || state == KH_STATE_STOPPED || state == KH_STATE_FAILED;
}

void
kh_fleet_start(KhManager *manager, const KhHost *host)
{
    GPtrArray *instances = kh_manager_list(manager);
    Queue *queue = g_new0(Queue, 1);

    queue->waiting = g_ptr_array_new_with_free_func(g_object_unref);
    queue->host = host;
    for (guint i = 0; i < instances->len; i++) {
        KhInstance *instance = instances->pdata[i];

        if (is_wanted(instance, host) && !kh_instance_start_if_gone(instance) && is_down(instance))
            g_ptr_array_add(queue->waiting, g_object_ref(instance));
    }
    start_next(queue);
}

static void
leave(GTask *task)
{
    guint *left = g_task_get_task_data(task);

    if (--*left == 0)
        g_task_return_boolean(task, TRUE);
}

static void
on_stopped(GObject *source, GAsyncResult *result, gpointer data)
{
    g_autoptr(GTask) task = data;
    KhInstance *instance = KH_INSTANCE(source);
    g_autoptr(GError) error = NULL;

    if (!kh_instance_operation_finish(instance, result, &error))
        kh_log_instance(kh_instance_get_record(instance), G_LOG_LEVEL_WARNING,
                        "was not stopped with the service: %s", error->message);
    leave(task);
}

void
kh_fleet_stop_async(KhManager *manager, GAsyncReadyCallback callback, gpointer user_data)
{
    g_autoptr(GTask) task = g_task_new(manager, NULL, callback, user_data);
    GPtrArray *instances = kh_manager_list(manager);
    const KhStop how = {.by_service = TRUE};
    guint *left = g_new0(guint, 1);

    g_task_set_source_tag(task, kh_fleet_stop_async);
    g_task_set_task_data(task, left, g_free);
    *left = instances->len + 1;
    for (guint i = 0; i < instances->len; i++)
        kh_instance_stop_async(instances->pdata[i], &how, on_stopped, g_object_ref(task));
    leave(task);
}

void
kh_fleet_stop_finish(KhManager *manager, GAsyncResult *result)
{
    g_task_propagate_boolean(G_TASK(result), NULL);
}

/* The first that cannot be written; NULL: all are. */
static KhInstance *
find_unsaved(KhManager *manager)
{
    GPtrArray *instances = kh_manager_list(manager);

    for (guint i = instances->len; i > 0; i--)
        if (!kh_instance_is_saved(instances->pdata[i - 1]))
            return instances->pdata[i - 1];
    return NULL;
}

void
kh_fleet_save(KhManager *manager)
{
    gint64 deadline = g_get_monotonic_time() + SAVE_S * G_USEC_PER_SEC;
    KhInstance *unsaved;

    while ((unsaved = find_unsaved(manager)) != NULL && g_get_monotonic_time() < deadline)
        g_usleep(SAVE_INTERVAL_USEC);
    if (unsaved != NULL)
        kh_log_instance(kh_instance_get_record(unsaved), G_LOG_LEVEL_WARNING,
                        "Its state, and perhaps that of others, was not saved before the service "
                        "ended; the next service goes by what it finds");
}
