/* SPDX-License-Identifier: MIT */
/* A job on the bus; see job-object.h. */
#include "job-object.h"

#include "auth/methods.h"
#include "error.h"
#include "operations.h"
#include "options.h"
#include "refusal.h"

struct _KhJobObject {
    KhDbusJobSkeleton parent_instance;
    KhJob *job;
    KhManager *manager;
};

G_DEFINE_FINAL_TYPE(KhJobObject, kh_job_object, KH_DBUS_TYPE_JOB_SKELETON)

static void
kh_job_object_dispose(GObject *object)
{
    KhJobObject *self = KH_JOB_OBJECT(object);

    if (self->job != NULL)
        g_signal_handlers_disconnect_by_data(self->job, self);
    g_clear_object(&self->job);
    g_clear_object(&self->manager);
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

static void
on_changed(KhJob *job, KhJobObject *self)
{
    KhDbusJob *bus = KH_DBUS_JOB(self);

    kh_dbus_job_set_state(bus, kh_job_state_name(kh_job_get_state(job)));
    kh_dbus_job_set_progress(bus, kh_job_get_progress(job));
    kh_dbus_job_set_step(bus, kh_job_get_step(job));
    kh_dbus_job_set_error(bus, error_of(job));
    kh_dbus_job_set_result(bus, kh_job_get_result(job));
    g_dbus_interface_skeleton_flush(G_DBUS_INTERFACE_SKELETON(self));
}

/* The instance that it belongs to; NULL: none, or it has gone. */
static KhInstance *
find_instance(KhJobObject *self)
{
    const char *id = kh_job_get_plan(self->job)->instance;

    return id == NULL ? NULL : kh_manager_find_id(self->manager, id);
}

/* However it has ended, unless it has not. */
static void
on_ended(GObject *source, GAsyncResult *result, gpointer data)
{
    GDBusMethodInvocation *invocation = data;
    GError *error = NULL;

    kh_job_wait_finish(KH_JOB(source), result, &error);
    if (kh_job_get_state(KH_JOB(source)) == KH_JOB_RUNNING) {
        kh_refuse_call(invocation, error);
        return;
    }
    g_clear_error(&error);
    g_dbus_method_invocation_return_value(invocation, NULL);
}

/* That of an instance ends as a stop of it does, in as much time as one has. */
static void
wait_for_end(KhJobObject *self, GDBusMethodInvocation *invocation)
{
    const KhRequest stop = {.operation = KH_OPERATION_STOP};
    KhInstance *instance = find_instance(self);

    if (instance != NULL)
        kh_instance_wait_async(instance, self->job, &stop, on_ended, invocation);
    else
        kh_job_wait_async(self->job, 0, NULL, on_ended, invocation);
}

static gboolean
on_cancel(KhJobObject *self, GDBusMethodInvocation *invocation, GVariant *options)
{
    static const KhOption known[] = {{NULL, NULL}};
    GError *error = NULL;

    if (kh_options_check(options, known, &error) &&
        kh_job_cancel(self->job, kh_gate_get_caller_uid(invocation), &error))
        wait_for_end(self, invocation);
    else
        kh_refuse_call(invocation, error);
    return TRUE;
}

static void
describe(GDBusInterfaceSkeleton *skeleton, const char *method, GVariant *parameters,
         GHashTable *details)
{
    KhInstance *instance = find_instance(KH_JOB_OBJECT(skeleton));

    if (instance != NULL)
        kh_operations_describe(instance, details);
}

/* Who has asked for it may take that back, whatever he may do else. */
static const char *
find_action(GDBusInterfaceSkeleton *skeleton, guint32 uid)
{
    const KhJobPlan *plan = kh_job_get_plan(KH_JOB_OBJECT(skeleton)->job);

    return plan->owner == (gint64)uid ? KH_ACTION_FREE : plan->action;
}

KhJobObject *
kh_job_object_new(KhJob *job, KhManager *manager, KhGate *gate)
{
    KhJobObject *self = g_object_new(KH_TYPE_JOB_OBJECT, NULL);
    KhDbusJob *bus = KH_DBUS_JOB(self);
    const KhJobPlan *plan = kh_job_get_plan(job);
    g_autofree char *instance =
        plan->instance == NULL ? g_strdup("/") : kh_path_of_instance(plan->instance);

    self->job = g_object_ref(job);
    self->manager = g_object_ref(manager);
    kh_gate_attach(gate, G_DBUS_INTERFACE_SKELETON(self), describe);
    kh_gate_set_action(G_DBUS_INTERFACE_SKELETON(self), find_action);
    kh_dbus_job_set_operation(bus, plan->operation);
    kh_dbus_job_set_subject(bus, plan->subject);
    kh_dbus_job_set_instance(bus, instance);
    on_changed(job, self);
    g_signal_connect(job, "changed", G_CALLBACK(on_changed), self);
    g_signal_connect(self, "handle-cancel", G_CALLBACK(on_cancel), NULL);
    return self;
}
