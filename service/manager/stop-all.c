/* SPDX-License-Identifier: MIT */
/* The end of the service; see stop-all.h. */
#include "stop-all.h"

#include "log/instance-log.h"

/* Of the last tries to save what could not be saved before. */
#define SAVE_S 5
#define SAVE_INTERVAL_USEC (200 * 1000)

/* One instance that is to stop, of all of them. */
typedef struct {
    GTask *all; /* whose data is the number of those that have not */
    KhInstance *instance;
} Stop;

static void
leave(GTask *all)
{
    guint *left = g_task_get_task_data(all);

    if (--*left == 0)
        g_task_return_boolean(all, TRUE);
}

/* Takes @stop and @failure. */
static void
conclude(Stop *stop, GError *failure)
{
    g_autoptr(GError) error = failure;

    if (error != NULL)
        kh_log_instance(kh_instance_get_record(stop->instance), G_LOG_LEVEL_WARNING,
                        "was not stopped with the service: %s", error->message);
    leave(stop->all);
    g_object_unref(stop->instance);
    g_object_unref(stop->all);
    g_free(stop);
}

static void
on_stopped(GObject *source, GAsyncResult *result, gpointer data)
{
    GError *error = NULL;

    kh_job_wait_finish(KH_JOB(source), result, &error);
    conclude(data, error);
}

static void
stop_one(GTask *all, KhInstance *instance)
{
    const KhRequest request = {.operation = KH_OPERATION_STOP, .caller = KH_JOB_SERVICE};
    GError *error = NULL;
    g_autoptr(KhJob) job = kh_instance_request(instance, &request, &error);
    Stop *stop = g_new0(Stop, 1);

    stop->all = g_object_ref(all);
    stop->instance = g_object_ref(instance);
    if (job == NULL)
        conclude(stop, error);
    else
        kh_instance_wait_async(instance, job, &request, on_stopped, stop);
}

void
kh_stop_all_async(KhManager *manager, GAsyncReadyCallback callback, gpointer user_data)
{
    g_autoptr(GTask) task = g_task_new(manager, NULL, callback, user_data);
    GPtrArray *instances = kh_manager_list(manager);
    guint *left = g_new0(guint, 1);

    g_task_set_source_tag(task, kh_stop_all_async);
    g_task_set_task_data(task, left, g_free);
    *left = instances->len + 1;
    for (guint i = 0; i < instances->len; i++)
        stop_one(task, instances->pdata[i]);
    leave(task);
}

void
kh_stop_all_finish(KhManager *manager, GAsyncResult *result)
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
kh_stop_all_save(KhManager *manager)
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
