/* SPDX-License-Identifier: MIT */
/* The starts with the service; see autostart.h. */
#include "autostart.h"

#include "log/instance-log.h"

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
kh_autostart_begin(KhManager *manager, const KhHost *host)
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
