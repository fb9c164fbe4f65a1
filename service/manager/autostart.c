/* SPDX-License-Identifier: MIT */
/* The starts with the service; see autostart.h. */
#include "autostart.h"

#include "log/instance-log.h"

typedef struct {
    GPtrArray *waiting;   /* of KhInstance, the next one first */
    KhInstance *starting; /* that is under way */
    KhShutdown *shutdown;
} Queue;

static void
queue_free(Queue *queue)
{
    g_ptr_array_unref(queue->waiting);
    g_clear_object(&queue->starting);
    g_free(queue);
}

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Queue, queue_free)

static void start_next(Queue *queue);

static void
warn(Queue *queue, const GError *error)
{
    kh_log_instance(kh_instance_get_record(queue->starting), G_LOG_LEVEL_WARNING,
                    "did not start with the service: %s", error->message);
}

static void
on_started(GObject *source, GAsyncResult *result, gpointer data)
{
    g_autoptr(GError) error = NULL;

    if (!kh_job_wait_finish(KH_JOB(source), result, &error))
        warn(data, error);
    start_next(data);
}

/* FALSE: there is nothing to wait for. */
static gboolean
start(Queue *queue)
{
    const KhRequest request = {.operation = KH_OPERATION_START, .caller = KH_JOB_SERVICE};
    g_autoptr(GError) error = NULL;
    g_autoptr(KhJob) job = kh_instance_request(queue->starting, &request, &error);

    if (error != NULL)
        warn(queue, error);
    if (job == NULL)
        return FALSE;
    kh_instance_wait_async(queue->starting, job, &request, on_started, queue);
    return TRUE;
}

/* Takes @queue. */
static void
start_next(Queue *queue)
{
    g_autoptr(Queue) owned = queue;

    while (queue->waiting->len > 0 && !kh_shutdown_has_begun(queue->shutdown)) {
        g_clear_object(&queue->starting);
        queue->starting = g_object_ref(queue->waiting->pdata[0]);
        g_ptr_array_remove_index(queue->waiting, 0);
        if (start(queue)) {
            g_steal_pointer(&owned);
            return;
        }
    }
}

static gboolean
is_wanted(KhInstance *instance, const KhFacts *facts)
{
    const KhRecord *record = kh_instance_get_record(instance);

    return record->config->start_at_boot && !g_str_equal(record->stopped_in, facts->boot_id);
}

void
kh_autostart_begin(KhManager *manager, const KhFacts *facts, KhShutdown *shutdown)
{
    GPtrArray *instances = kh_manager_list(manager);
    Queue *queue = g_new0(Queue, 1);

    queue->waiting = g_ptr_array_new_with_free_func(g_object_unref);
    queue->shutdown = shutdown;
    for (guint i = 0; i < instances->len; i++) {
        KhInstance *instance = instances->pdata[i];

        if (is_wanted(instance, facts) && !kh_instance_start_if_gone(instance) &&
            kh_state_is_down(kh_instance_get_record(instance)->state))
            g_ptr_array_add(queue->waiting, g_object_ref(instance));
    }
    start_next(queue);
}
