/* SPDX-License-Identifier: MIT */
/*
 * Operations on an instance; see operations.h. Each handler reads its options, then call_new()
 * asks the state table and makes the job; the operation's end is answered by on_done().
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

static const KhOption no_options[] = {{NULL, NULL}};

static gboolean
read_stop(GVariant *options, KhStop *how, GError **error)
{
    const char *mode = "graceful";

    g_variant_lookup(options, "mode", "&s", &mode);
    how->kill = g_str_equal(mode, "kill");
    if (how->kill || g_str_equal(mode, "graceful"))
        return TRUE;
    g_set_error(error, KH_ERROR, KH_ERROR_INVALID_ARGUMENT,
                "The option \"mode\" must be \"graceful\" or \"kill\"");
    return FALSE;
}

/* A start's own deadline; a stop's is 0, its default. */
static gboolean
read_timeout(const Context *context, GVariant *options, gint64 *timeout, GError **error)
{
    if (!kh_options_get_timeout(options, timeout, error))
        return FALSE;
    if (*timeout == 0)
        *timeout = (gint64)context->host->start_timeout * G_USEC_PER_SEC;
    return TRUE;
}

/*
 * A call that goes on, with its job; NULL when it has been answered: refused by the state
 * table, or nothing is to be done.
 */
static Call *
call_new(Context *context, KhDbusInstance *skeleton, GDBusMethodInvocation *invocation,
         KhOperation operation, GVariant *options)
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
    if (kh_options_get_boolean(options, "no-wait") &&
        (running = kh_jobs_find(context->jobs, context->instance, operation)) != NULL) {
        answer_with_job(invocation, running);
        return NULL;
    }
    call = g_new0(Call, 1);
    call->skeleton = g_object_ref(skeleton);
    call->invocation = invocation;
    call->context = context;
    call->job = g_object_ref(kh_jobs_begin(context->jobs, context->instance, operation));
    if (kh_options_get_boolean(options, "no-wait"))
        answer_with_job(g_steal_pointer(&call->invocation), call->job);
    return call;
}

static gboolean
on_start(KhDbusInstance *skeleton, GDBusMethodInvocation *invocation, GVariant *options,
         Context *context)
{
    static const KhOption known[] = {{"timeout-usec", "t"}, {"no-wait", "b"}, {NULL, NULL}};
    GError *error = NULL;
    gint64 timeout;
    Call *call;

    if (!kh_options_check(options, known, &error) ||
        !read_timeout(context, options, &timeout, &error))
        kh_refuse_call(invocation, error);
    else if ((call = call_new(context, skeleton, invocation, KH_OPERATION_START, options)) != NULL)
        kh_instance_start_async(context->instance, timeout, on_done, call);
    return TRUE;
}

static gboolean
on_stop(KhDbusInstance *skeleton, GDBusMethodInvocation *invocation, GVariant *options,
        Context *context)
{
    static const KhOption known[] = {
        {"timeout-usec", "t"}, {"mode", "s"}, {"no-wait", "b"}, {NULL, NULL}};
    KhStop how = {.kill = FALSE};
    GError *error = NULL;
    Call *call;

    if (!kh_options_check(options, known, &error) ||
        !kh_options_get_timeout(options, &how.timeout_usec, &error) ||
        !read_stop(options, &how, &error)) {
        kh_refuse_call(invocation, error);
        return TRUE;
    }
    call = call_new(context, skeleton, invocation, how.kill ? KH_OPERATION_KILL : KH_OPERATION_STOP,
                    options);
    if (call != NULL)
        kh_instance_stop_async(context->instance, &how, on_done, call);
    return TRUE;
}

static gboolean
on_restart(KhDbusInstance *skeleton, GDBusMethodInvocation *invocation, GVariant *options,
           Context *context)
{
    static const KhOption known[] = {
        {"timeout-usec", "t"}, {"mode", "s"}, {"no-wait", "b"}, {NULL, NULL}};
    KhStop how = {.kill = FALSE};
    GError *error = NULL;
    gint64 timeout;
    Call *call;

    if (!kh_options_check(options, known, &error) ||
        !read_timeout(context, options, &timeout, &error) || !read_stop(options, &how, &error)) {
        kh_refuse_call(invocation, error);
        return TRUE;
    }
    call = call_new(context, skeleton, invocation, KH_OPERATION_RESTART, options);
    if (call != NULL)
        kh_instance_restart_async(context->instance, &how, timeout, on_done, call);
    return TRUE;
}

static gboolean
on_reset(KhDbusInstance *skeleton, GDBusMethodInvocation *invocation, GVariant *options,
         Context *context)
{
    static const KhOption known[] = {{"timeout-usec", "t"}, {"no-wait", "b"}, {NULL, NULL}};
    GError *error = NULL;
    gint64 timeout;
    Call *call;

    if (!kh_options_check(options, known, &error) ||
        !read_timeout(context, options, &timeout, &error))
        kh_refuse_call(invocation, error);
    else if ((call = call_new(context, skeleton, invocation, KH_OPERATION_RESET, options)) != NULL)
        kh_instance_reset_async(context->instance, timeout, on_done, call);
    return TRUE;
}

/* Pause and resume are quick: a call without a job. */
static Call *
quick_call_new(Context *context, KhDbusInstance *skeleton, GDBusMethodInvocation *invocation,
               GVariant *options)
{
    GError *error = NULL;
    Call *call;

    if (!kh_options_check(options, no_options, &error)) {
        kh_refuse_call(invocation, error);
        return NULL;
    }
    call = g_new0(Call, 1);
    call->skeleton = g_object_ref(skeleton);
    call->invocation = invocation;
    call->context = context;
    return call;
}

static gboolean
on_pause(KhDbusInstance *skeleton, GDBusMethodInvocation *invocation, GVariant *options,
         Context *context)
{
    Call *call = quick_call_new(context, skeleton, invocation, options);

    if (call != NULL)
        kh_instance_pause_async(context->instance, on_done, call);
    return TRUE;
}

static gboolean
on_resume(KhDbusInstance *skeleton, GDBusMethodInvocation *invocation, GVariant *options,
          Context *context)
{
    Call *call = quick_call_new(context, skeleton, invocation, options);

    if (call != NULL)
        kh_instance_resume_async(context->instance, on_done, call);
    return TRUE;
}

static gboolean
on_delete(KhDbusInstance *skeleton, GDBusMethodInvocation *invocation, GVariant *options,
          Context *context)
{
    static const KhOption known[] = {
        {"force", "b"}, {"keep-data", "b"}, {"no-wait", "b"}, {NULL, NULL}};
    gboolean force = kh_options_get_boolean(options, "force");
    GError *error = NULL;
    Call *call;

    if (!kh_options_check(options, known, &error)) {
        kh_refuse_call(invocation, error);
        return TRUE;
    }
    call = call_new(context, skeleton, invocation,
                    force ? KH_OPERATION_FORCE_DELETE : KH_OPERATION_DELETE, options);
    if (call != NULL)
        kh_instance_delete_async(context->instance, force,
                                 kh_options_get_boolean(options, "keep-data"), on_done, call);
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
