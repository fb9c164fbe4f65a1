/* SPDX-License-Identifier: MIT */
/*
 * Operations on an instance; see operations.h. Each handler reads its options, then
 * job_call_new() asks the state table and makes the job; on_done() answers the end.
 */
#include "operations.h"

#include "error.h"
#include "log-excerpt.h"
#include "options.h"
#include "refusal.h"

#define DATA "kh-operations"

/* What every handler needs; belongs to the skeleton. */
typedef struct {
    KhInstance *instance;
    KhJobs *jobs;
    const KhHost *host;
    KhGate *gate;
} Context;

static void
context_free(gpointer data)
{
    Context *context = data;

    g_object_unref(context->instance);
    g_object_unref(context->jobs);
    g_object_unref(context->gate);
    g_free(context);
}

/* One call on its way; the skeleton is held for what the log's excerpt needs. */
typedef struct {
    KhDbusInstance *skeleton;
    GDBusMethodInvocation *invocation; /* NULL once it is answered */
    KhJob *job;                        /* NULL for what is quick */
    const Context *context;
} Call;

static void
call_free(Call *call)
{
    kh_instance_leave_call(call->context->instance);
    g_object_unref(call->skeleton);
    g_clear_object(&call->job);
    g_free(call);
}

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Call, call_free)

static void
answer_with_job(GDBusMethodInvocation *invocation, KhJob *job)
{
    g_autofree char *path = job == NULL ? g_strdup("/") : kh_path_of_job(kh_job_get_number(job));

    g_dbus_method_invocation_return_value(invocation, g_variant_new("(o)", path));
}

/* The call's own answer: its job, or the error, with lines of the log where that helps. */
static void
answer(Call *call, GError *error)
{
    GDBusMethodInvocation *invocation = g_steal_pointer(&call->invocation);

    if (error != NULL)
        kh_log_excerpt_answer(call->context->instance, call->context->host, call->context->gate,
                              G_DBUS_INTERFACE_SKELETON(call->skeleton), invocation, error);
    else if (call->job != NULL)
        answer_with_job(invocation, call->job);
    else
        g_dbus_method_invocation_return_value(invocation, NULL);
}

static void
on_done(GObject *source, GAsyncResult *result, gpointer data)
{
    g_autoptr(Call) call = data;
    g_autoptr(GError) error = NULL;

    if (!kh_instance_operation_finish(KH_INSTANCE(source), result, &error))
        error = kh_error_import(g_steal_pointer(&error), KH_ERROR_FAILED, "The service");
    if (call->job != NULL)
        kh_job_finish(call->job, error);
    if (call->invocation != NULL)
        answer(call, g_steal_pointer(&error));
}

/* --- options -------------------------------------------------------------------------- */

static const KhOption no_options[] = {{NULL, NULL}};
static const KhOption start_options[] = {{"timeout-usec", "t"}, {"no-wait", "b"}, {NULL, NULL}};
static const KhOption stop_options[] = {
    {"timeout-usec", "t"}, {"mode", "s"}, {"no-wait", "b"}, {NULL, NULL}};
static const KhOption delete_options[] = {
    {"force", "b"}, {"keep-data", "b"}, {"no-wait", "b"}, {NULL, NULL}};

/* All that the options of an operation may say; what one does not have is unset. */
typedef struct {
    gint64 timeout; /* microseconds; 0: not given */
    gboolean kill, force, keep_data, no_wait;
} Wanted;

static gboolean
read_mode(GVariant *options, gboolean *kill, GError **error)
{
    const char *mode = "graceful";

    g_variant_lookup(options, "mode", "&s", &mode);
    *kill = g_str_equal(mode, "kill");
    if (*kill || g_str_equal(mode, "graceful"))
        return TRUE;
    g_set_error(error, KH_ERROR, KH_ERROR_INVALID_ARGUMENT,
                "The option \"mode\" must be \"graceful\" or \"kill\"");
    return FALSE;
}

