/* SPDX-License-Identifier: MIT */
/*
 * A job: one operation under way, from its beginning to its end, as something that can be
 * watched, waited for and cancelled. However many callers ask for the same, there is one:
 * each waits for it with a deadline of its own. Whoever carries the operation out reports its
 * steps and ends it; cancelling asks him to, by the job's cancellable. Made by the registry
 * (jobs.h); used by the instance, and mirrored by the bus.
 */
#pragma once

#include <gio/gio.h>

G_BEGIN_DECLS

typedef enum {
    KH_JOB_RUNNING,
    KH_JOB_DONE,
    KH_JOB_FAILED,
    KH_JOB_CANCELLED,
} KhJobState;

#define KH_JOB_SERVICE (-1) /* owner: nobody has asked, it is the service's own doing */

/**
 * KhJobPlan:
 * @operation: what is done, "start"; static
 * @action: the polkit action without its prefix that it needs, and so does to cancel it; static
 * @subject: object path of what it is done to
 * @instance: id of the instance that it belongs to; NULL: none
 * @owner: uid of who has asked for it; KH_JOB_SERVICE
 * @can_be_cancelled: it can be taken back once it has begun
 *
 * What does not change while it is done. Texts are copied, but for the static ones.
 */
typedef struct {
    const char *operation, *action;
    const char *subject, *instance;
    gint64 owner;
    gboolean can_be_cancelled;
} KhJobPlan;

#define KH_TYPE_JOB (kh_job_get_type())
G_DECLARE_FINAL_TYPE(KhJob, kh_job, KH, JOB, GObject)

/*
 * Signals: "changed", of step and end, before who waits is answered; "cancel" (gint64)
 * for who carries it out: that uid wants it to end. All getters: owned by the job.
 */
KhJob *kh_job_new(guint number, const KhJobPlan *plan);

guint kh_job_get_number(KhJob *self);
const KhJobPlan *kh_job_get_plan(KhJob *self);
KhJobState kh_job_get_state(KhJob *self);
double kh_job_get_progress(KhJob *self);
const char *kh_job_get_step(KhJob *self);
const GError *kh_job_get_error(KhJob *self); /* why it has not been done; NULL */
GVariant *kh_job_get_result(KhJob *self);    /* a{sv}; empty unless it is done */

/* "running", "done", "failed" or "cancelled"; static. */
const char *kh_job_state_name(KhJobState state);

/* It is at @step now, a text for people; @progress is a part of 1, and never falls. */
void kh_job_report(KhJob *self, const char *step, double progress);

/* It is done. @result (a{sv}, floating: taken) may be NULL. */
void kh_job_end(KhJob *self, GVariant *result);

/* It has come to nothing, because of @error; KH_ERROR_CANCELLED: it was cancelled. */
void kh_job_fail(KhJob *self, const GError *error);

/* Who waits now is answered with @error, though it goes on: when it ends is not known. */
void kh_job_answer(KhJob *self, const GError *error);

/*
 * Waits until it ends. After @timeout_usec, unless that is 0, the wait fails with
 * KH_ERROR_TIMED_OUT and @late as its message; the job goes on.
 */
void kh_job_wait_async(KhJob *self, gint64 timeout_usec, const char *late,
                       GAsyncReadyCallback callback, gpointer user_data);
gboolean kh_job_wait_finish(KhJob *self, GAsyncResult *result, GError **error);

/* Cancelled, too, when somebody wants it to end: for what it has under way. */
GCancellable *kh_job_get_cancellable(KhJob *self);

/*
 * Asks for its end, for @uid. KH_ERROR_INVALID_STATE when it has ended,
 * KH_ERROR_NOT_SUPPORTED for what cannot be taken back.
 */
gboolean kh_job_cancel(KhJob *self, gint64 uid, GError **error);

G_END_DECLS
