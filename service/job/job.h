/* SPDX-License-Identifier: MIT */
/*
 * Jobs: what takes long, as something that can be looked at and cancelled. A job is a view
 * of one operation on one instance; the call that began it has its own reply. Made by the
 * bus objects, kept here for a minute after their end.
 */
#pragma once

#include "instance/instance.h"

G_BEGIN_DECLS

typedef enum {
    KH_JOB_RUNNING,
    KH_JOB_DONE,
    KH_JOB_FAILED,
    KH_JOB_CANCELLED,
} KhJobState;

#define KH_TYPE_JOB (kh_job_get_type())
G_DECLARE_FINAL_TYPE(KhJob, kh_job, KH, JOB, GObject)

/* Signal of a job: "changed". All getters: owned by the job. */
guint kh_job_get_number(KhJob *self);
KhOperation kh_job_get_operation(KhJob *self);
KhInstance *kh_job_get_instance(KhJob *self);
KhJobState kh_job_get_state(KhJob *self);
double kh_job_get_progress(KhJob *self);
const char *kh_job_get_step(KhJob *self);
const GError *kh_job_get_error(KhJob *self);

/* "running", "done", "failed" or "cancelled"; static. */
const char *kh_job_state_name(KhJobState state);

/* Its operation has ended, badly with @error. */
void kh_job_finish(KhJob *self, const GError *error);

/*
 * Ends the operation: a start, restart or reset by a stop. KH_ERROR_INVALID_STATE when it
 * has ended, KH_ERROR_NOT_SUPPORTED for what cannot be taken back.
 */
void kh_job_cancel_async(KhJob *self, GAsyncReadyCallback callback, gpointer user_data);
gboolean kh_job_cancel_finish(KhJob *self, GAsyncResult *result, GError **error);

#define KH_TYPE_JOBS (kh_jobs_get_type())
G_DECLARE_FINAL_TYPE(KhJobs, kh_jobs, KH, JOBS, GObject)

/* Signals: "added" and "removed" (KhJob). */
KhJobs *kh_jobs_new(void);

/* A new job, running; owned by the registry, alive until a minute after its end. */
KhJob *kh_jobs_begin(KhJobs *self, KhInstance *instance, KhOperation operation);

/*
 * The running job of that operation on @instance, owned by the registry; NULL. Who does not
 * wait gets it instead of one more of the same: only waiting callers are bounded.
 */
KhJob *kh_jobs_find(KhJobs *self, KhInstance *instance, KhOperation operation);

/* All that are kept, oldest first: GPtrArray of KhJob, owned by the registry. */
GPtrArray *kh_jobs_list(KhJobs *self);

G_END_DECLS
