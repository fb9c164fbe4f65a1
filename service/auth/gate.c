/* SPDX-License-Identifier: MIT */
/*
 * The one way into a method; see gate.h. It works by the virtual table that a generated
 * skeleton hands to GDBus: a copy of it is given out, with a method_call of our own and
 * without get_property and set_property, whose calls GDBus then routes into method_call.
 */
#include "gate.h"

#include "denials.h"
#include "error.h"
#include "model/config.h"
#include "intake.h"
#include "methods.h"

#define INTERFACE_PROPERTIES "org.freedesktop.DBus.Properties"
#define ACTION_EXPOSE "expose"
#define DATA_GATE "kh-gate"
#define DATA_DESCRIBE "kh-gate-describe"
#define DATA_REACHES "kh-gate-reaches"
#define DATA_ACTION "kh-gate-action"
#define DATA_LONG "kh-gate-long"
#define DATA_UID "kh-gate-uid"
#define DATA_EXPOSES "kh-gate-exposes"

struct _KhGate {
    GObject parent_instance;
    KhAuthority *authority;
    KhLimits *limits;
    KhTurns *turns;
    KhDenials *denials;
};

G_DEFINE_FINAL_TYPE(KhGate, kh_gate, G_TYPE_OBJECT)

/* Both tables of a guarded class. */
typedef struct {
    GDBusInterfaceVTable guarded;
    const GDBusInterfaceVTable *generated;
} Tables;

static GQuark
tables_quark(void)
{
    return g_quark_from_static_string("kh-gate-tables");
}

static void
kh_gate_finalize(GObject *object)
{
    KhGate *self = KH_GATE(object);

    g_clear_object(&self->authority);
    g_clear_pointer(&self->limits, kh_limits_unref);
    g_clear_object(&self->turns);
    g_clear_pointer(&self->denials, kh_denials_free);
    G_OBJECT_CLASS(kh_gate_parent_class)->finalize(object);
}

static void
kh_gate_class_init(KhGateClass *class)
{
    G_OBJECT_CLASS(class)->finalize = kh_gate_finalize;
}

static void
kh_gate_init(KhGate *self)
{
}

KhGate *
kh_gate_new(KhAuthority *authority, KhLimits *limits)
{
    KhGate *self = g_object_new(KH_TYPE_GATE, NULL);

    self->authority = g_object_ref(authority);
    self->limits = kh_limits_ref(limits);
    self->turns = kh_turns_new();
    self->denials = kh_denials_new();
    return self;
}

KhLimits *
kh_gate_get_limits(KhGate *self)
{
    return self->limits;
}

KhTurns *
kh_gate_get_turns(KhGate *self)
{
    return self->turns;
}

guint32
kh_gate_get_caller_uid(GDBusMethodInvocation *invocation)
{
    return GPOINTER_TO_UINT(g_object_get_data(G_OBJECT(invocation), DATA_UID));
}

KhCaller
kh_gate_get_caller(GDBusMethodInvocation *invocation)
{
    return (KhCaller){g_dbus_method_invocation_get_connection(invocation),
                      g_dbus_method_invocation_get_sender(invocation),
                      kh_gate_get_caller_uid(invocation)};
}

gboolean
kh_gate_may_expose(GDBusMethodInvocation *invocation)
{
    return g_object_get_data(G_OBJECT(invocation), DATA_EXPOSES) != NULL;
}

/* One call on its way through the gate. */
typedef struct {
    KhGate *gate;
    GDBusInterfaceSkeleton *skeleton;
    GDBusMethodInvocation *invocation; /* until it is passed on or answered */
    GHashTable *details;
    char *sender;
    guint32 uid;
    const KhMethod *method; /* NULL for reading properties */
    gboolean exposes;       /* as far as is known */
    gboolean asks_last;     /* "expose" is being asked for */
} Call;

static void
call_free(Call *call)
{
    g_clear_object(&call->invocation);
    g_object_unref(call->gate);
    g_object_unref(call->skeleton);
    g_clear_pointer(&call->details, g_hash_table_unref);
    g_free(call->sender);
    g_free(call);
}

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Call, call_free)

