/* SPDX-License-Identifier: MIT */
/* The manager on the bus; see manager-object.h. */
#include "manager-object.h"

#include "build-config.h"
#include "doctor/doctor.h"
#include "machine/host-context.h"
#include "listing.h"
#include "options.h"
#include "refusal.h"

struct _KhManagerObject {
    KhDbusManagerSkeleton parent_instance;
    KhManager *manager;
    const KhMachines *machines;
    KhDoctor *doctor;
    KhGate *gate;
    KhTree *tree;
};

G_DEFINE_FINAL_TYPE(KhManagerObject, kh_manager_object, KH_DBUS_TYPE_MANAGER_SKELETON)

/* Words that a client may look for, sorted; one is added with what it stands for. */
static const char *const features[] = {
    "check-host",     "configure",  "image",         "instance", "job",
    "list-pages",     "log-stream", "outbound",      "pause",    "reset",
    "restart-policy", "sealed",     "start-at-boot", "tee",      NULL};

static const KhOption no_options[] = {{NULL, NULL}};

static void
kh_manager_object_dispose(GObject *object)
{
    KhManagerObject *self = KH_MANAGER_OBJECT(object);

    if (self->manager != NULL)
        g_signal_handlers_disconnect_by_data(self->manager, self);
    g_clear_object(&self->manager);
    g_clear_object(&self->doctor);
    g_clear_object(&self->gate);
    g_clear_object(&self->tree);
    G_OBJECT_CLASS(kh_manager_object_parent_class)->dispose(object);
}

static void
kh_manager_object_class_init(KhManagerObjectClass *class)
{
    G_OBJECT_CLASS(class)->dispose = kh_manager_object_dispose;
    kh_gate_guard_class(G_DBUS_INTERFACE_SKELETON_CLASS(class));
}

static void
kh_manager_object_init(KhManagerObject *self)
{
}

static void
mirror_strangers(KhManagerObject *self)
{
    const KhStrangers *strangers = kh_manager_get_strangers(self->manager);
    KhDbusManager *bus = KH_DBUS_MANAGER(self);
    g_auto(GStrv) folders = NULL, machines = NULL, missing = NULL, kept = NULL;

    if (strangers == NULL)
        return;
    folders = kh_strangers_state_paths(self->machines->state_dir, strangers->folders);
    machines = kh_strangers_runtime_paths(self->machines->state_dir, strangers->machines);
    missing = kh_strangers_state_paths(self->machines->state_dir, strangers->missing);
    kept = kh_strangers_state_paths(self->machines->state_dir, strangers->kept);
    kh_dbus_manager_set_unknown_folders(bus, (const char *const *)folders);
    kh_dbus_manager_set_unknown_machines(bus, (const char *const *)machines);
    kh_dbus_manager_set_missing_folders(bus, (const char *const *)missing);
    kh_dbus_manager_set_kept_folders(bus, (const char *const *)kept);
}

static void
on_changed(KhManager *manager, KhManagerObject *self)
{
    KhDbusManager *bus = KH_DBUS_MANAGER(self);
    g_autofree char *path = kh_path_of_image(kh_manager_get_default_image(manager));

    kh_dbus_manager_set_default_image(bus, path);
    kh_dbus_manager_set_instance_count(bus, kh_manager_list(manager)->len);
    kh_dbus_manager_set_running_count(bus, kh_manager_count_running(manager));
    mirror_strangers(self);
    g_dbus_interface_skeleton_flush(G_DBUS_INTERFACE_SKELETON(self));
}

static void
on_created(GObject *source, GAsyncResult *result, gpointer data)
{
    GDBusMethodInvocation *invocation = data;
    GError *error = NULL;
    g_autoptr(KhInstance) instance = kh_manager_create_finish(KH_MANAGER(source), result, &error);
    g_autofree char *path = NULL;

    if (instance == NULL) {
        kh_refuse_call(invocation, error);
        return;
    }
    path = kh_path_of_instance(kh_instance_get_record(instance)->id);
    g_dbus_method_invocation_return_value(invocation, g_variant_new("(o)", path));
}

static gboolean
on_create(KhManagerObject *self, GDBusMethodInvocation *invocation, const char *name,
          GVariant *config, GVariant *options)
{
    static const KhOption known[] = {{"force", "b"}, {"allow-dev", "b"}, {NULL, NULL}};
    const KhOverrides overrides = {kh_options_get_boolean(options, "force"),
                                   kh_options_get_boolean(options, "allow-dev")};
    GError *error = NULL;

    if (!kh_options_check(options, known, &error))
        kh_refuse_call(invocation, error);
    else
        kh_manager_create_async(self->manager, name, config, &overrides,
                                kh_gate_get_caller_uid(invocation), on_created, invocation);
    return TRUE;
}

static gboolean
on_find(KhManagerObject *self, GDBusMethodInvocation *invocation, const char *name_or_id)
{
    GError *error = NULL;
    KhInstance *instance = kh_manager_find(self->manager, name_or_id, &error);
    g_autofree char *path = NULL;

    if (instance == NULL) {
        kh_refuse_call(invocation, error);
        return TRUE;
    }
    path = kh_path_of_instance(kh_instance_get_record(instance)->id);
    kh_dbus_manager_complete_find_instance(KH_DBUS_MANAGER(self), invocation, path);
    return TRUE;
}

