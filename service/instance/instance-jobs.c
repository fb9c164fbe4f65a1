/* SPDX-License-Identifier: MIT */
/*
 * The lifecycle jobs of an instance: one under way, and one that waits for its end. A job that
 * another takes the place of is cancelled: a start ends with its machine, a pause or a resume at
 * once. A stop that a deletion comes upon goes on, and the deletion is next. Whoever brings an
 * operation to its end takes the job, changes the state, and then ends it: so who waits is answered
 * after the bus has been told.
 */
#include "instance-private.h"

#include "error.h"

gboolean
kh_lifecycle_stops(const KhLifecycle *job)
{
    return job->job != NULL &&
           (job->operation == KH_OPERATION_STOP || job->operation == KH_OPERATION_KILL);
}

gboolean
kh_lifecycle_starts(const KhLifecycle *job)
{
    return job->job != NULL && kh_operation_starts(job->operation);
}

/* Who cancels a start has its machine stopped; a next one has not touched any. */
static void
on_cancel(KhJob *job, gint64 uid, KhInstance *self)
{
    const KhRequest request = {.operation = KH_OPERATION_STOP, .caller = uid};
    g_autoptr(KhJob) stop = NULL;

    if (job == self->next.job)
        kh_instance_drop_next_job(self, "was stopped before it ran");
    else
        stop = kh_instance_request(self, &request, NULL);
}

static KhLifecycle
make(KhInstance *self, KhOperation operation, gint64 owner)
{
    g_autofree char *path = kh_path_of_instance(self->record->id);
    const KhJobPlan plan = {.operation = kh_operation_name(operation),
                            .action = kh_operation_action(operation),
                            .subject = path,
                            .instance = self->record->id,
                            .owner = owner,
                            .can_be_cancelled = kh_operation_starts(operation)};
    KhLifecycle job = {.job = kh_jobs_begin(self->jobs, &plan), .operation = operation};

    g_signal_connect(job.job, "cancel", G_CALLBACK(on_cancel), self);
    return job;
}

/* Whom the journal names with what it says of the instance: who has asked last. */
static void
note_owner(KhInstance *self)
{
    KhJob *job = self->next.job != NULL ? self->next.job : self->current.job;

    self->record->caller_uid = job == NULL ? KH_JOB_SERVICE : kh_job_get_plan(job)->owner;
}

KhLifecycle
kh_instance_begin_job(KhInstance *self, KhOperation operation, gint64 owner)
{
    const KhLifecycle before = self->current;

    self->current = make(self, operation, owner);
    note_owner(self);
    kh_instance_touch(self, KH_ASPECT_STATE);
    return before;
}

void
kh_instance_begin_next_job(KhInstance *self, KhOperation operation, gint64 owner)
{
    g_return_if_fail(self->next.job == NULL);
    self->next = make(self, operation, owner);
    note_owner(self);
    kh_instance_touch(self, KH_ASPECT_STATE);
}

void
kh_instance_drop_next_job(KhInstance *self, const char *why)
{
    KhLifecycle next = self->next;

    self->next = (KhLifecycle){0};
    kh_instance_touch(self, KH_ASPECT_STATE);
    kh_instance_cancel_job(self, &next, why);
}

KhLifecycle
kh_instance_take_job(KhInstance *self)
{
    const KhLifecycle taken = self->current;

    self->current = self->next;
    self->next = (KhLifecycle){0};
    kh_instance_touch(self, KH_ASPECT_STATE);
    return taken;
}

static GVariant *
build_result(KhInstance *self, const KhLifecycle *job)
{
    g_auto(GVariantDict) result = G_VARIANT_DICT_INIT(NULL);

    g_variant_dict_insert(&result, "state", "s", kh_state_name(self->record->state));
    if (kh_lifecycle_stops(job))
        g_variant_dict_insert(&result, "stop-result", "s", self->record->stop_result);
    return g_variant_dict_end(&result);
}

void
kh_instance_end_job(KhInstance *self, KhLifecycle *job, const GError *error)
{
    g_autoptr(KhJob) ended = g_steal_pointer(&job->job);
    const KhLifecycle was = {.job = ended, .operation = job->operation};
    g_autoptr(GError) failure = g_steal_pointer(&job->failure);

    if (ended == NULL)
        return;
    note_owner(self);
    kh_instance_tell(self);
    g_signal_handlers_disconnect_by_data(ended, self);
    if (error != NULL)
        kh_job_fail(ended, error);
    else
        kh_job_end(ended, build_result(self, &was));
}

void
kh_instance_cancel_job(KhInstance *self, KhLifecycle *job, const char *why)
{
    g_autoptr(GError) error = NULL;

    if (job->job == NULL)
        return;
    error = g_error_new(KH_ERROR, KH_ERROR_CANCELLED, "\"%s\" %s", self->record->name, why);
    kh_instance_end_job(self, job, job->failure != NULL ? job->failure : error);
}

void
kh_instance_overtake_job(KhInstance *self, KhLifecycle *job, const char *why)
{
    if (job->job == NULL)
        return;
    if (!kh_lifecycle_starts(job)) {
        kh_instance_cancel_job(self, job, why);
        return;
    }
    g_signal_handlers_disconnect_by_data(job->job, self);
    g_cancellable_cancel(kh_job_get_cancellable(job->job));
    if (job->failure == NULL)
        job->failure =
            g_error_new(KH_ERROR, KH_ERROR_CANCELLED, "\"%s\" %s", self->record->name, why);
    g_array_append_val(self->overtaken, *job);
    *job = (KhLifecycle){0};
}

void
kh_instance_end_overtaken_jobs(KhInstance *self)
{
    g_autoptr(GArray) jobs = g_steal_pointer(&self->overtaken);

    self->overtaken = g_array_new(FALSE, FALSE, sizeof(KhLifecycle));
    for (guint i = 0; i < jobs->len; i++) {
        KhLifecycle *job = &g_array_index(jobs, KhLifecycle, i);

        kh_instance_end_job(self, job, job->failure);
    }
}

void
kh_instance_report(KhInstance *self, const char *step, double progress)
{
    if (self->current.job != NULL)
        kh_job_report(self->current.job, step, progress);
}

KhJob *
kh_instance_get_job(KhInstance *self)
{
    return self->current.job != NULL ? self->current.job : self->next.job;
}

KhJob *
kh_instance_get_deletion(KhInstance *self)
{
    return self->next.job != NULL ? self->next.job : self->current.job;
}
