/* SPDX-License-Identifier: MIT */
/* Calls to systemd; see systemd-bus.h. */
#include "systemd-bus.h"

#include <string.h>
#include <systemd/sd-bus.h>
#include <systemd/sd-id128.h>

#include "error.h"

#define SYSTEMD "org.freedesktop.systemd1"
#define MANAGER_PATH "/org/freedesktop/systemd1"
#define MANAGER SYSTEMD ".Manager"
#define UNIT_EXISTS SYSTEMD ".UnitExists"

/* Between two looks at a unit that is on its way; JobRemoved comes between them. */
#define LOOK_FIRST_MS 20
#define LOOK_LAST_MS 500
/* How often a unit that does not die is told to end again. */
#define END_INTERVAL_S 60

struct _KhSystemdBus {
    GObject parent_instance;
    char *address;
    GDBusConnection *connection;
    gboolean connecting;
    guint jobs;       /* subscription to JobRemoved */
    GQueue waiting;   /* Waiter *: for the connection */
    GPtrArray *looks; /* Look *: at units on their way */
};

G_DEFINE_FINAL_TYPE(KhSystemdBus, kh_systemd_bus, G_TYPE_OBJECT)

/* --- units --------------------------------------------------------------------------- */

void
kh_unit_state_free(KhUnitState *state)
{
    g_free(state->active_state);
    g_free(state->result);
    g_free(state->status_text);
    g_free(state);
}

static gboolean
state_is(const KhUnitState *state, const char *active_state)
{
    return g_str_equal(state->active_state, active_state);
}

gboolean
kh_unit_state_is_dead(const KhUnitState *state)
{
    return !state->has_job && (state_is(state, "inactive") || state_is(state, "failed"));
}

static gboolean
is_on_its_way(const KhUnitState *state)
{
    return state->has_job || state_is(state, "activating");
}

char *
kh_unit_path(const char *unit)
{
    char *path = NULL;

    if (sd_bus_path_encode(MANAGER_PATH "/unit", unit, &path) < 0)
        g_error("There is no memory for the path of %s", unit);
    return path;
}

/* --- the connection ------------------------------------------------------------------ */

/* Called with the connection there, or with the reason why it is not. */
typedef void (*Continue)(KhSystemdBus *self, gpointer data, const GError *error);

typedef struct {
    Continue next;
    gpointer data;
} Waiter;

static void look_again(KhSystemdBus *self, const char *unit);

static void
on_job_removed(GDBusConnection *connection, const char *sender, const char *path,
               const char *interface, const char *signal, GVariant *parameters, gpointer data)
{
    const char *unit = NULL;

    if (!g_variant_is_of_type(parameters, G_VARIANT_TYPE("(uoss)")))
        return;
    g_variant_get(parameters, "(uo&ss)", NULL, NULL, &unit, NULL);
    look_again(data, unit);
}

static void
drop_connection(KhSystemdBus *self)
{
    if (self->connection == NULL)
        return;
    g_dbus_connection_signal_unsubscribe(self->connection, self->jobs);
    g_clear_object(&self->connection);
}

static void
take_connection(KhSystemdBus *self, GDBusConnection *connection)
{
    self->connection = connection;
    g_dbus_connection_set_exit_on_close(connection, FALSE);
    self->jobs = g_dbus_connection_signal_subscribe(connection, SYSTEMD, MANAGER, "JobRemoved",
                                                    MANAGER_PATH, NULL, G_DBUS_SIGNAL_FLAGS_NONE,
                                                    on_job_removed, self, NULL);
    g_dbus_connection_call(connection, SYSTEMD, MANAGER_PATH, MANAGER, "Subscribe", NULL, NULL,
                           G_DBUS_CALL_FLAGS_NONE, -1, NULL, NULL, NULL);
}

static void
serve_waiters(KhSystemdBus *self, const GError *error)
{
    GQueue waiting = self->waiting;

    g_queue_init(&self->waiting);
    for (Waiter *waiter; (waiter = g_queue_pop_head(&waiting)) != NULL; g_free(waiter))
        waiter->next(self, waiter->data, error);
}

