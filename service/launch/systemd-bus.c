/* SPDX-License-Identifier: MIT */
/* Calls to systemd; see systemd-bus.h. */
#include "systemd-bus.h"

#include <systemd/sd-id128.h>

#include "error.h"
#include "systemd-connection.h"

/* Between two looks at a unit that is on its way; JobRemoved comes between them. */
#define LOOK_FIRST_MS 20
#define LOOK_LAST_MS 500
/* How often a unit that does not die is told to end again. */
#define END_INTERVAL_S 60

struct _KhSystemdBus {
    GObject parent_instance;
    KhSystemdConnection *connection;
    GPtrArray *looks; /* Look *: at units on their way */
};

G_DEFINE_FINAL_TYPE(KhSystemdBus, kh_systemd_bus, G_TYPE_OBJECT)

/* --- looking at a unit --------------------------------------------------------------- */

/* One wait for a unit: looks at it until it is where it is wanted. */
typedef struct {
    GTask *task; /* which owns this; ours until look_end() */
    char *unit;
    GVariant *properties; /* of a start that has not been made yet */
    KhUnitOwned owned;    /* NULL: it always is */
    gpointer owned_data;
    gboolean dead;   /* only a dead unit will do */
    gint64 end_at;   /* when it is told to end; monotonic */
    gboolean asking; /* an answer is awaited */
    gboolean again;  /* something has happened meanwhile */
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

static void start_unit(GDBusConnection *connection, gpointer data, const GError *error);
static void look_at_unit(GDBusConnection *connection, gpointer data, const GError *error);

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
    kh_systemd_connection_get(self->connection, look_at_unit, look);
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
on_job_removed(KhSystemdConnection *connection, const char *unit, KhSystemdBus *self)
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
    if (now < look->end_at || kh_unit_state_is(state, "deactivating"))
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
        kh_systemd_connection_get(self->connection, start_unit, look);
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
    if (look->properties != NULL)
        consider_clash(self, look);
    else if (look->dead)
        consider_end(self, look);
    else if (look->state->job != 0 || kh_unit_state_is(look->state, "activating"))
        look_later(look);
    else
        look_end(look, NULL);
}

static void
on_state(KhUnitState *state, gpointer data)
{
    Look *look = data;

    look->asking = FALSE;
    if (state == NULL) {
        look_later(look);
        return;
    }
    g_clear_pointer(&look->state, kh_unit_state_free);
    look->state = state;
    consider(g_task_get_source_object(look->task), look);
}

/* A lost connection ends no wait: what systemd does goes on without it. */
static void
look_at_unit(GDBusConnection *connection, gpointer data, const GError *error)
{
    Look *look = data;

    if (error != NULL)
        on_state(NULL, look);
    else
        kh_unit_state_read(connection, look->unit, on_state, look);
}

/* --- the calls ----------------------------------------------------------------------- */

/* The bus or systemd is away, so that what was asked for may have been done or not. */
static gboolean
is_unreachable(const GError *error)
{
    static const char *const names[] = {
        "org.freedesktop.DBus.Error.NoReply",        "org.freedesktop.DBus.Error.Disconnected",
        "org.freedesktop.DBus.Error.NameHasNoOwner", "org.freedesktop.DBus.Error.ServiceUnknown",
        "org.freedesktop.DBus.Error.Timeout",        NULL};
    g_autofree char *name = g_dbus_error_get_remote_error(error);

    return name == NULL || g_strv_contains(names, name);
}

static void
on_start_answered(GObject *source, GAsyncResult *result, gpointer data)
{
    static const char *const exists[] = {KH_SYSTEMD ".UnitExists", NULL};
    Look *look = data;
    GError *error = NULL;
    g_autoptr(GVariant) answer =
        g_dbus_connection_call_finish(G_DBUS_CONNECTION(source), result, &error);

    look->asking = FALSE;
    if (kh_systemd_error_is(error, exists)) {
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
start_unit(GDBusConnection *connection, gpointer data, const GError *error)
{
    Look *look = data;

    if (error != NULL) {
        look_end(look, g_error_new(KH_ERROR, KH_ERROR_LAUNCH_FAILED,
                                   "systemd cannot be reached on the bus: %s", error->message));
        return;
    }
    g_dbus_connection_call(
        connection, KH_SYSTEMD, KH_SYSTEMD_PATH, KH_SYSTEMD_MANAGER, "StartTransientUnit",
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
    kh_systemd_connection_get(self->connection, start_unit, look);
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
    static const char *const gone[] = {KH_SYSTEMD ".NoSuchUnit", KH_SYSTEMD ".NotReferenced", NULL};
    const char *method = data;
    g_autoptr(GError) error = NULL;
    g_autoptr(GVariant) answer =
        g_dbus_connection_call_finish(G_DBUS_CONNECTION(source), result, &error);
    g_autofree char *name = error == NULL ? NULL : g_dbus_error_get_remote_error(error);

    if (error == NULL || is_unreachable(error) || kh_systemd_error_is(error, gone) ||
        g_str_has_prefix(name, "org.freedesktop.DBus.Error.Spawn"))
        return;
    g_dbus_error_strip_remote_error(error);
    g_message("%s failed: %s", method, error->message);
}

static void
send_message(GDBusConnection *connection, gpointer data, const GError *error)
{
    g_autofree Message *message = data;
    g_autoptr(GVariant) parameters = message->parameters;

    if (error == NULL)
        g_dbus_connection_call(connection, message->name, message->path, message->interface,
                               message->method, parameters, NULL, G_DBUS_CALL_FLAGS_NONE, -1, NULL,
                               on_sent, (gpointer)message->method);
}

static void
post(KhSystemdBus *self, const Message *message)
{
    Message *copy = g_memdup2(message, sizeof *message);

    g_variant_ref_sink(copy->parameters);
    kh_systemd_connection_get(self->connection, send_message, copy);
}

static void
post_to_manager(KhSystemdBus *self, const char *method, GVariant *parameters)
{
    post(self, &(Message){KH_SYSTEMD, KH_SYSTEMD_PATH, KH_SYSTEMD_MANAGER, method, parameters});
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

    g_object_unref(self->connection);
    g_ptr_array_unref(self->looks);
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
    self->looks = g_ptr_array_new();
}

KhSystemdBus *
kh_systemd_bus_new(const char *address)
{
    KhSystemdBus *self = g_object_new(KH_TYPE_SYSTEMD_BUS, NULL);

    self->connection = kh_systemd_connection_new(address);
    g_signal_connect_object(self->connection, "job-removed", G_CALLBACK(on_job_removed), self, 0);
    return self;
}
