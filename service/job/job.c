/* SPDX-License-Identifier: MIT */
/* Jobs; see job.h. */
#include "job.h"

#include "error.h"

#define KEPT_S 60
/* Ended jobs beyond this number go before their minute is over. */
#define KEPT_MAX 1000

struct _KhJob {
    GObject parent_instance;
    guint number;
    KhInstance *instance;
    KhOperation operation;
    KhJobState state;
    double progress;
    char *step;
    GError *error;
    gboolean cancelling;
    guint expiry;
};

G_DEFINE_FINAL_TYPE(KhJob, kh_job, G_TYPE_OBJECT)

struct _KhJobs {
    GObject parent_instance;
    GPtrArray *jobs;
    guint last_number;
};

G_DEFINE_FINAL_TYPE(KhJobs, kh_jobs, G_TYPE_OBJECT)

enum { JOB_SIGNAL_CHANGED, N_JOB_SIGNALS };
enum { SIGNAL_ADDED, SIGNAL_REMOVED, N_SIGNALS };

static guint job_signals[N_JOB_SIGNALS];
static guint signals[N_SIGNALS];

static void
kh_job_finalize(GObject *object)
{
    KhJob *self = KH_JOB(object);

    g_signal_handlers_disconnect_by_data(self->instance, self);
    g_clear_handle_id(&self->expiry, g_source_remove);
    g_object_unref(self->instance);
    g_clear_error(&self->error);
    g_free(self->step);
    G_OBJECT_CLASS(kh_job_parent_class)->finalize(object);
}

static void
kh_job_class_init(KhJobClass *class)
{
    G_OBJECT_CLASS(class)->finalize = kh_job_finalize;
    job_signals[JOB_SIGNAL_CHANGED] = g_signal_new("changed", KH_TYPE_JOB, G_SIGNAL_RUN_LAST, 0,
                                                   NULL, NULL, NULL, G_TYPE_NONE, 0);
}

static void
kh_job_init(KhJob *self)
{
    self->step = g_strdup("");
}

guint
kh_job_get_number(KhJob *self)
{
    return self->number;
}

KhOperation
kh_job_get_operation(KhJob *self)
{
    return self->operation;
}

