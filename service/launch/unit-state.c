/* SPDX-License-Identifier: MIT */
/* What systemd says of a unit; see unit-state.h. */
#include "unit-state.h"

#include <systemd/sd-bus.h>

#include "systemd-connection.h"

/* What is read of a unit, in this order: no job means that what follows is final. */
static const struct {
    const char *interface, *name, *type;
    glong offset;
} fields[] = {
    {KH_SYSTEMD ".Unit", "Job", "(uo)", G_STRUCT_OFFSET(KhUnitState, job)},
    {KH_SYSTEMD ".Unit", "ActiveState", "s", G_STRUCT_OFFSET(KhUnitState, active_state)},
    {KH_SYSTEMD ".Service", "Result", "s", G_STRUCT_OFFSET(KhUnitState, result)},
    {KH_SYSTEMD ".Service", "StatusText", "s", G_STRUCT_OFFSET(KhUnitState, status_text)},
    {KH_SYSTEMD ".Service", "MainPID", "u", G_STRUCT_OFFSET(KhUnitState, main_pid)},
    {KH_SYSTEMD ".Service", "ExecMainCode", "i", G_STRUCT_OFFSET(KhUnitState, exit_code)},
    {KH_SYSTEMD ".Service", "ExecMainStatus", "i", G_STRUCT_OFFSET(KhUnitState, exit_status)},
};

void
kh_unit_state_free(KhUnitState *state)
{
    g_free(state->active_state);
    g_free(state->result);
    g_free(state->status_text);
    g_free(state);
}

gboolean
kh_unit_state_is(const KhUnitState *state, const char *active_state)
{
    return g_str_equal(state->active_state, active_state);
}

gboolean
kh_unit_state_is_dead(const KhUnitState *state)
{
    return state->job == 0 &&
           (kh_unit_state_is(state, "inactive") || kh_unit_state_is(state, "failed"));
}

char *
kh_unit_path(const char *unit)
{
    char *path = NULL;

    if (sd_bus_path_encode(KH_SYSTEMD_PATH "/unit", unit, &path) < 0)
        g_error("There is no memory for the path of %s", unit);
    return path;
}

gboolean
kh_systemd_error_is(const GError *error, const char *const *names)
{
    g_autofree char *name = error == NULL ? NULL : g_dbus_error_get_remote_error(error);

    return name != NULL && g_strv_contains(names, name);
}

typedef struct {
    KhUnitState *state;
    guint unanswered;
    gboolean unknown; /* a question had no answer: the state says nothing */
    KhUnitStateRead read;
    gpointer data;
} Reading;

/* One answer of several. A connection that closes fails them in any order. */
typedef struct {
    Reading *reading;
    guint field;
} Question;

static void
set_field(KhUnitState *state, guint i, GVariant *value)
{
    gpointer place = G_STRUCT_MEMBER_P(state, fields[i].offset);

    if (g_str_equal(fields[i].type, "s"))
        g_free(*(char **)place);
    g_variant_get(value, fields[i].type, place, NULL);
}

static void
end_reading(Reading *reading)
{
    if (reading->unknown)
        g_clear_pointer(&reading->state, kh_unit_state_free);
    reading->read(reading->state, reading->data);
    g_free(reading);
}

static void
on_field(GObject *source, GAsyncResult *result, gpointer data)
{
    /* systemd itself says that there is no such unit, or none of that kind. */
    static const char *const absent[] = {
        "org.freedesktop.DBus.Error.UnknownObject", "org.freedesktop.DBus.Error.UnknownMethod",
        "org.freedesktop.DBus.Error.UnknownInterface", KH_SYSTEMD ".NoSuchUnit", NULL};
    g_autofree Question *question = data;
    Reading *reading = question->reading;
    g_autoptr(GError) error = NULL;
    g_autoptr(GVariant) value = NULL;
    g_autoptr(GVariant) answer =
        g_dbus_connection_call_finish(G_DBUS_CONNECTION(source), result, &error);

    if (answer != NULL)
        g_variant_get(answer, "(v)", &value);
    if (value != NULL && g_variant_is_of_type(value, G_VARIANT_TYPE(fields[question->field].type)))
        set_field(reading->state, question->field, value);
    else if (!kh_systemd_error_is(error, absent))
        reading->unknown = TRUE;
    if (--reading->unanswered == 0)
        end_reading(reading);
}

void
kh_unit_state_read(GDBusConnection *connection, const char *unit, KhUnitStateRead read,
                   gpointer data)
{
    g_autofree char *path = kh_unit_path(unit);
    const KhUnitState unknown = {.active_state = g_strdup("inactive"),
                                 .result = g_strdup("success"),
                                 .status_text = g_strdup("")};
    const Reading begun = {g_memdup2(&unknown, sizeof unknown), G_N_ELEMENTS(fields), FALSE, read,
                           data};
    Reading *reading = g_memdup2(&begun, sizeof begun);

    for (guint i = 0; i < G_N_ELEMENTS(fields); i++) {
        const Question question = {reading, i};

        g_dbus_connection_call(connection, KH_SYSTEMD, path, "org.freedesktop.DBus.Properties",
                               "Get", g_variant_new("(ss)", fields[i].interface, fields[i].name),
                               G_VARIANT_TYPE("(v)"), G_DBUS_CALL_FLAGS_NO_AUTO_START, -1, NULL,
                               on_field, g_memdup2(&question, sizeof question));
    }
}
