/* SPDX-License-Identifier: MIT */
/* katana-hypervisor wait: for a state, by its signals; it never polls. */
#include "client.h"
#include "error.h"
#include "names.h"
#include "verbs.h"
#include "watch.h"

#define TIMEOUT_MAX (7 * 24 * 3600.0)

typedef struct {
    KhCli *cli;
    const char *name;
    const char *wanted;
    char *path;
    char *state;       /* as far as it is known */
    gboolean restarts; /* by itself, from failed */
    gboolean reached;
    KhWatch watch;
    guint removed;
} Wait;

static void
wait_clear(Wait *self)
{
    if (self->removed != 0)
        g_dbus_connection_signal_unsubscribe(self->cli->bus, self->removed);
    kh_watch_end(&self->watch);
    g_free(self->path);
    g_free(self->state);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Wait, wait_clear)

static void
take_state(GVariant *properties, gpointer data)
{
    Wait *self = data;
    const char *state;
    guint64 restart;

    if (g_variant_lookup(properties, "NextRestartUSec", "t", &restart))
        self->restarts = restart != 0;
    if (!g_variant_lookup(properties, "State", "&s", &state))
        return;
    g_free(self->state);
    self->state = g_strdup(state);
    /* It may be another one a moment later; it has been reached. */
    self->reached = self->reached || g_str_equal(state, self->wanted);
}

static void
on_removed(GDBusConnection *bus, const char *sender, const char *root, const char *interface,
           const char *signal, GVariant *parameters, gpointer data)
{
    Wait *self = data;
    const char *path;

    if (!g_variant_is_of_type(parameters, G_VARIANT_TYPE("(oas)")))
        return;
    g_variant_get(parameters, "(&oas)", &path, NULL);
    if (g_str_equal(path, self->path))
        self->watch.gone = TRUE;
}

static gboolean
fail_timed_out(Wait *self, GError **error)
{
    return kh_error_set(
        error, KH_ERROR_TIMED_OUT, "%s did not become %s in time; %s%s", self->name, self->wanted,
        self->watch.absent || self->state == NULL ? "the service is not answering" : "it is ",
        self->watch.absent || self->state == NULL ? "" : self->state);
}

/* Whether an operator has to do something before the state can be reached. */
static gboolean
has_failed(const Wait *self)
{
    static const char *const after_running[] = {"running", "paused", "stopping", "stopped", NULL};

    return self->state != NULL && g_str_equal(self->state, "failed") && !self->restarts &&
           g_strv_contains(after_running, self->wanted);
}

/* It is that once, before its first start. */
static gboolean
was_created(const Wait *self)
{
    return self->state != NULL && g_str_equal(self->wanted, "created") &&
           !g_str_equal(self->state, "created");
}

static gboolean
fail_ended(const Wait *self, GError **error)
{
    if (self->watch.gone)
        return kh_error_set(error, KH_ERROR_INVALID_STATE,
                            "%s has been deleted, and will not be %s", self->name, self->wanted);
    if (was_created(self))
        return kh_error_set(error, KH_ERROR_INVALID_STATE,
                            "%s is %s, and will not be created again: it has been started before",
                            self->name, self->state);
    return kh_error_set(error, KH_ERROR_INVALID_STATE,
                        "%s has failed, and will not be %s by itself; show %s and logs %s say why",
                        self->name, self->wanted, self->name, self->name);
}

static gboolean
wait_for_it(Wait *self, GError **error)
{
    while (!self->reached) {
        if (kh_cli_is_late(self->cli))
            return fail_timed_out(self, error);
        if (self->watch.gone || has_failed(self) || was_created(self))
            return fail_ended(self, error);
        if (!kh_watch_next(&self->watch, error))
            return FALSE;
    }
    return TRUE;
}

static gboolean
run(Wait *self, GError **error)
{
    self->path = kh_client_find(self->cli, self->name, error);
    if (self->path == NULL) {
        if (!kh_cli_is_late(self->cli))
            return FALSE;
        g_clear_error(error);
        return fail_timed_out(self, error);
    }
    self->removed = g_dbus_connection_signal_subscribe(
        self->cli->bus, KH_BUS_NAME, "org.freedesktop.DBus.ObjectManager", "InterfacesRemoved",
        KH_PATH_ROOT, NULL, G_DBUS_SIGNAL_FLAGS_NONE, on_removed, self, NULL);
    self->watch = (KhWatch){.cli = self->cli,
                            .path = self->path,
                            .interface = KH_INTERFACE_INSTANCE,
                            .take = take_state,
                            .data = self};
    kh_watch_begin(&self->watch);
    return wait_for_it(self, error);
}

static gboolean
check_state(const char *state, GError **error)
{
    const char *known[KH_N_STATES + 1] = {NULL};
    const char *nearest;
    KhState found;

    if (state != NULL && kh_state_from_name(state, &found))
        return TRUE;
    for (int i = 0; i < KH_N_STATES; i++)
        known[i] = kh_state_name((KhState)i);
    nearest = state == NULL ? NULL : kh_nearest_word(state, known);
    if (state == NULL)
        return kh_error_set(error, KH_ERROR_INVALID_ARGUMENT, "--for STATE is missing");
    if (nearest != NULL)
        return kh_error_set(error, KH_ERROR_INVALID_ARGUMENT,
                            "There is no state \"%s\"; did you mean \"%s\"?", state, nearest);
    return kh_error_set(error, KH_ERROR_INVALID_ARGUMENT,
                        "There is no state \"%s\"; see wait --help", state);
}

static gboolean
set_timer(KhCli *cli, const char *timeout, GError **error)
{
    double seconds;

    if (timeout == NULL)
        return TRUE;
    if (!kh_verb_parse_seconds(timeout, 1, TIMEOUT_MAX, &seconds, error))
        return FALSE;
    kh_cli_set_deadline(cli, (guint)(seconds * 1000));
    return TRUE;
}

/* The timer is for the state, not for this. */
static int
print(KhCli *cli, Wait *self)
{
    GError *error = NULL;

    kh_cli_set_deadline(cli, 0);
    return !cli->json || kh_verb_print_json(cli, self->path, &error) ? 0 : kh_cli_fail(cli, error);
}

int
kh_verb_wait(KhCli *cli)
{
    g_autofree char *state = NULL, *timeout = NULL;
    const GOptionEntry entries[] = {
        {"for", 0, 0, G_OPTION_ARG_STRING, &state,
         "State to wait for: created, starting, running, paused, stopping, stopped, failed or "
         "deleting",
         "STATE"},
        {"timeout", 0, 0, G_OPTION_ARG_STRING, &timeout, "How long to wait (default: for ever)",
         "SECONDS"},
        {NULL, 0, 0, G_OPTION_ARG_NONE, NULL, NULL, NULL},
    };
    GError *error = NULL;
    g_auto(GStrv) names = kh_cli_parse(cli, entries, "NAME --for STATE", 1, 1, &error);
    g_auto(Wait) wait = {.cli = cli, .name = names == NULL ? NULL : names[0], .wanted = state};

    if (names == NULL || !check_state(state, &error) || !set_timer(cli, timeout, &error) ||
        !run(&wait, &error))
        return kh_cli_fail(cli, error);
    return print(cli, &wait);
}
