/* SPDX-License-Identifier: MIT */
/* Tests of a job that has no instance, and of the registry: from its beginning to its end. */
#include "job/jobs.h"

#include "error.h"

#define LATE "it takes long"
#define SUBJECT "/org/katana/Hypervisor/images/of_a_test"

typedef struct {
    KhJobs *jobs;
    KhJob *job;
    guint added, removed, changes;
} Fixture;

static void
on_added(KhJobs *jobs, KhJob *job, Fixture *f)
{
    f->added++;
}

static void
on_removed(KhJobs *jobs, KhJob *job, Fixture *f)
{
    f->removed++;
}

static void
on_changed(KhJob *job, Fixture *f)
{
    f->changes++;
}

/* An operation that only this test has. */
static KhJob *
begin(Fixture *f)
{
    const KhJobPlan plan = {.operation = "polish",
                            .action = "operate",
                            .subject = SUBJECT,
                            .owner = 1000,
                            .can_be_cancelled = TRUE};

    return kh_jobs_begin(f->jobs, &plan);
}

static void
set_up(Fixture *f, gconstpointer data)
{
    f->jobs = kh_jobs_new();
    g_signal_connect(f->jobs, "added", G_CALLBACK(on_added), f);
    g_signal_connect(f->jobs, "removed", G_CALLBACK(on_removed), f);
    f->job = begin(f);
    g_signal_connect(f->job, "changed", G_CALLBACK(on_changed), f);
}

static void
tear_down(Fixture *f, gconstpointer data)
{
    g_clear_object(&f->job);
    g_clear_object(&f->jobs);
}

static void
keep_result(GObject *source, GAsyncResult *result, gpointer data)
{
    *(GAsyncResult **)data = g_object_ref(result);
}

static void
wait_for(GAsyncResult **result)
{
    while (*result == NULL)
        g_main_context_iteration(NULL, TRUE);
}

/* It is watched, waited for by two, and done, without any instance. */
static void
from_begin_to_end(Fixture *f, gconstpointer data)
{
    g_autoptr(GAsyncResult) first = NULL, second = NULL, late = NULL;
    const char *what = NULL;

    g_assert_cmpuint(f->added, ==, 1);
    g_assert_null(kh_job_get_plan(f->job)->instance);
    g_assert_cmpstr(kh_job_get_plan(f->job)->subject, ==, SUBJECT);
    kh_job_wait_async(f->job, 0, NULL, keep_result, &first);
    kh_job_wait_async(f->job, 60 * G_USEC_PER_SEC, LATE, keep_result, &second);
    kh_job_report(f->job, "rubbing", 0.5);
    kh_job_report(f->job, "looking", 0.2);
    g_assert_cmpstr(kh_job_get_step(f->job), ==, "looking");
    g_assert_cmpfloat(kh_job_get_progress(f->job), ==, 0.5);
    kh_job_end(f->job, g_variant_new_parsed("{'shine': <'much'>}"));
    g_assert_cmpuint(f->changes, ==, 3);
    wait_for(&first);
    wait_for(&second);
    g_assert_true(kh_job_wait_finish(f->job, first, NULL));
    g_assert_true(kh_job_wait_finish(f->job, second, NULL));
    g_assert_cmpint(kh_job_get_state(f->job), ==, KH_JOB_DONE);
    g_assert_cmpfloat(kh_job_get_progress(f->job), ==, 1);
    g_assert_true(g_variant_lookup(kh_job_get_result(f->job), "shine", "&s", &what));
    kh_job_wait_async(f->job, 0, NULL, keep_result, &late);
    wait_for(&late);
    g_assert_true(kh_job_wait_finish(f->job, late, NULL));
}

/* Who runs out of time is told so; the job and who has more of it go on. */
static void
own_deadlines(Fixture *f, gconstpointer data)
{
    g_autoptr(GAsyncResult) hasty = NULL, patient = NULL;
    g_autoptr(GError) error = NULL;

    kh_job_wait_async(f->job, 0, NULL, keep_result, &patient);
    kh_job_wait_async(f->job, 1000, LATE, keep_result, &hasty);
    wait_for(&hasty);
    g_assert_false(kh_job_wait_finish(f->job, hasty, &error));
    g_assert_error(error, KH_ERROR, KH_ERROR_TIMED_OUT);
    g_assert_cmpstr(error->message, ==, LATE);
    g_assert_cmpint(kh_job_get_state(f->job), ==, KH_JOB_RUNNING);
    g_assert_null(patient);
    kh_job_end(f->job, NULL);
    wait_for(&patient);
    g_assert_true(kh_job_wait_finish(f->job, patient, NULL));
}