/* FALSE: the call has been refused. */
static gboolean
read_options(GDBusMethodInvocation *invocation, GVariant *options, const KhOption *known,
             Wanted *wanted)
{
    GError *error = NULL;

    wanted->force = kh_options_get_boolean(options, "force");
    wanted->keep_data = kh_options_get_boolean(options, "keep-data");
    wanted->no_wait = kh_options_get_boolean(options, "no-wait");
    if (kh_options_check(options, known, &error) &&
        kh_options_get_timeout(options, &wanted->timeout, &error) &&
        read_mode(options, &wanted->kill, &error))
        return TRUE;
    kh_refuse_call(invocation, error);
    return FALSE;
}

/* A start has the service's own deadline, where none is given. */
static gint64
start_timeout(const Context *context, const Wanted *wanted)
{
    return wanted->timeout != 0 ? wanted->timeout
                                : (gint64)context->host->start_timeout * G_USEC_PER_SEC;
}

/* --- calls ---------------------------------------------------------------------------- */

static Call *
call_new(Context *context, KhDbusInstance *skeleton, GDBusMethodInvocation *invocation)
{
    Call *call = g_new0(Call, 1);

    call->skeleton = g_object_ref(skeleton);
    call->invocation = invocation;
    call->context = context;
    kh_instance_enter_call(context->instance, kh_gate_get_caller_uid(invocation));
    return call;
}

/*
 * A call that goes on, with its job; NULL when it has been answered: refused by the state
 * table, or nothing is to be done.
 */
static Call *
job_call_new(Context *context, KhDbusInstance *skeleton, GDBusMethodInvocation *invocation,
             KhOperation operation, const Wanted *wanted)
{
    GError *error = NULL;
    KhAdmission admission = kh_instance_check(context->instance, operation, &error);
    KhJob *running;
    Call *call;

    if (admission == KH_ADMISSION_REFUSE) {
        kh_refuse_call(invocation, error);
        return NULL;
    }
    if (admission == KH_ADMISSION_NOTHING) {
        answer_with_job(invocation, NULL);
        return NULL;
    }
    if (wanted->no_wait &&
        (running = kh_jobs_find(context->jobs, context->instance, operation)) != NULL) {
        answer_with_job(invocation, running);
        return NULL;
    }
    call = call_new(context, skeleton, invocation);
    call->job = g_object_ref(kh_jobs_begin(context->jobs, context->instance, operation));
    if (wanted->no_wait)
        answer_with_job(g_steal_pointer(&call->invocation), call->job);
    return call;
}

static gboolean
on_start(KhDbusInstance *skeleton, GDBusMethodInvocation *invocation, GVariant *options,
         Context *context)
{
    Wanted wanted;
    Call *call;

    if (!read_options(invocation, options, start_options, &wanted))
        return TRUE;
    call = job_call_new(context, skeleton, invocation, KH_OPERATION_START, &wanted);
    if (call != NULL)
        kh_instance_start_async(context->instance, start_timeout(context, &wanted), on_done, call);
    return TRUE;
}

static gboolean
on_stop(KhDbusInstance *skeleton, GDBusMethodInvocation *invocation, GVariant *options,
        Context *context)
{
    Wanted wanted;
    Call *call;

    if (!read_options(invocation, options, stop_options, &wanted))
        return TRUE;
    call = job_call_new(context, skeleton, invocation,
                        wanted.kill ? KH_OPERATION_KILL : KH_OPERATION_STOP, &wanted);
    if (call != NULL)
        kh_instance_stop_async(context->instance,
                               &(KhStop){.kill = wanted.kill, .timeout_usec = wanted.timeout},
                               on_done, call);
    return TRUE;
}