static void
on_connected(GObject *source, GAsyncResult *result, gpointer data)
{
    g_autoptr(KhSystemdBus) self = data;
    g_autoptr(GError) error = NULL;
    GDBusConnection *connection = g_dbus_connection_new_for_address_finish(result, &error);

    self->connecting = FALSE;
    if (connection != NULL)
        take_connection(self, connection);
    serve_waiters(self, error);
}

static void
connect_async(KhSystemdBus *self)
{
    g_autoptr(GError) error = NULL;
    /* A look at the environment and no more. */
    g_autofree char *address =
        self->address != NULL ? g_strdup(self->address)
                              : g_dbus_address_get_for_bus_sync(G_BUS_TYPE_SYSTEM, NULL, &error);

    if (address == NULL) {
        serve_waiters(self, error);
        return;
    }
    self->connecting = TRUE;
    g_dbus_connection_new_for_address(address,
                                      G_DBUS_CONNECTION_FLAGS_AUTHENTICATION_CLIENT |
                                          G_DBUS_CONNECTION_FLAGS_MESSAGE_BUS_CONNECTION,
                                      NULL, NULL, on_connected, g_object_ref(self));
}

static void
connect_then(KhSystemdBus *self, Continue next, gpointer data)
{
    Waiter *waiter;

    if (self->connection != NULL && g_dbus_connection_is_closed(self->connection))
        drop_connection(self);
    if (self->connection != NULL) {
        next(self, data, NULL);
        return;
    }
    waiter = g_new0(Waiter, 1);
    waiter->next = next;
    waiter->data = data;
    g_queue_push_tail(&self->waiting, waiter);
    if (!self->connecting)
        connect_async(self);
}

/* --- looking at a unit --------------------------------------------------------------- */

/* One wait for a unit: looks at it until it is where it is wanted. */
typedef struct {
    GTask *task; /* which owns this; ours until look_end() */
    char *unit;
    char *path;
    GVariant *properties; /* of a start that has not been made yet */
    KhUnitOwned owned;    /* NULL: it always is */
    gpointer owned_data;
    gboolean dead;    /* only a dead unit will do */
    gint64 end_at;    /* when it is told to end; monotonic */
    gboolean asking;  /* an answer is awaited */
    guint unanswered; /* questions of this look */
    gboolean unknown; /* one of them had no answer: the state says nothing */
    gboolean again;   /* something has happened meanwhile */
    guint delay_ms;
    guint timer;
    guint timeout_ms;
    gint64 deadline;
    KhUnitState *state;
} Look;

static void
look_free(gpointer data)
{
    Look *look = data;

    g_clear_handle_id(&look->timer, g_source_remove);
    g_clear_pointer(&look->properties, g_variant_unref);
    g_clear_pointer(&look->state, kh_unit_state_free);
    g_free(look->unit);
    g_free(look->path);
    g_free(look);
}

static void
set_deadline(Look *look)
{
    look->deadline = g_get_monotonic_time() + (gint64)look->timeout_ms * 1000;
}

static Look *
look_new(KhSystemdBus *self, const char *unit, guint timeout_ms, gpointer tag,
         GAsyncReadyCallback callback, gpointer user_data)
{
    Look *look = g_new0(Look, 1);

    look->task = g_task_new(self, NULL, callback, user_data);
    g_task_set_source_tag(look->task, tag);
    g_task_set_task_data(look->task, look, look_free);
    look->unit = g_strdup(unit);
    look->path = kh_unit_path(unit);
    look->delay_ms = LOOK_FIRST_MS;
    look->timeout_ms = timeout_ms;
    set_deadline(look);
    g_ptr_array_add(self->looks, look);
    return look;
}

/* Ends the wait: with the state, or with the error. */
static void
look_end(Look *look, GError *error)
{
    KhSystemdBus *self = g_task_get_source_object(look->task);
    g_autoptr(GTask) task = look->task;

    g_ptr_array_remove_fast(self->looks, look);
    g_clear_handle_id(&look->timer, g_source_remove);
    if (error != NULL)
        g_task_return_error(task, error);
    else
        g_task_return_pointer(task, g_steal_pointer(&look->state),
                              (GDestroyNotify)kh_unit_state_free);
}