static void
log_denial(Call *call, const GError *error)
{
    kh_denials_log(call->gate->denials, call->uid, g_hash_table_lookup(call->details, "instance"),
                   g_hash_table_lookup(call->details, "instance.id"),
                   "%s of uid %u was denied %s on %s: %s", call->sender, call->uid,
                   g_dbus_method_invocation_get_method_name(call->invocation),
                   g_dbus_method_invocation_get_object_path(call->invocation), error->message);
}

/* The skeleton's own code takes over. */
static void
pass_on(Call *call)
{
    const Tables *tables = g_type_get_qdata(G_OBJECT_TYPE(call->skeleton), tables_quark());
    GDBusMethodInvocation *invocation = g_steal_pointer(&call->invocation);

    tables->generated->method_call(
        g_dbus_method_invocation_get_connection(invocation), call->sender,
        g_dbus_method_invocation_get_object_path(invocation),
        g_dbus_method_invocation_get_interface_name(invocation),
        g_dbus_method_invocation_get_method_name(invocation),
        g_dbus_method_invocation_get_parameters(invocation), invocation, call->skeleton);
}

/* What it asks for does, or what its object is already; which others may change meanwhile. */
static gboolean
reaches_out(Call *call)
{
    KhGateReaches function =
        (KhGateReaches)(void (*)(void))g_object_get_data(G_OBJECT(call->skeleton), DATA_REACHES);
    g_autoptr(GVariant) config = NULL;

    if (call->method->expose_argument < 0)
        return FALSE;
    config = g_variant_get_child_value(g_dbus_method_invocation_get_parameters(call->invocation),
                                       (gsize)call->method->expose_argument);
    return kh_config_exposes(config) || (function != NULL && function(call->skeleton, config));
}

static void ask(Call *call, const char *action);

static void
on_decided(GObject *source, GAsyncResult *result, gpointer data)
{
    g_autoptr(Call) call = data;
    g_autoptr(GError) error = NULL;

    if (!kh_authority_check_finish(KH_AUTHORITY(source), result, &error)) {
        log_denial(call, error);
        g_dbus_method_invocation_return_gerror(g_steal_pointer(&call->invocation), error);
        return;
    }
    if (!call->asks_last && (call->exposes || reaches_out(call))) {
        call->asks_last = TRUE;
        ask(g_steal_pointer(&call), ACTION_EXPOSE);
        return;
    }
    if (call->asks_last)
        g_object_set_data(G_OBJECT(call->invocation), DATA_EXPOSES, GINT_TO_POINTER(TRUE));
    pass_on(call);
}

/* Takes @call. */
static void
ask(Call *call, const char *action)
{
    GDBusMessage *message = g_dbus_method_invocation_get_message(call->invocation);
    gboolean interactive = (g_dbus_message_get_flags(message) &
                            G_DBUS_MESSAGE_FLAGS_ALLOW_INTERACTIVE_AUTHORIZATION) != 0;

    kh_authority_check_async(
        call->gate->authority, g_dbus_method_invocation_get_connection(call->invocation),
        call->sender, call->uid, action, call->details, interactive, on_decided, call);
}

/* Transfer full. */
static GHashTable *
describe(GDBusInterfaceSkeleton *skeleton, const char *method, GVariant *parameters)
{
    GHashTable *details = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    KhGateDescribe function =
        (KhGateDescribe)(void (*)(void))g_object_get_data(G_OBJECT(skeleton), DATA_DESCRIBE);

    g_hash_table_insert(details, g_strdup("operation"), g_strdup(method));
    if (function != NULL)
        function(skeleton, method, parameters, details);
    return details;
}

static void
deny(GDBusMethodInvocation *invocation, const char *why)
{
    g_dbus_method_invocation_return_error(
        invocation, KH_ERROR, KH_ERROR_NOT_AUTHORIZED, "%s.%s cannot be called%s",
        g_dbus_method_invocation_get_interface_name(invocation),
        g_dbus_method_invocation_get_method_name(invocation), why);
}

