/* SPDX-License-Identifier: MIT */
/* A job on the bus; see job-object.h. */
#include "job-object.h"

#include "error.h"
#include "operations.h"
#include "options.h"
#include "refusal.h"

struct _KhJobObject {
    KhDbusJobSkeleton parent_instance;
    KhJob *job;
};

G_DEFINE_FINAL_TYPE(KhJobObject, kh_job_object, KH_DBUS_TYPE_JOB_SKELETON)

static void
kh_job_object_dispose(GObject *object)
{
    KhJobObject *self = KH_JOB_OBJECT(object);

    if (self->job != NULL)
        g_signal_handlers_disconnect_by_data(self->job, self);
    g_clear_object(&self->job);
    G_OBJECT_CLASS(kh_job_object_parent_class)->dispose(object);
}

static void
kh_job_object_class_init(KhJobObjectClass *class)
{
    G_OBJECT_CLASS(class)->dispose = kh_job_object_dispose;
    kh_gate_guard_class(G_DBUS_INTERFACE_SKELETON_CLASS(class));
}

static void
kh_job_object_init(KhJobObject *self)
{
}

static GVariant *
error_of(KhJob *job)
{
    const GError *error = kh_job_get_error(job);
    g_autofree char *name = NULL;

    if (error == NULL)
        return g_variant_new("(ss)", "", "");
    name = g_strconcat(KH_ERROR_PREFIX_DBUS, kh_error_name(error->code), NULL);
    return g_variant_new("(ss)", name, error->message);
}

static GVariant *
result_of(KhJob *job)
{
    const KhRecord *record = kh_instance_get_record(kh_job_get_instance(job));
    g_auto(GVariantDict) result = G_VARIANT_DICT_INIT(NULL);

    if (kh_job_get_state(job) != KH_JOB_DONE)
        return g_variant_dict_end(&result);
    g_variant_dict_insert(&result, "state", "s", kh_state_name(record->state));
    if (kh_job_get_operation(job) == KH_OPERATION_STOP ||
        kh_job_get_operation(job) == KH_OPERATION_KILL)
        g_variant_dict_insert(&result, "stop-result", "s", record->stop_result);
    return g_variant_dict_end(&result);
}

static void
on_changed(KhJob *job, KhJobObject *self)
{
    KhDbusJob *bus = KH_DBUS_JOB(self);

    kh_dbus_job_set_state(bus, kh_job_state_name(kh_job_get_state(job)));
    kh_dbus_job_set_progress(bus, kh_job_get_progress(job));
    kh_dbus_job_set_step(bus, kh_job_get_step(job));
    kh_dbus_job_set_error(bus, error_of(job));
    kh_dbus_job_set_result(bus, result_of(job));
    g_dbus_interface_skeleton_flush(G_DBUS_INTERFACE_SKELETON(self));
}

static void
on_cancelled(GObject *source, GAsyncResult *result, gpointer data)
{
    GDBusMethodInvocation *invocation = data;
    GError *error = NULL;

    if (kh_job_cancel_finish(KH_JOB(source), result, &error))
        g_dbus_method_invocation_return_value(invocation, NULL);
    else
        kh_refuse_call(invocation, error);
}

static gboolean
on_cancel(KhJobObject *self, GDBusMethodInvocation *invocation, GVariant *options)
{
    static const KhOption known[] = {{NULL, NULL}};
    GError *error = NULL;

    if (!kh_options_check(options, known, &error))
        kh_refuse_call(invocation, error);
    else
        kh_job_cancel_async(self->job, on_cancelled, invocation);
    return TRUE;
}

static void
describe(GDBusInterfaceSkeleton *skeleton, const char *method, GVariant *parameters,
         GHashTable *details)
{
    kh_operations_describe(kh_job_get_instance(KH_JOB_OBJECT(skeleton)->job), details);
}

KhJobObject *
kh_job_object_new(KhJob *job, KhGate *gate)
{
    KhJobObject *self = g_object_new(KH_TYPE_JOB_OBJECT, NULL);
    KhDbusJob *bus = KH_DBUS_JOB(self);
    const KhRecord *record = kh_instance_get_record(kh_job_get_instance(job));
    g_autofree char *path = kh_path_of_instance(record->id);

    self->job = g_object_ref(job);
    kh_gate_attach(gate, G_DBUS_INTERFACE_SKELETON(self), describe);
    kh_dbus_job_set_operation(bus, kh_operation_name(kh_job_get_operation(job)));
    kh_dbus_job_set_instance(bus, path);
    on_changed(job, self);
    g_signal_connect(job, "changed", G_CALLBACK(on_changed), self);
    g_signal_connect(self, "handle-cancel", G_CALLBACK(on_cancel), NULL);
    return self;
}