static void start_unit(KhSystemdBus *self, gpointer data, const GError *error);
static void look_at_unit(KhSystemdBus *self, gpointer data, const GError *error);

static void
look_now(Look *look)
{
    KhSystemdBus *self = g_task_get_source_object(look->task);

    g_clear_handle_id(&look->timer, g_source_remove);
    if (look->asking) {
        look->again = TRUE;
        return;
    }
    look->asking = TRUE;
    connect_then(self, look_at_unit, look);
}

static gboolean
on_look_timer(gpointer data)
{
    Look *look = data;

    look->timer = 0;
    look_now(look);
    return G_SOURCE_REMOVE;
}

static void
look_later(Look *look)
{
    if (g_get_monotonic_time() >= look->deadline) {
        look_end(look, g_error_new(KH_ERROR, KH_ERROR_TIMED_OUT,
                                   "systemd did not finish with %s in time", look->unit));
        return;
    }
    look->timer = g_timeout_add(look->again ? 0 : look->delay_ms, on_look_timer, look);
    look->again = FALSE;
    look->delay_ms = MIN(look->delay_ms * 2, LOOK_LAST_MS);
}

static void
look_again(KhSystemdBus *self, const char *unit)
{
    for (guint i = self->looks->len; i-- > 0;) {
        Look *look = self->looks->pdata[i];

        if (g_str_equal(look->unit, unit))
            look_now(look);
    }
}

/* What lives though it should not is told to end, but for what is another's. */
static gboolean
tell_to_end(KhSystemdBus *self, Look *look, GError **error)
{
    const KhUnitState *state = look->state;
    gint64 now = g_get_monotonic_time();

    if (look->owned != NULL && !look->owned(state, look->owned_data, error))
        return FALSE;
    if (now < look->end_at || state_is(state, "deactivating"))
        return TRUE;
    g_warning("%s is left over from a machine that was given up (%s) and is told to end",
              look->unit, state->active_state);
    look->end_at = now + END_INTERVAL_S * G_USEC_PER_SEC;
    kh_systemd_bus_stop(self, look->unit);
    return TRUE;
}

static GError *
clash_error(const Look *look, const GError *reason)
{
    return g_error_new(KH_ERROR, KH_ERROR_LAUNCH_FAILED, "There is a unit %s already. %s",
                       look->unit, reason->message);
}

/*
 * An earlier unit of the same name stands in the way of a start. Who starts a unit knows of
 * none that runs: one of its own that does all the same is nobody's, and ends.
 */
static void
consider_clash(KhSystemdBus *self, Look *look)
{
    g_autoptr(GError) reason = NULL;

    if (kh_unit_state_is_dead(look->state)) {
        kh_systemd_bus_release(self, look->unit);
        look->asking = TRUE;
        connect_then(self, start_unit, look);
    } else if (!tell_to_end(self, look, &reason) &&
               g_error_matches(reason, KH_ERROR, KH_ERROR_NOT_AUTHORIZED)) {
        look_end(look, clash_error(look, reason));
    } else {
        look_later(look);
    }
}

static void
consider_end(KhSystemdBus *self, Look *look)
{
    g_autoptr(GError) reason = NULL;

    if (kh_unit_state_is_dead(look->state))
        look_end(look, NULL);
    else if (!tell_to_end(self, look, &reason) &&
             g_error_matches(reason, KH_ERROR, KH_ERROR_NOT_AUTHORIZED))
        look_end(look, g_steal_pointer(&reason));
    else
        look_later(look);
}

static void
consider(KhSystemdBus *self, Look *look)
{
    look->asking = FALSE;
    if (look->unknown)
        look_later(look);
    else if (look->properties != NULL)
        consider_clash(self, look);
    else if (look->dead)
        consider_end(self, look);
    else if (is_on_its_way(look->state))
        look_later(look);
    else
        look_end(look, NULL);
}

/* What is read of a unit, in this order: no job means that what follows is final. */
static const struct {
    const char *interface, *name, *type;
} fields[] = {
    {SYSTEMD ".Unit", "Job", "(uo)"},
    {SYSTEMD ".Unit", "ActiveState", "s"},
    {SYSTEMD ".Service", "Result", "s"},
    {SYSTEMD ".Service", "StatusText", "s"},
    {SYSTEMD ".Service", "MainPID", "u"},
    {SYSTEMD ".Service", "ExecMainCode", "i"},
    {SYSTEMD ".Service", "ExecMainStatus", "i"},
};