GVariant *
kh_gate_read_property(GDBusInterfaceSkeleton *skeleton, const char *name)
{
    const Tables *tables = g_type_get_qdata(G_OBJECT_TYPE(skeleton), tables_quark());

    /* The generated function looks at nothing but the name and the skeleton. */
    return g_variant_take_ref(
        tables->generated->get_property(NULL, NULL, "", "", name, NULL, skeleton));
}

/*
 * Get or GetAll, of what GDBus has found to be there and readable. Most are short; of a skeleton
 * whose last answer was long the next one is taken to be long, too.
 */
static gboolean
read_properties(gpointer data)
{
    Call *call = data;
    GDBusMethodInvocation *invocation = g_steal_pointer(&call->invocation);
    const GDBusPropertyInfo *property = g_dbus_method_invocation_get_property_info(invocation);
    g_autoptr(GVariant) value = property == NULL
                                    ? g_dbus_interface_skeleton_get_properties(call->skeleton)
                                    : kh_gate_read_property(call->skeleton, property->name);
    gboolean is_long = g_variant_get_size(value) > KH_TURN_LONG_BYTES;

    if (property == NULL || is_long)
        g_object_set_data(G_OBJECT(call->skeleton), DATA_LONG, GINT_TO_POINTER(is_long));
    g_dbus_method_invocation_return_value(
        invocation, g_variant_new(property == NULL ? "(@a{sv})" : "(v)", value));
    return G_SOURCE_REMOVE;
}

/* Takes @call. */
static void
begin_reading(Call *call)
{
    g_autoptr(GDBusMethodInvocation) invocation = g_object_ref(call->invocation);
    GError *error = NULL;
    KhCaller caller;

    if (g_object_get_data(G_OBJECT(call->skeleton), DATA_LONG) == NULL) {
        read_properties(call);
        call_free(call);
        return;
    }
    caller = kh_gate_get_caller(invocation);
    if (!kh_turns_add_long(call->gate->turns, &caller, read_properties, call,
                           (GDestroyNotify)call_free, &error))
        g_dbus_method_invocation_take_error(g_steal_pointer(&invocation), error);
}

/* NULL: nobody says what the method needs. */
static const char *
find_action(Call *call)
{
    KhGateAction function =
        (KhGateAction)(void (*)(void))g_object_get_data(G_OBJECT(call->skeleton), DATA_ACTION);

    if (!g_str_equal(call->method->action, KH_ACTION_OF_OBJECT))
        return call->method->action;
    return function == NULL ? NULL : function(call->skeleton, call->uid);
}

/* Asks for what the method needs; takes @call. */
static void
admit(Call *call)
{
    const KhMethod *method = call->method;
    const char *action = find_action(call);

    if (action == NULL || g_str_equal(action, KH_ACTION_FREE)) {
        if (action == NULL)
            deny(g_steal_pointer(&call->invocation), "");
        else
            pass_on(call);
        call_free(call);
        return;
    }
    call->exposes = reaches_out(call);
    call->details = describe(call->skeleton, method->method,
                             g_dbus_method_invocation_get_parameters(call->invocation));
    ask(call, action);
}

/* The call's turn has come; takes it. */
static void
enter(gpointer data)
{
    g_autoptr(Call) call = data;

    if (call->uid == KH_UID_UNKNOWN)
        deny(g_steal_pointer(&call->invocation), ": you have left the bus");
    else if (g_dbus_interface_skeleton_get_object_path(call->skeleton) == NULL)
        g_dbus_method_invocation_return_error_literal(g_steal_pointer(&call->invocation),
                                                      G_DBUS_ERROR, G_DBUS_ERROR_UNKNOWN_METHOD,
                                                      "This object is not there any more");
    else if (call->method == NULL)
        begin_reading(g_steal_pointer(&call));
    else
        admit(g_steal_pointer(&call));
}

static void
on_identified(guint32 uid, gpointer data)
{
    Call *call = data;
    KhCaller caller;

    call->uid = uid;
    g_object_set_data(G_OBJECT(call->invocation), DATA_UID, GUINT_TO_POINTER(uid));
    caller = kh_gate_get_caller(call->invocation);
    kh_turns_add(call->gate->turns, &caller, enter, call, (GDestroyNotify)call_free);
}