static gboolean
on_restart(KhDbusInstance *skeleton, GDBusMethodInvocation *invocation, GVariant *options,
           Context *context)
{
    Wanted wanted;
    Call *call;

    if (!read_options(invocation, options, stop_options, &wanted))
        return TRUE;
    call = job_call_new(context, skeleton, invocation, KH_OPERATION_RESTART, &wanted);
    if (call != NULL)
        kh_instance_restart_async(context->instance, &(KhStop){.kill = wanted.kill},
                                  start_timeout(context, &wanted), on_done, call);
    return TRUE;
}

static gboolean
on_reset(KhDbusInstance *skeleton, GDBusMethodInvocation *invocation, GVariant *options,
         Context *context)
{
    Wanted wanted;
    Call *call;

    if (!read_options(invocation, options, start_options, &wanted))
        return TRUE;
    call = job_call_new(context, skeleton, invocation, KH_OPERATION_RESET, &wanted);
    if (call != NULL)
        kh_instance_reset_async(context->instance, start_timeout(context, &wanted), on_done, call);
    return TRUE;
}

/* Pause and resume are quick: a call without a job. */
static gboolean
on_pause(KhDbusInstance *skeleton, GDBusMethodInvocation *invocation, GVariant *options,
         Context *context)
{
    Wanted wanted;

    if (read_options(invocation, options, no_options, &wanted))
        kh_instance_pause_async(context->instance, on_done,
                                call_new(context, skeleton, invocation));
    return TRUE;
}

static gboolean
on_resume(KhDbusInstance *skeleton, GDBusMethodInvocation *invocation, GVariant *options,
          Context *context)
{
    Wanted wanted;

    if (read_options(invocation, options, no_options, &wanted))
        kh_instance_resume_async(context->instance, on_done,
                                 call_new(context, skeleton, invocation));
    return TRUE;
}

static gboolean
on_delete(KhDbusInstance *skeleton, GDBusMethodInvocation *invocation, GVariant *options,
          Context *context)
{
    Wanted wanted;
    Call *call;

    if (!read_options(invocation, options, delete_options, &wanted))
        return TRUE;
    call = job_call_new(context, skeleton, invocation,
                        wanted.force ? KH_OPERATION_FORCE_DELETE : KH_OPERATION_DELETE, &wanted);
    if (call != NULL)
        kh_instance_delete_async(context->instance, wanted.force, wanted.keep_data, on_done, call);
    return TRUE;
}

void
kh_operations_serve(KhDbusInstance *skeleton, KhInstance *instance, KhJobs *jobs,
                    const KhHost *host, KhGate *gate)
{
    Context *context = g_new0(Context, 1);

    context->instance = g_object_ref(instance);
    context->jobs = g_object_ref(jobs);
    context->host = host;
    context->gate = g_object_ref(gate);
    g_object_set_data_full(G_OBJECT(skeleton), DATA, context, context_free);
    g_signal_connect(skeleton, "handle-start", G_CALLBACK(on_start), context);
    g_signal_connect(skeleton, "handle-stop", G_CALLBACK(on_stop), context);
    g_signal_connect(skeleton, "handle-restart", G_CALLBACK(on_restart), context);
    g_signal_connect(skeleton, "handle-reset", G_CALLBACK(on_reset), context);
    g_signal_connect(skeleton, "handle-pause", G_CALLBACK(on_pause), context);
    g_signal_connect(skeleton, "handle-resume", G_CALLBACK(on_resume), context);
    g_signal_connect(skeleton, "handle-delete", G_CALLBACK(on_delete), context);
}

void
kh_operations_describe(KhInstance *instance, GHashTable *details)
{
    const KhRecord *record = kh_instance_get_record(instance);

    g_hash_table_insert(details, g_strdup("instance"), g_strdup(record->name));
    g_hash_table_insert(details, g_strdup("instance.id"), g_strdup(record->id));
    g_hash_table_insert(details, g_strdup("instance.owner"),
                        g_strdup_printf("%u", record->owner_uid));
}
