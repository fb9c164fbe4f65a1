/* SPDX-License-Identifier: MIT */
/* A job; see job.h. */
#include "job.h"

#include "error.h"

struct _KhJob {
    GObject parent_instance;
    guint number;
    KhJobPlan plan; /* with texts of our own */
    KhJobState state;
    double progress;
    char *step;
    GError *error;
    GVariant *result;
    GCancellable *cancellable;
    GPtrArray *waits; /* of Wait */
};

G_DEFINE_FINAL_TYPE(KhJob, kh_job, G_TYPE_OBJECT)

enum { SIGNAL_CHANGED, SIGNAL_CANCEL, N_SIGNALS };

static guint signals[N_SIGNALS];

/* A caller that waits. */
typedef struct {
    GTask *task; /* holds the job */
    guint timer;
    char *late;
} Wait;

static void
wait_free(gpointer data)
{
    Wait *wait = data;

    g_clear_handle_id(&wait->timer, g_source_remove);
    g_object_unref(wait->task);
    g_free(wait->late);
    g_free(wait);
}

static void
kh_job_finalize(GObject *object)
{
    KhJob *self = KH_JOB(object);

    g_ptr_array_unref(self->waits);
    g_free((char *)self->plan.subject);
    g_free((char *)self->plan.instance);
    g_object_unref(self->cancellable);
    g_variant_unref(self->result);
    g_clear_error(&self->error);
    g_free(self->step);
    G_OBJECT_CLASS(kh_job_parent_class)->finalize(object);
}

static void
kh_job_class_init(KhJobClass *class)
{
    G_OBJECT_CLASS(class)->finalize = kh_job_finalize;
    signals[SIGNAL_CHANGED] = g_signal_new("changed", KH_TYPE_JOB, G_SIGNAL_RUN_LAST, 0, NULL, NULL,
                                           NULL, G_TYPE_NONE, 0);
    signals[SIGNAL_CANCEL] = g_signal_new("cancel", KH_TYPE_JOB, G_SIGNAL_RUN_LAST, 0, NULL, NULL,
                                          NULL, G_TYPE_NONE, 1, G_TYPE_INT64);
}

static void
kh_job_init(KhJob *self)
{
    self->step = g_strdup("");
    self->result = g_variant_ref_sink(g_variant_new("a{sv}", NULL));
    self->cancellable = g_cancellable_new();
    self->waits = g_ptr_array_new_with_free_func(wait_free);
}

KhJob *
kh_job_new(guint number, const KhJobPlan *plan)
{
    KhJob *self = g_object_new(KH_TYPE_JOB, NULL);

    self->number = number;
    self->plan = *plan;
    self->plan.subject = g_strdup(plan->subject);
    self->plan.instance = g_strdup(plan->instance);
    return self;
}

guint
kh_job_get_number(KhJob *self)
{
    return self->number;
}

const KhJobPlan *
kh_job_get_plan(KhJob *self)
{
    return &self->plan;
}

KhJobState
kh_job_get_state(KhJob *self)
{
    return self->state;
}

double
kh_job_get_progress(KhJob *self)
{
    return self->progress;
}

const char *
kh_job_get_step(KhJob *self)
{
    return self->step;
}

const GError *
kh_job_get_error(KhJob *self)
{
    return self->error;
}

GVariant *
kh_job_get_result(KhJob *self)
{
    return self->result;
}

GCancellable *
kh_job_get_cancellable(KhJob *self)
{
    return self->cancellable;
}

const char *
kh_job_state_name(KhJobState state)
{
    static const char *const names[] = {
        [KH_JOB_RUNNING] = "running",
        [KH_JOB_DONE] = "done",
        [KH_JOB_FAILED] = "failed",
        [KH_JOB_CANCELLED] = "cancelled",
    };

    return names[state];
}

void
kh_job_report(KhJob *self, const char *step, double progress)
{
    char *copy = g_strdup(step);

    g_free(self->step);
    self->step = copy;
    self->progress = MAX(self->progress, progress);
    g_signal_emit(self, signals[SIGNAL_CHANGED], 0);
}