static void
on_cancel(KhJob *job, gint64 uid, guint *asked)
{
    g_assert_cmpint(uid, ==, 7);
    (*asked)++;
}

/* Cancelling asks for the end; what follows is the operation's affair. */
static void
cancelled(Fixture *f, gconstpointer data)
{
    g_autoptr(GError) error = g_error_new(KH_ERROR, KH_ERROR_FAILED, "it was half done");
    g_autoptr(GError) refusal = NULL;
    guint asked = 0;

    g_signal_connect(f->job, "cancel", G_CALLBACK(on_cancel), &asked);
    g_assert_true(kh_job_cancel(f->job, 7, NULL));
    g_assert_cmpuint(asked, ==, 1);
    g_assert_true(g_cancellable_is_cancelled(kh_job_get_cancellable(f->job)));
    g_assert_cmpint(kh_job_get_state(f->job), ==, KH_JOB_RUNNING);
    kh_job_fail(f->job, error);
    g_assert_cmpint(kh_job_get_state(f->job), ==, KH_JOB_CANCELLED);
    g_assert_false(kh_job_cancel(f->job, 7, &refusal));
    g_assert_error(refusal, KH_ERROR, KH_ERROR_INVALID_STATE);
}

/* Who waits can be answered though it goes on. */
static void
answered_before(Fixture *f, gconstpointer data)
{
    g_autoptr(GError) error = g_error_new(KH_ERROR, KH_ERROR_BUSY, "not yet");
    g_autoptr(GAsyncResult) result = NULL;

    kh_job_wait_async(f->job, 0, NULL, keep_result, &result);
    kh_job_answer(f->job, error);
    wait_for(&result);
    g_assert_false(kh_job_wait_finish(f->job, result, NULL));
    g_assert_cmpint(kh_job_get_state(f->job), ==, KH_JOB_RUNNING);
}

static void
end_others(Fixture *f, guint number)
{
    for (guint i = 0; i < number; i++) {
        g_autoptr(KhJob) other = begin(f);

        kh_job_end(other, NULL);
    }
}

/* However many others have ended since it began. */
static void
long_one_stays(Fixture *f, gconstpointer data)
{
    end_others(f, 1000);
    g_assert_cmpuint(f->removed, ==, 0);
    kh_job_end(f->job, NULL);
    g_assert_cmpuint(f->removed, ==, 1);
    g_assert_true(g_ptr_array_find(kh_jobs_list(f->jobs), f->job, NULL));
}

/* One whose caller has not been answered yet stays, however many have ended after it. */
static void
held_one_stays(Fixture *f, gconstpointer data)
{
    gpointer hold = kh_jobs_hold(f->jobs, f->job);

    kh_job_end(f->job, NULL);
    end_others(f, 1200);
    g_assert_true(g_ptr_array_find(kh_jobs_list(f->jobs), f->job, NULL));
    kh_jobs_release(hold);
    end_others(f, 1);
    g_assert_false(g_ptr_array_find(kh_jobs_list(f->jobs), f->job, NULL));
    g_assert_cmpuint(kh_jobs_list(f->jobs)->len, ==, 1000);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add("/job/from-begin-to-end", Fixture, NULL, set_up, from_begin_to_end, tear_down);
    g_test_add("/job/own-deadlines", Fixture, NULL, set_up, own_deadlines, tear_down);
    g_test_add("/job/cancelled", Fixture, NULL, set_up, cancelled, tear_down);
    g_test_add("/job/answered-before", Fixture, NULL, set_up, answered_before, tear_down);
    g_test_add("/job/long-one-stays", Fixture, NULL, set_up, long_one_stays, tear_down);
    g_test_add("/job/held-one-stays", Fixture, NULL, set_up, held_one_stays, tear_down);
    return g_test_run();
}