static void
read_field(KhUnitState *state, const char *name, GVariant *value)
{
    guint job;

    if (g_str_equal(name, "Job")) {
        g_variant_get(value, "(uo)", &job, NULL);
        state->has_job = job != 0;
    } else if (g_str_equal(name, "ActiveState")) {
        g_free(state->active_state);
        state->active_state = g_variant_dup_string(value, NULL);
    } else if (g_str_equal(name, "Result")) {
        g_free(state->result);
        state->result = g_variant_dup_string(value, NULL);
    } else if (g_str_equal(name, "StatusText")) {
        g_free(state->status_text);
        state->status_text = g_variant_dup_string(value, NULL);
    } else if (g_str_equal(name, "MainPID")) {
        state->main_pid = g_variant_get_uint32(value);
    } else if (g_str_equal(name, "ExecMainCode")) {
        state->exit_code = g_variant_get_int32(value);
    } else {
        state->exit_status = g_variant_get_int32(value);
    }
}

/* One answer of several. A connection that closes fails them in any order. */
typedef struct {
    Look *look;
    guint field;
} Question;

/* systemd itself says that there is no such unit, or none of that kind. */
static gboolean
is_absent(const GError *error)
{
    static const char *const names[] = {
        "org.freedesktop.DBus.Error.UnknownObject", "org.freedesktop.DBus.Error.UnknownMethod",
        "org.freedesktop.DBus.Error.UnknownInterface", SYSTEMD ".NoSuchUnit", NULL};
    g_autofree char *name = g_dbus_error_get_remote_error(error);

    return name != NULL && g_strv_contains(names, name);
}

/* The bus or systemd is away, so that what was asked for may have been done or not. */
static gboolean
is_unreachable(const GError *error)
{
    g_autofree char *name = g_dbus_error_get_remote_error(error);

    return name == NULL || g_str_has_prefix(name, "org.freedesktop.DBus.Error.NoReply") ||
           g_str_has_prefix(name, "org.freedesktop.DBus.Error.Disconnected") ||
           g_str_has_prefix(name, "org.freedesktop.DBus.Error.NameHasNoOwner") ||
           g_str_has_prefix(name, "org.freedesktop.DBus.Error.ServiceUnknown") ||
           g_str_has_prefix(name, "org.freedesktop.DBus.Error.Timeout");
}

static void
on_field(GObject *source, GAsyncResult *result, gpointer data)
{
    g_autofree Question *question = data;
    Look *look = question->look;
    g_autoptr(GError) error = NULL;
    g_autoptr(GVariant) value = NULL;
    g_autoptr(GVariant) answer =
        g_dbus_connection_call_finish(G_DBUS_CONNECTION(source), result, &error);

    if (answer != NULL)
        g_variant_get(answer, "(v)", &value);
    if (value != NULL && g_variant_is_of_type(value, G_VARIANT_TYPE(fields[question->field].type)))
        read_field(look->state, fields[question->field].name, value);
    else if (error == NULL || !is_absent(error))
        look->unknown = TRUE;
    if (--look->unanswered == 0)
        consider(g_task_get_source_object(look->task), look);
}

/* A lost connection ends no wait: what systemd does goes on without it. */
static void
look_at_unit(KhSystemdBus *self, gpointer data, const GError *error)
{
    Look *look = data;

    if (error != NULL) {
        look->asking = FALSE;
        look_later(look);
        return;
    }
    g_clear_pointer(&look->state, kh_unit_state_free);
    look->state = g_new0(KhUnitState, 1);
    look->state->active_state = g_strdup("inactive");
    look->state->result = g_strdup("success");
    look->state->status_text = g_strdup("");
    look->unanswered = G_N_ELEMENTS(fields);
    look->unknown = FALSE;
    for (guint i = 0; i < G_N_ELEMENTS(fields); i++) {
        Question *question = g_new0(Question, 1);

        question->look = look;
        question->field = i;
        g_dbus_connection_call(
            self->connection, SYSTEMD, look->path, "org.freedesktop.DBus.Properties", "Get",
            g_variant_new("(ss)", fields[i].interface, fields[i].name), G_VARIANT_TYPE("(v)"),
            G_DBUS_CALL_FLAGS_NO_AUTO_START, -1, NULL, on_field, question);
    }
}

