/* SPDX-License-Identifier: MIT */
/*
 * The one way into a method; see gate.h. It works by the virtual table that a generated
 * skeleton hands to GDBus: a copy of it is given out, with a method_call of our own and
 * without set_property, whose calls GDBus then routes into method_call.
 */
#include "gate.h"

#include "error.h"
#include "instance/config.h"
#include "names.h"

#define ACTION_FREE "free"
#define ACTION_EXPOSE "expose"
#define DATA_GATE "kh-gate"
#define DATA_DESCRIBE "kh-gate-describe"
#define DATA_REACHES "kh-gate-reaches"
#define DATA_UID "kh-gate-uid"
#define DATA_EXPOSES "kh-gate-exposes"

struct _KhGate {
    GObject parent_instance;
    KhAuthority *authority;
    KhLimits *limits;
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
    return self;
}

KhLimits *
kh_gate_get_limits(KhGate *self)
{
    return self->limits;
}

const char *
kh_gate_action_of(const char *interface, const char *method, int *expose_argument)
{
    static const struct {
        const char *interface, *method, *action;
        int expose_argument;
    } table[] = {
#include "method-actions.inc"
    };

    for (guint i = 0; i < G_N_ELEMENTS(table); i++)
        if (g_str_equal(table[i].interface, interface) && g_str_equal(table[i].method, method)) {
            *expose_argument = table[i].expose_argument;
            return table[i].action;
        }
    return NULL;
}

guint32
kh_gate_get_caller_uid(GDBusMethodInvocation *invocation)
{
    return GPOINTER_TO_UINT(g_object_get_data(G_OBJECT(invocation), DATA_UID));
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
    const char *action;
    int expose_argument; /* what it may expose is in there; -1: nowhere */
    gboolean exposes;    /* as far as is known */
    gboolean asks_last;  /* "expose" is being asked for */
} Call;

static void
call_free(Call *call)
{
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
    g_message("%s was denied %s on %s: %s", call->sender,
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

    if (call->expose_argument < 0)
        return FALSE;
    config = g_variant_get_child_value(g_dbus_method_invocation_get_parameters(call->invocation),
                                       (gsize)call->expose_argument);
    return kh_config_exposes(config) || (function != NULL && function(call->skeleton, config));
}

static void ask(Call *call, const char *action);

static void
on_decided(GObject *source, GAsyncResult *result, gpointer data)
{
    g_autoptr(Call) call = data;
    g_autoptr(GError) error = NULL;
    guint32 uid;

    if (!kh_authority_check_finish(KH_AUTHORITY(source), result, &uid, &error)) {
        log_denial(call, error);
        g_dbus_method_invocation_return_gerror(call->invocation, error);
        return;
    }
    g_object_set_data(G_OBJECT(call->invocation), DATA_UID, GUINT_TO_POINTER(uid));
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

    kh_authority_check_async(call->gate->authority,
                             g_dbus_method_invocation_get_connection(call->invocation),
                             call->sender, action, call->details, interactive, on_decided, call);
}

/* Counts the call until its reply is sent, when the invocation goes away. */
typedef struct {
    KhLimits *limits;
    char *sender;
} Counted;

static void
on_invocation_gone(gpointer data, GObject *where_it_was)
{
    Counted *counted = data;

    kh_limits_leave(counted->limits, counted->sender, KH_LIMIT_CALLS);
    kh_limits_unref(counted->limits);
    g_free(counted->sender);
    g_free(counted);
}

static gboolean
count_call(Call *call, GError **error)
{
    Counted *counted;

    if (!kh_limits_enter(call->gate->limits, call->sender, KH_LIMIT_CALLS, error))
        return FALSE;
    counted = g_new0(Counted, 1);
    counted->limits = kh_limits_ref(call->gate->limits);
    counted->sender = g_strdup(call->sender);
    g_object_weak_ref(G_OBJECT(call->invocation), on_invocation_gone, counted);
    return TRUE;
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

/* Takes the first steps of a call that has an action; takes @call. */
static void
enter(Call *call, const char *method, GVariant *parameters)
{
    g_autoptr(Call) owned = call;
    g_autoptr(GError) error = NULL;

    if (!count_call(call, &error)) {
        g_dbus_method_invocation_return_gerror(call->invocation, error);
        return;
    }
    if (g_str_equal(call->action, ACTION_FREE)) {
        pass_on(call);
        return;
    }
    call->exposes = reaches_out(call);
    call->details = describe(call->skeleton, method, parameters);
    ask(g_steal_pointer(&owned), call->action);
}

/* In place of the generated method_call, and of set_property. */
static void
method_call(GDBusConnection *connection, const char *sender, const char *path,
            const char *interface, const char *method, GVariant *parameters,
            GDBusMethodInvocation *invocation, gpointer user_data)
{
    KhGate *gate = g_object_get_data(G_OBJECT(user_data), DATA_GATE);
    int expose_argument = -1;
    const char *action = kh_gate_action_of(interface, method, &expose_argument);
    Call *call;

    if (gate == NULL || action == NULL || sender == NULL) {
        g_dbus_method_invocation_return_error(invocation, KH_ERROR, KH_ERROR_NOT_AUTHORIZED,
                                              "%s.%s cannot be called", interface, method);
        return;
    }
    call = g_new0(Call, 1);
    call->gate = g_object_ref(gate);
    call->skeleton = g_object_ref(user_data);
    call->invocation = invocation;
    call->sender = g_strdup(sender);
    call->action = action;
    call->expose_argument = expose_argument;
    enter(call, method, parameters);
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

static void
on_answered(GObject *source, GAsyncResult *result, gpointer data)
{
    g_autoptr(GTask) task = data;
    guint32 uid;

    g_task_return_boolean(task,
                          kh_authority_check_finish(KH_AUTHORITY(source), result, &uid, NULL));
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
                             g_dbus_method_invocation_get_sender(invocation), action, details,
                             FALSE, on_answered, task);
}

gboolean
kh_gate_ask_finish(KhGate *self, GAsyncResult *result)
{
    return g_task_propagate_boolean(G_TASK(result), NULL);
}