/* A callback may wait again: only those that waited before are answered. */
void
kh_job_answer(KhJob *self, const GError *error)
{
    g_autoptr(GPtrArray) answered = g_steal_pointer(&self->waits);

    self->waits = g_ptr_array_new_with_free_func(wait_free);
    for (guint i = 0; i < answered->len; i++) {
        Wait *wait = answered->pdata[i];

        g_clear_handle_id(&wait->timer, g_source_remove);
        if (error != NULL)
            g_task_return_error(wait->task, g_error_copy(error));
        else
            g_task_return_boolean(wait->task, TRUE);
    }
}

static void
conclude(KhJob *self, KhJobState state, const GError *error)
{
    g_autoptr(KhJob) held = g_object_ref(self);

    g_return_if_fail(self->state == KH_JOB_RUNNING);
    self->state = state;
    kh_job_report(self, "", state == KH_JOB_DONE ? 1 : 0);
    kh_job_answer(self, error);
}

void
kh_job_end(KhJob *self, GVariant *result)
{
    if (result != NULL) {
        g_variant_unref(self->result);
        self->result = g_variant_ref_sink(result);
    }
    conclude(self, KH_JOB_DONE, NULL);
}

void
kh_job_fail(KhJob *self, const GError *error)
{
    gboolean cancelled = g_error_matches(error, KH_ERROR, KH_ERROR_CANCELLED) ||
                         g_cancellable_is_cancelled(self->cancellable);

    g_return_if_fail(self->error == NULL);
    self->error = g_error_copy(error);
    conclude(self, cancelled ? KH_JOB_CANCELLED : KH_JOB_FAILED, self->error);
}

/* Off the list first: the callback may end the job. */
static gboolean
on_deadline(gpointer data)
{
    Wait *wait = data;
    g_autoptr(KhJob) self = g_object_ref(g_task_get_source_object(wait->task));
    guint place;

    wait->timer = 0;
    if (g_ptr_array_find(self->waits, wait, &place))
        g_ptr_array_steal_index_fast(self->waits, place);
    g_task_return_new_error(wait->task, KH_ERROR, KH_ERROR_TIMED_OUT, "%s", wait->late);
    wait_free(wait);
    return G_SOURCE_REMOVE;
}

void
kh_job_wait_async(KhJob *self, gint64 timeout_usec, const char *late, GAsyncReadyCallback callback,
                  gpointer user_data)
{
    g_autoptr(GTask) task = g_task_new(self, NULL, callback, user_data);
    Wait *wait;

    g_task_set_source_tag(task, kh_job_wait_async);
    if (self->state != KH_JOB_RUNNING) {
        if (self->error != NULL)
            g_task_return_error(task, g_error_copy(self->error));
        else
            g_task_return_boolean(task, TRUE);
        return;
    }
    wait = g_new0(Wait, 1);
    wait->task = g_steal_pointer(&task);
    wait->late = g_strdup(late);
    if (timeout_usec > 0)
        wait->timer = g_timeout_add((guint)(timeout_usec / 1000), on_deadline, wait);
    g_ptr_array_add(self->waits, wait);
}

gboolean
kh_job_wait_finish(KhJob *self, GAsyncResult *result, GError **error)
{
    return g_task_propagate_boolean(G_TASK(result), error);
}

gboolean
kh_job_cancel(KhJob *self, gint64 uid, GError **error)
{
    if (self->state != KH_JOB_RUNNING)
        return kh_error_set(error, KH_ERROR_INVALID_STATE, "The %s has ended: it is %s",
                            self->plan.operation, kh_job_state_name(self->state));
    if (!self->plan.can_be_cancelled)
        return kh_error_set(error, KH_ERROR_NOT_SUPPORTED,
                            "A %s that has begun cannot be cancelled", self->plan.operation);
    g_cancellable_cancel(self->cancellable);
    g_signal_emit(self, signals[SIGNAL_CANCEL], 0, uid);
    return TRUE;
}