/* --- the calls ----------------------------------------------------------------------- */

static void
on_start_answered(GObject *source, GAsyncResult *result, gpointer data)
{
    Look *look = data;
    GError *error = NULL;
    g_autoptr(GVariant) answer =
        g_dbus_connection_call_finish(G_DBUS_CONNECTION(source), result, &error);
    g_autofree char *name = error == NULL ? NULL : g_dbus_error_get_remote_error(error);

    look->asking = FALSE;
    if (g_strcmp0(name, UNIT_EXISTS) == 0) {
        g_error_free(error);
        look_later(look);
    } else if (error == NULL || is_unreachable(error)) {
        /* Without an answer the unit may have been started all the same. */
        g_clear_error(&error);
        g_clear_pointer(&look->properties, g_variant_unref);
        set_deadline(look);
        look_now(look);
    } else {
        g_dbus_error_strip_remote_error(error);
        look_end(look, kh_error_import(error, KH_ERROR_LAUNCH_FAILED, "systemd"));
    }
}

static void
start_unit(KhSystemdBus *self, gpointer data, const GError *error)
{
    Look *look = data;

    if (error != NULL) {
        look_end(look, g_error_new(KH_ERROR, KH_ERROR_LAUNCH_FAILED,
                                   "systemd cannot be reached on the bus: %s", error->message));
        return;
    }
    g_dbus_connection_call(
        self->connection, SYSTEMD, MANAGER_PATH, MANAGER, "StartTransientUnit",
        g_variant_new("(ss@a(sv)a(sa(sv)))", look->unit, "fail", look->properties, NULL),
        G_VARIANT_TYPE("(o)"), G_DBUS_CALL_FLAGS_NONE, -1, NULL, on_start_answered, look);
}

void
kh_systemd_bus_start_async(KhSystemdBus *self, const char *unit, GVariant *properties,
                           KhUnitOwned owned, gpointer owned_data, guint timeout_ms,
                           GAsyncReadyCallback callback, gpointer user_data)
{
    Look *look = look_new(self, unit, timeout_ms, kh_systemd_bus_start_async, callback, user_data);

    look->properties = g_variant_ref_sink(properties);
    look->owned = owned;
    look->owned_data = owned_data;
    look->asking = TRUE;
    connect_then(self, start_unit, look);
}

void
kh_systemd_bus_settle_async(KhSystemdBus *self, const char *unit, guint timeout_ms,
                            GAsyncReadyCallback callback, gpointer user_data)
{
    Look *look = look_new(self, unit, timeout_ms, kh_systemd_bus_settle_async, callback, user_data);

    look_now(look);
}

void
kh_systemd_bus_end_async(KhSystemdBus *self, const char *unit, KhUnitOwned owned,
                         gpointer owned_data, guint grace_ms, GAsyncReadyCallback callback,
                         gpointer user_data)
{
    Look *look = look_new(self, unit, 0, kh_systemd_bus_end_async, callback, user_data);

    look->dead = TRUE;
    look->owned = owned;
    look->owned_data = owned_data;
    look->end_at = g_get_monotonic_time() + (gint64)grace_ms * 1000;
    look->deadline = G_MAXINT64;
    look_now(look);
}

/* What is sent and not waited for. */
typedef struct {
    const char *name, *path, *interface, *method;
    GVariant *parameters;
} Message;

/* What is gone needs nothing, and no systemd-machined need be there. */
static void
on_sent(GObject *source, GAsyncResult *result, gpointer data)
{
    const char *method = data;
    g_autoptr(GError) error = NULL;
    g_autoptr(GVariant) answer =
        g_dbus_connection_call_finish(G_DBUS_CONNECTION(source), result, &error);
    g_autofree char *name = error == NULL ? NULL : g_dbus_error_get_remote_error(error);

    if (error == NULL || is_unreachable(error) || g_strcmp0(name, SYSTEMD ".NoSuchUnit") == 0 ||
        g_strcmp0(name, SYSTEMD ".NotReferenced") == 0 ||
        g_str_has_prefix(name, "org.freedesktop.DBus.Error.Spawn"))
        return;
    g_dbus_error_strip_remote_error(error);
    g_message("%s failed: %s", method, error->message);
}

