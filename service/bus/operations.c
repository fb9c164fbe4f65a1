/* SPDX-License-Identifier: MIT */
/*
 * Operations on an instance; see operations.h. The table says what each method takes and asks
 * for; one handler serves them all, and on_done() answers whoever waits for the end.
 */
#include "operations.h"

#include "error.h"
#include "log-excerpt.h"
#include "options.h"
#include "refusal.h"

#define DATA "kh-operations"

static const KhOption no_options[] = {{NULL, NULL}};
static const KhOption start_options[] = {{"timeout-usec", "t"}, {"no-wait", "b"}, {NULL, NULL}};
static const KhOption stop_options[] = {
    {"timeout-usec", "t"}, {"mode", "s"}, {"no-wait", "b"}, {NULL, NULL}};
static const KhOption delete_options[] = {
    {"force", "b"}, {"keep-data", "b"}, {"no-wait", "b"}, {NULL, NULL}};

/* One method: with what it is asked to use force, it is another operation. */
typedef struct {
    const char *name, *signal;
    const KhOption *options;
    KhOperation operation, forced;
    gboolean answers_job;
} Method;

static const Method methods[] = {
    {"Start", "handle-start", start_options, KH_OPERATION_START, KH_OPERATION_START, TRUE},
    {"Stop", "handle-stop", stop_options, KH_OPERATION_STOP, KH_OPERATION_KILL, TRUE},
    {"Restart", "handle-restart", stop_options, KH_OPERATION_RESTART, KH_OPERATION_RESTART, TRUE},
    {"Reset", "handle-reset", start_options, KH_OPERATION_RESET, KH_OPERATION_RESET, TRUE},
    {"Delete", "handle-delete", delete_options, KH_OPERATION_DELETE, KH_OPERATION_FORCE_DELETE,
     TRUE},
    {"Pause", "handle-pause", no_options, KH_OPERATION_PAUSE, KH_OPERATION_PAUSE, FALSE},
    {"Resume", "handle-resume", no_options, KH_OPERATION_RESUME, KH_OPERATION_RESUME, FALSE},
};

static const Method *
find_method(const char *name)
{
    for (guint i = 0; i < G_N_ELEMENTS(methods); i++)
        if (g_str_equal(methods[i].name, name))
            return &methods[i];
    g_return_val_if_reached(NULL);
}

/* What every call needs; belongs to the skeleton. */
typedef struct {
    KhInstance *instance;
    KhJobs *jobs;
    const KhSettings *settings;
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

/* A call that waits; the skeleton, which has the context, is held for what its answer needs. */
typedef struct {
    KhDbusInstance *skeleton;
    GDBusMethodInvocation *invocation;
    const Method *method;
    const Context *context;
} Call;

static void
answer(GDBusMethodInvocation *invocation, const Method *method, KhJob *job)
{
    g_autofree char *path = job == NULL ? g_strdup("/") : kh_path_of_job(kh_job_get_number(job));

    g_dbus_method_invocation_return_value(invocation,
                                          method->answers_job ? g_variant_new("(o)", path) : NULL);
}

/* The answer to an error has lines of the log, where that helps. */
static void
on_done(GObject *source, GAsyncResult *result, gpointer data)
{
    g_autofree Call *call = data;
    g_autoptr(KhDbusInstance) skeleton = call->skeleton;
    const Context *context = call->context;
    GError *error = NULL;

    if (kh_job_wait_finish(KH_JOB(source), result, &error))
        answer(call->invocation, call->method, KH_JOB(source));
    else
        kh_log_excerpt_answer(context->instance, context->settings, context->gate,
                              G_DBUS_INTERFACE_SKELETON(skeleton), call->invocation,
                              kh_error_import(error, KH_ERROR_FAILED, "The service"));
}

static gboolean
read_mode(GVariant *options, gboolean *kill, GError **error)
{
    const char *mode = "graceful";

    g_variant_lookup(options, "mode", "&s", &mode);
    *kill = g_str_equal(mode, "kill");
    if (*kill || g_str_equal(mode, "graceful"))
        return TRUE;
    return kh_error_set(error, KH_ERROR_INVALID_ARGUMENT,
                        "The option \"mode\" must be \"graceful\" or \"kill\"");
}

static gboolean
read_options(const Method *method, GVariant *options, KhRequest *request, GError **error)
{
    gboolean kill = FALSE;

    if (!kh_options_check(options, method->options, error) ||
        !kh_options_get_timeout(options, &request->timeout_usec, error) ||
        !read_mode(options, &kill, error))
        return FALSE;
    request->kill = kill;
    request->keep_data = kh_options_get_boolean(options, "keep-data");
    request->operation =
        kill || kh_options_get_boolean(options, "force") ? method->forced : method->operation;
    return TRUE;
}

/* @job has the caller for as long as that waits: it is not forgotten before he is answered. */
static void
wait_for(Context *context, KhDbusInstance *skeleton, GDBusMethodInvocation *invocation, KhJob *job,
         const KhRequest *request, const Method *method)
{
    Call *call = g_new0(Call, 1);

    call->skeleton = g_object_ref(skeleton);
    call->invocation = invocation;
    call->method = method;
    call->context = context;
    g_object_set_data_full(G_OBJECT(invocation), DATA, kh_jobs_hold(context->jobs, job),
                           kh_jobs_release);
    kh_instance_wait_async(context->instance, job, request, on_done, call);
}

static gboolean
on_call(KhDbusInstance *skeleton, GDBusMethodInvocation *invocation, GVariant *options,
        Context *context)
{
    const Method *method = find_method(g_dbus_method_invocation_get_method_name(invocation));
    KhRequest request = {.caller = kh_gate_get_caller_uid(invocation)};
    g_autoptr(KhJob) job = NULL;
    GError *error = NULL;

    if (read_options(method, options, &request, &error))
        job = kh_instance_request(context->instance, &request, &error);
    if (error != NULL)
        kh_refuse_call(invocation, error);
    else if (job == NULL || kh_options_get_boolean(options, "no-wait"))
        answer(invocation, method, job);
    else
        wait_for(context, skeleton, invocation, job, &request, method);
    return TRUE;
}

void
kh_operations_serve(KhDbusInstance *skeleton, KhInstance *instance, KhJobs *jobs,
                    const KhSettings *settings, KhGate *gate)
{
    Context *context = g_new0(Context, 1);

    context->instance = g_object_ref(instance);
    context->jobs = g_object_ref(jobs);
    context->settings = settings;
    context->gate = g_object_ref(gate);
    g_object_set_data_full(G_OBJECT(skeleton), DATA, context, context_free);
    for (guint i = 0; i < G_N_ELEMENTS(methods); i++)
        g_signal_connect(skeleton, methods[i].signal, G_CALLBACK(on_call), context);
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