static gboolean
on_validate(KhManagerObject *self, GDBusMethodInvocation *invocation, const char *name,
            GVariant *config)
{
    GError *error = NULL;
    g_autoptr(GVariant) effective = kh_manager_validate(self->manager, name, config, &error);

    if (effective == NULL)
        kh_refuse_call(invocation, error);
    else
        kh_dbus_manager_complete_validate_config(KH_DBUS_MANAGER(self), invocation, effective);
    return TRUE;
}

static gboolean
on_list(KhManagerObject *self, GDBusMethodInvocation *invocation, const char *const *properties,
        GVariant *options)
{
    kh_listing_answer(self->tree, kh_gate_get_turns(self->gate), invocation, properties, options);
    return TRUE;
}

static void
add_ports(KhCheckContext *context, const KhConfig *config)
{
    if (config != NULL)
        g_hash_table_add(context->used_ports, GUINT_TO_POINTER(config->rpc_port));
}

static void
add_strangers(KhManagerObject *self, KhCheckContext *context)
{
    const KhStrangers *strangers = kh_manager_find_strangers(self->manager);

    context->unknown_folders =
        kh_strangers_state_paths(self->machines->state_dir, strangers->folders);
    context->unknown_machines =
        kh_strangers_runtime_paths(self->machines->state_dir, strangers->machines);
    context->missing_folders =
        kh_strangers_state_paths(self->machines->state_dir, strangers->missing);
    context->kept_folders = kh_strangers_state_paths(self->machines->state_dir, strangers->kept);
}

/* This host and the ports of its instances, for the doctor's thread. */
static KhCheckContext *
describe_host(KhManagerObject *self)
{
    GPtrArray *instances = kh_manager_list(self->manager);
    KhCheckContext *context = kh_host_context_new(self->machines);

    for (guint i = 0; i < instances->len; i++) {
        const KhRecord *record = kh_instance_get_record(instances->pdata[i]);

        add_ports(context, record->config);
        add_ports(context, record->pending);
    }
    add_strangers(self, context);
    return context;
}

static void
on_host_checked(GObject *source, GAsyncResult *result, gpointer data)
{
    GDBusMethodInvocation *invocation = data;
    g_autoptr(GPtrArray) findings = kh_doctor_check_finish(KH_DOCTOR(source), result);

    g_dbus_method_invocation_return_value(
        invocation, g_variant_new("(@a(ssss))", kh_findings_to_variant(findings)));
}

static gboolean
on_check_host(KhManagerObject *self, GDBusMethodInvocation *invocation, GVariant *options)
{
    GError *error = NULL;

    if (!kh_options_check(options, no_options, &error))
        kh_refuse_call(invocation, error);
    /* Anybody may ask, and to describe the host takes a look at all folders. */
    else if (!kh_doctor_join_async(self->doctor, on_host_checked, invocation))
        kh_doctor_check_async(self->doctor, describe_host(self),
                              g_dbus_method_invocation_get_connection(invocation), on_host_checked,
                              invocation);
    return TRUE;
}

/* The name that was asked for, if it is one. */
static void
describe(GDBusInterfaceSkeleton *skeleton, const char *method, GVariant *parameters,
         GHashTable *details)
{
    const char *name = "";

    if (g_str_equal(method, "CreateInstance"))
        g_variant_get_child(parameters, 0, "&s", &name);
    if (!kh_name_check(name, NULL))
        name = "";
    g_hash_table_insert(details, g_strdup("instance"), g_strdup(name));
}

KhManagerObject *
kh_manager_object_new(KhManager *manager, const KhMachines *machines, KhGate *gate, KhTree *tree)
{
    KhManagerObject *self = g_object_new(KH_TYPE_MANAGER_OBJECT, NULL);
    KhDbusManager *bus = KH_DBUS_MANAGER(self);

    self->manager = g_object_ref(manager);
    self->machines = machines;
    self->doctor = kh_doctor_new();
    self->gate = g_object_ref(gate);
    self->tree = g_object_ref(tree);
    kh_gate_attach(gate, G_DBUS_INTERFACE_SKELETON(self), describe);
    kh_dbus_manager_set_version(bus, KH_VERSION);
    kh_dbus_manager_set_features(bus, features);
    kh_dbus_manager_set_accelerator(bus, machines->facts->accelerator);
    kh_dbus_manager_set_launcher(bus, kh_launcher_get_name(machines->launcher));
    kh_dbus_manager_set_limits_enforced(bus,
                                        kh_launcher_get_limits(machines->launcher) == KH_LIMIT_ALL);
    kh_dbus_manager_set_start_timeout_usec(bus, (guint64)machines->settings->start_timeout *
                                                    G_USEC_PER_SEC);
    kh_dbus_manager_set_stop_timeout_usec(bus, (guint64)machines->settings->stop_timeout *
                                                   G_USEC_PER_SEC);
    kh_dbus_manager_set_state_directory(bus, kh_state_dir_get_path(machines->state_dir));
    on_changed(manager, self);
    g_signal_connect(manager, "changed", G_CALLBACK(on_changed), self);
    g_signal_connect(self, "handle-check-host", G_CALLBACK(on_check_host), NULL);
    g_signal_connect(self, "handle-create-instance", G_CALLBACK(on_create), NULL);
    g_signal_connect(self, "handle-find-instance", G_CALLBACK(on_find), NULL);
    g_signal_connect(self, "handle-list-instances", G_CALLBACK(on_list), NULL);
    g_signal_connect(self, "handle-validate-config", G_CALLBACK(on_validate), NULL);
    return self;
}
