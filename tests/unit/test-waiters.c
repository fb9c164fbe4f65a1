/* SPDX-License-Identifier: MIT */
/* Tests of calls that wait for an instance. */
#include "error.h"
#include "instance/waiters.h"

typedef struct {
    guint done;
    GError *error;
    KhWaiters *again; /* to which the callback adds another */
} Caller;

static void
on_done(GObject *source, GAsyncResult *result, gpointer data)
{
    Caller *caller = data;
    KhWaiters *again = g_steal_pointer(&caller->again);

    g_clear_error(&caller->error);
    g_task_propagate_boolean(G_TASK(result), &caller->error);
    caller->done++;
    if (again != NULL)
        kh_waiters_add(again, g_task_new(NULL, NULL, on_done, caller), 0, "");
}

static void
add(KhWaiters *waiters, Caller *caller, gint64 timeout_usec)
{
    kh_waiters_add(waiters, g_task_new(NULL, NULL, on_done, caller), timeout_usec, "too late");
}

static void
run_until(const guint *count, guint wanted)
{
    while (*count < wanted)
        g_main_context_iteration(NULL, TRUE);
}

static void
all_are_finished(void)
{
    KhWaiters *waiters = kh_waiters_new();
    g_autoptr(GError) error = g_error_new(KH_ERROR, KH_ERROR_GUEST_FAILED, "dead");
    Caller one = {0}, two = {0};

    add(waiters, &one, 0);
    add(waiters, &two, 60 * G_USEC_PER_SEC);
    kh_waiters_finish(waiters, NULL);
    run_until(&one.done, 1);
    run_until(&two.done, 1);
    g_assert_no_error(one.error);
    add(waiters, &one, 0);
    kh_waiters_finish(waiters, error);
    run_until(&one.done, 2);
    g_assert_error(one.error, KH_ERROR, KH_ERROR_GUEST_FAILED);
    g_assert_cmpuint(two.done, ==, 1);
    g_clear_error(&one.error);
    kh_waiters_free(waiters);
}

static void
deadline_is_one_callers(void)
{
    KhWaiters *waiters = kh_waiters_new();
    Caller late = {0}, patient = {0};

    add(waiters, &late, 10 * 1000);
    add(waiters, &patient, 0);
    run_until(&late.done, 1);
    g_assert_error(late.error, KH_ERROR, KH_ERROR_TIMED_OUT);
    g_assert_cmpstr(late.error->message, ==, "too late");
    g_assert_cmpuint(patient.done, ==, 0);
    kh_waiters_free(waiters);
    run_until(&patient.done, 1);
    g_assert_error(patient.error, KH_ERROR, KH_ERROR_CANCELLED);
    g_clear_error(&late.error);
    g_clear_error(&patient.error);
}

static void
a_callback_may_wait_again(void)
{
    KhWaiters *waiters = kh_waiters_new();
    Caller caller = {.again = waiters};

    add(waiters, &caller, 0);
    kh_waiters_finish(waiters, NULL);
    run_until(&caller.done, 1);
    g_assert_cmpuint(caller.done, ==, 1);
    kh_waiters_finish(waiters, NULL);
    run_until(&caller.done, 2);
    kh_waiters_free(waiters);
}

static void
on_late(GObject *source, GAsyncResult *result, gpointer data)
{
    g_assert_false(g_task_propagate_boolean(G_TASK(result), NULL));
    kh_waiters_free(data);
}

/* Even the list may go with the one that is late. */
static void
a_late_callback_may_finish_all(void)
{
    KhWaiters *waiters = kh_waiters_new();
    Caller patient = {0};

    kh_waiters_add(waiters, g_task_new(NULL, NULL, on_late, waiters), 10 * 1000, "too late");
    add(waiters, &patient, 0);
    run_until(&patient.done, 1);
    g_assert_error(patient.error, KH_ERROR, KH_ERROR_CANCELLED);
    g_clear_error(&patient.error);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/waiters/all", all_are_finished);
    g_test_add_func("/waiters/deadline", deadline_is_one_callers);
    g_test_add_func("/waiters/late", a_late_callback_may_finish_all);
    g_test_add_func("/waiters/again", a_callback_may_wait_again);
    return g_test_run();
}