KhInstance *
kh_job_get_instance(KhJob *self)
{
    return self->instance;
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

static void
set_step(KhJob *self, const char *step, double progress)
{
    char *copy = g_strdup(step);

    g_free(self->step);
    self->step = copy;
    self->progress = MAX(self->progress, progress);
    g_signal_emit(self, job_signals[JOB_SIGNAL_CHANGED], 0);
}

/* A restart is a stop and a start: its first half ends where a start begins. */
static void
on_step(KhInstance *instance, const char *step, double progress, KhJob *self)
{
    set_step(self, step, progress);
}

void
kh_job_finish(KhJob *self, const GError *error)
{
    g_signal_handlers_disconnect_by_data(self->instance, self);
    self->error = error == NULL ? NULL : g_error_copy(error);
    if (error == NULL)
        self->state = KH_JOB_DONE;
    else if (self->cancelling || g_error_matches(error, KH_ERROR, KH_ERROR_CANCELLED))
        self->state = KH_JOB_CANCELLED;
    else
        self->state = KH_JOB_FAILED;
    set_step(self, "", error == NULL ? 1 : 0);
}

static void
on_cancelled(GObject *source, GAsyncResult *result, gpointer data)
{
    g_autoptr(GTask) task = data;
    GError *error = NULL;

    if (kh_instance_operation_finish(KH_INSTANCE(source), result, &error))
        g_task_return_boolean(task, TRUE);
    else
        g_task_return_error(task, error);
}

static gboolean
check_cancel(KhJob *self, GError **error)
{
    const char *name = kh_operation_name(self->operation);

    if (self->state != KH_JOB_RUNNING) {
        g_set_error(error, KH_ERROR, KH_ERROR_INVALID_STATE, "The %s has ended: it is %s", name,
                    kh_job_state_name(self->state));
        return FALSE;
    }
    if (self->operation == KH_OPERATION_START || self->operation == KH_OPERATION_RESTART ||
        self->operation == KH_OPERATION_RESET)
        return TRUE;
    g_set_error(error, KH_ERROR, KH_ERROR_NOT_SUPPORTED, "A %s that has begun cannot be cancelled",
                name);
    return FALSE;
}

void
kh_job_cancel_async(KhJob *self, GAsyncReadyCallback callback, gpointer user_data)
{
    g_autoptr(GTask) task = g_task_new(self, NULL, callback, user_data);
    const KhStop how = {.kill = FALSE};
    GError *error = NULL;

    g_task_set_source_tag(task, kh_job_cancel_async);
    if (!check_cancel(self, &error)) {
        g_task_return_error(task, error);
        return;
    }
    self->cancelling = TRUE;
    kh_instance_stop_async(self->instance, &how, on_cancelled, g_object_ref(task));
}

gboolean
kh_job_cancel_finish(KhJob *self, GAsyncResult *result, GError **error)
{
    return g_task_propagate_boolean(G_TASK(result), error);
}

static void
kh_jobs_finalize(GObject *object)
{
    KhJobs *self = KH_JOBS(object);

    for (guint i = 0; i < self->jobs->len; i++) {
        KhJob *job = self->jobs->pdata[i];

        g_clear_handle_id(&job->expiry, g_source_remove);
        g_signal_handlers_disconnect_by_data(job, self);
    }
    g_ptr_array_unref(self->jobs);
    G_OBJECT_CLASS(kh_jobs_parent_class)->finalize(object);
}

static void
kh_jobs_class_init(KhJobsClass *class)
{
    G_OBJECT_CLASS(class)->finalize = kh_jobs_finalize;
    signals[SIGNAL_ADDED] = g_signal_new("added", KH_TYPE_JOBS, G_SIGNAL_RUN_LAST, 0, NULL, NULL,
                                         NULL, G_TYPE_NONE, 1, KH_TYPE_JOB);
    signals[SIGNAL_REMOVED] = g_signal_new("removed", KH_TYPE_JOBS, G_SIGNAL_RUN_LAST, 0, NULL,
                                           NULL, NULL, G_TYPE_NONE, 1, KH_TYPE_JOB);
}

static void
kh_jobs_init(KhJobs *self)
{
    self->jobs = g_ptr_array_new_with_free_func(g_object_unref);
}

KhJobs *
kh_jobs_new(void)
{
    return g_object_new(KH_TYPE_JOBS, NULL);
}

GPtrArray *
kh_jobs_list(KhJobs *self)
{
    return self->jobs;
}

KhJob *
kh_jobs_find(KhJobs *self, KhInstance *instance, KhOperation operation)
{
    for (guint i = 0; i < self->jobs->len; i++) {
        KhJob *job = self->jobs->pdata[i];

        if (job->state == KH_JOB_RUNNING && job->instance == instance &&
            job->operation == operation)
            return job;
    }
    return NULL;
}

static void
drop(KhJobs *self, KhJob *job)
{
    g_autoptr(KhJob) held = g_object_ref(job);

    g_clear_handle_id(&job->expiry, g_source_remove);
    g_signal_handlers_disconnect_by_data(job, self);
    g_ptr_array_remove(self->jobs, job);
    g_signal_emit(self, signals[SIGNAL_REMOVED], 0, job);
}

typedef struct {
    KhJobs *jobs; /* ends this with itself */
    KhJob *job;
} Expiry;

static gboolean
on_expired(gpointer data)
{
    const Expiry *expiry = data;

    expiry->job->expiry = 0;
    drop(expiry->jobs, expiry->job);
    return G_SOURCE_REMOVE;
}

/* Ended ones stand in the order of their ends: who has waited long for one still sees it. */
static void
move_to_end(KhJobs *self, KhJob *job)
{
    guint place;

    if (g_ptr_array_find(self->jobs, job, &place))
        g_ptr_array_add(self->jobs, g_ptr_array_steal_index(self->jobs, place));
}

/* Ended jobs are bounded; those that run are bounded by the calls that a client may make. */
static void
drop_excess(KhJobs *self)
{
    guint ended = 0;

    for (guint i = self->jobs->len; i-- > 0;) {
        KhJob *job = self->jobs->pdata[i];

        if (job->state != KH_JOB_RUNNING && ++ended > KEPT_MAX)
            drop(self, job);
    }
}

static void
on_job_changed(KhJob *job, KhJobs *self)
{
    Expiry *expiry;

    if (job->state == KH_JOB_RUNNING || job->expiry != 0)
        return;
    expiry = g_new0(Expiry, 1);
    expiry->jobs = self;
    expiry->job = job;
    job->expiry =
        g_timeout_add_seconds_full(G_PRIORITY_DEFAULT, KEPT_S, on_expired, expiry, g_free);
    move_to_end(self, job);
    drop_excess(self);
}

KhJob *
kh_jobs_begin(KhJobs *self, KhInstance *instance, KhOperation operation)
{
    KhJob *job = g_object_new(KH_TYPE_JOB, NULL);

    job->number = ++self->last_number;
    job->instance = g_object_ref(instance);
    job->operation = operation;
    g_signal_connect(instance, "step", G_CALLBACK(on_step), job);
    g_signal_connect(job, "changed", G_CALLBACK(on_job_changed), self);
    g_ptr_array_add(self->jobs, job);
    g_signal_emit(self, signals[SIGNAL_ADDED], 0, job);
    return job;
}