/* In place of the generated method_call, of get_property and of set_property. */
static void
method_call(GDBusConnection *connection, const char *sender, const char *path,
            const char *interface, const char *method, GVariant *parameters,
            GDBusMethodInvocation *invocation, gpointer user_data)
{
    KhGate *gate = g_object_get_data(G_OBJECT(user_data), DATA_GATE);
    KhIntake *intake = kh_intake_of(connection);
    gboolean reads =
        g_str_equal(interface, INTERFACE_PROPERTIES) && g_str_has_prefix(method, "Get");
    const KhMethod *known = kh_method_find(interface, method);
    Call *call;

    if (gate == NULL || intake == NULL || sender == NULL || (known == NULL && !reads)) {
        deny(invocation, "");
        return;
    }
    call = g_new0(Call, 1);
    call->gate = g_object_ref(gate);
    call->skeleton = g_object_ref(user_data);
    call->invocation = invocation;
    call->sender = g_strdup(sender);
    call->method = known;
    kh_intake_identify(intake, sender,
                       g_dbus_message_get_serial(g_dbus_method_invocation_get_message(invocation)),
                       on_identified, call);
}

static GDBusInterfaceVTable *
get_vtable(GDBusInterfaceSkeleton *skeleton)
{
    Tables *tables = g_type_get_qdata(G_OBJECT_TYPE(skeleton), tables_quark());

    return &tables->guarded;
}

void
kh_gate_guard_class(GDBusInterfaceSkeletonClass *class)
{
    Tables *tables = g_new0(Tables, 1);

    /* The generated function does not look at its argument. */
    tables->generated = class->get_vtable(NULL);
    tables->guarded = *tables->generated;
    tables->guarded.method_call = method_call;
    tables->guarded.get_property = NULL;
    tables->guarded.set_property = NULL;
    g_type_set_qdata(G_TYPE_FROM_CLASS(class), tables_quark(), tables);
    class->get_vtable = get_vtable;
}

void
kh_gate_attach(KhGate *self, GDBusInterfaceSkeleton *skeleton, KhGateDescribe function)
{
    g_object_set_data_full(G_OBJECT(skeleton), DATA_GATE, g_object_ref(self), g_object_unref);
    g_object_set_data(G_OBJECT(skeleton), DATA_DESCRIBE, (gpointer)(void (*)(void))function);
}

void
kh_gate_set_reaches(GDBusInterfaceSkeleton *skeleton, KhGateReaches function)
{
    g_object_set_data(G_OBJECT(skeleton), DATA_REACHES, (gpointer)(void (*)(void))function);
}

void
kh_gate_set_action(GDBusInterfaceSkeleton *skeleton, KhGateAction function)
{
    g_object_set_data(G_OBJECT(skeleton), DATA_ACTION, (gpointer)(void (*)(void))function);
}

static void
on_answered(GObject *source, GAsyncResult *result, gpointer data)
{
    g_autoptr(GTask) task = data;

    g_task_return_boolean(task, kh_authority_check_finish(KH_AUTHORITY(source), result, NULL));
}

void
kh_gate_ask_async(KhGate *self, GDBusInterfaceSkeleton *skeleton, GDBusMethodInvocation *invocation,
                  const char *action, GAsyncReadyCallback callback, gpointer user_data)
{
    GTask *task = g_task_new(self, NULL, callback, user_data);
    g_autoptr(GHashTable) details =
        describe(skeleton, g_dbus_method_invocation_get_method_name(invocation),
                 g_dbus_method_invocation_get_parameters(invocation));

    g_task_set_source_tag(task, kh_gate_ask_async);
    kh_authority_check_async(self->authority, g_dbus_method_invocation_get_connection(invocation),
                             g_dbus_method_invocation_get_sender(invocation),
                             kh_gate_get_caller_uid(invocation), action, details, FALSE,
                             on_answered, task);
}

gboolean
kh_gate_ask_finish(KhGate *self, GAsyncResult *result)
{
    return g_task_propagate_boolean(G_TASK(result), NULL);
}