static void
send_message(KhSystemdBus *self, gpointer data, const GError *error)
{
    g_autofree Message *message = data;
    g_autoptr(GVariant) parameters = message->parameters;

    if (error == NULL)
        g_dbus_connection_call(self->connection, message->name, message->path, message->interface,
                               message->method, parameters, NULL, G_DBUS_CALL_FLAGS_NONE, -1, NULL,
                               on_sent, (gpointer)message->method);
}

static void
post(KhSystemdBus *self, const Message *message)
{
    Message *copy = g_memdup2(message, sizeof *message);

    g_variant_ref_sink(copy->parameters);
    connect_then(self, send_message, copy);
}

static void
post_to_manager(KhSystemdBus *self, const char *method, GVariant *parameters)
{
    post(self, &(Message){SYSTEMD, MANAGER_PATH, MANAGER, method, parameters});
}

void
kh_systemd_bus_release(KhSystemdBus *self, const char *unit)
{
    post_to_manager(self, "ResetFailedUnit", g_variant_new("(s)", unit));
    post_to_manager(self, "UnrefUnit", g_variant_new("(s)", unit));
}

void
kh_systemd_bus_hold(KhSystemdBus *self, const char *unit)
{
    post_to_manager(self, "RefUnit", g_variant_new("(s)", unit));
}

void
kh_systemd_bus_stop(KhSystemdBus *self, const char *unit)
{
    post_to_manager(self, "StopUnit", g_variant_new("(ss)", unit, "replace"));
}

void
kh_systemd_bus_set(KhSystemdBus *self, const char *unit, GVariant *properties)
{
    post_to_manager(self, "SetUnitProperties", g_variant_new("(sb@a(sv))", unit, TRUE, properties));
}

/* The 16 bytes of a UUID; none for what is not one. */
static GVariant *
uuid_bytes(const char *id)
{
    sd_id128_t bytes = SD_ID128_NULL;
    gboolean is_uuid = sd_id128_from_string(id, &bytes) >= 0;

    return g_variant_new_fixed_array(G_VARIANT_TYPE_BYTE, bytes.bytes,
                                     is_uuid ? sizeof bytes.bytes : 0, 1);
}

void
kh_systemd_bus_register(KhSystemdBus *self, const char *id, guint32 leader)
{
    g_autofree char *name = g_strconcat("katana-", id, NULL);

    post(self, &(Message){"org.freedesktop.machine1", "/org/freedesktop/machine1",
                          "org.freedesktop.machine1.Manager", "RegisterMachine",
                          g_variant_new("(s@ayssus)", name, uuid_bytes(id), "katana-hypervisor",
                                        "vm", leader, "")});
}

KhUnitState *
kh_systemd_bus_finish(KhSystemdBus *self, GAsyncResult *result, GError **error)
{
    return g_task_propagate_pointer(G_TASK(result), error);
}

/* --- the object ---------------------------------------------------------------------- */

static void
kh_systemd_bus_finalize(GObject *object)
{
    KhSystemdBus *self = KH_SYSTEMD_BUS(object);

    drop_connection(self);
    g_ptr_array_unref(self->looks);
    g_free(self->address);
    G_OBJECT_CLASS(kh_systemd_bus_parent_class)->finalize(object);
}

static void
kh_systemd_bus_class_init(KhSystemdBusClass *class)
{
    G_OBJECT_CLASS(class)->finalize = kh_systemd_bus_finalize;
}

static void
kh_systemd_bus_init(KhSystemdBus *self)
{
    g_queue_init(&self->waiting);
    self->looks = g_ptr_array_new();
}

KhSystemdBus *
kh_systemd_bus_new(const char *address)
{
    KhSystemdBus *self = g_object_new(KH_TYPE_SYSTEMD_BUS, NULL);

    self->address = g_strdup(address);
    return self;
}
