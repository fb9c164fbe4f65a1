/* SPDX-License-Identifier: MIT */
/* Calls that wait; see waiters.h. */
#include "waiters.h"

#include "error.h"

struct _KhWaiters {
    GPtrArray *waiting; /* of Waiter */
};

typedef struct {
    KhWaiters *list;
    GTask *task;
    guint timer;
    char *late;
} Waiter;

static void
waiter_free(gpointer data)
{
    Waiter *waiter = data;

    g_clear_handle_id(&waiter->timer, g_source_remove);
    g_object_unref(waiter->task);
    g_free(waiter->late);
    g_free(waiter);
}

KhWaiters *
kh_waiters_new(void)
{
    KhWaiters *waiters = g_new0(KhWaiters, 1);

    waiters->waiting = g_ptr_array_new_with_free_func(waiter_free);
    return waiters;
}

void
kh_waiters_free(KhWaiters *waiters)
{
    g_autoptr(GError) error =
        g_error_new(KH_ERROR, KH_ERROR_CANCELLED, "The service is shutting down");

    kh_waiters_finish(waiters, error);
    g_ptr_array_unref(waiters->waiting);
    g_free(waiters);
}

/* Off the list first: the callback may finish those that are on it. */
static gboolean
on_deadline(gpointer data)
{
    Waiter *waiter = data;
    GPtrArray *waiting = waiter->list->waiting;
    guint place;

    waiter->timer = 0;
    if (g_ptr_array_find(waiting, waiter, &place))
        g_ptr_array_steal_index_fast(waiting, place);
    g_task_return_new_error(waiter->task, KH_ERROR, KH_ERROR_TIMED_OUT, "%s", waiter->late);
    waiter_free(waiter);
    return G_SOURCE_REMOVE;
}

void
kh_waiters_add(KhWaiters *waiters, GTask *task, gint64 timeout_usec, const char *late)
{
    Waiter *waiter = g_new0(Waiter, 1);

    waiter->list = waiters;
    waiter->task = task;
    waiter->late = g_strdup(late);
    if (timeout_usec > 0)
        waiter->timer = g_timeout_add((guint)(timeout_usec / 1000), on_deadline, waiter);
    g_ptr_array_add(waiters->waiting, waiter);
}

/* A callback may add to the list: only those that waited before are finished. */
void
kh_waiters_finish(KhWaiters *waiters, const GError *error)
{
    g_autoptr(GPtrArray) finished = g_steal_pointer(&waiters->waiting);

    waiters->waiting = g_ptr_array_new_with_free_func(waiter_free);
    for (guint i = 0; i < finished->len; i++) {
        Waiter *waiter = finished->pdata[i];

        g_clear_handle_id(&waiter->timer, g_source_remove);
        if (error != NULL)
            g_task_return_error(waiter->task, g_error_copy(error));
        else
            g_task_return_boolean(waiter->task, TRUE);
    }
}
