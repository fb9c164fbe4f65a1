/* SPDX-License-Identifier: MIT */
/* The start of the service by the bus; see activation.h. */
#include "activation.h"

#include <string.h>

#include "bytes.h"
#include "names.h"
#include "unit-file.h"

#define BUS "org.freedesktop.DBus"
#define SYSTEMD "org.freedesktop.systemd1"
#define SYSTEMD_PATH "/org/freedesktop/systemd1"

/* Between two looks at the unit, and how long each question may take. */
#define LOOK_MS 200
#define QUESTION_MS 5000
/* After so many looks a failure from before is this start's: it was refused, too. */
#define OLD_FAILURE_LOOKS 5
/* So often it has been tried again by then. */
#define RESTARTS_MAX 2
#define JOURNAL_SECONDS 5
#define JOURNAL_MAX 4096

/* The unit at one moment; all empty where no systemd is on this bus. */
typedef struct {
    gboolean known;
    gboolean masked;
    gboolean has_job;
    char *active; /* "failed", "activating" … */
    char *result; /* "exit-code", "start-limit-hit" … */
    char *invocation;
    int status;
    guint32 restarts;
} Unit;

static void
unit_clear(Unit *unit)
{
    g_free(unit->active);
    g_free(unit->result);
    g_free(unit->invocation);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Unit, unit_clear)

/* One start of the service, from the question to its end. */
typedef struct {
    KhCli *cli;
    gboolean session;
    Unit before;
    guint looks;
    gboolean look_now;
    gboolean asked; /* systemd itself */
    GAsyncResult *result;
} Start;

static GVariant *
ask(KhCli *cli, const char *name, const char *path, const char *interface, const char *method,
    GVariant *parameters, const char *type, GError **error)
{
    return g_dbus_connection_call_sync(cli->bus, name, path, interface, method, parameters,
                                       G_VARIANT_TYPE(type), G_DBUS_CALL_FLAGS_NO_AUTO_START,
                                       QUESTION_MS, cli->deadline, error);
}

static gboolean
has_owner(KhCli *cli)
{
    g_autoptr(GVariant) reply = ask(cli, BUS, "/org/freedesktop/DBus", BUS, "NameHasOwner",
                                    g_variant_new("(s)", KH_BUS_NAME), "(b)", NULL);
    gboolean owned = FALSE;

    if (reply != NULL)
        g_variant_get(reply, "(b)", &owned);
    return owned;
}

/* --- the unit ------------------------------------------------------------------------ */

static GVariant *
get_all(KhCli *cli, const char *path, const char *interface)
{
    g_autoptr(GVariant) reply = ask(cli, SYSTEMD, path, BUS ".Properties", "GetAll",
                                    g_variant_new("(s)", interface), "(a{sv})", NULL);

    return reply == NULL ? NULL : g_variant_get_child_value(reply, 0);
}

/* As systemd writes it: hexadecimal. Transfer full. */
static char *
read_invocation(GVariant *properties)
{
    g_autoptr(GVariant) bytes =
        g_variant_lookup_value(properties, "InvocationID", G_VARIANT_TYPE_BYTESTRING);
    gsize n = 0;
    const guint8 *data = bytes == NULL ? NULL : g_variant_get_fixed_array(bytes, &n, 1);

    return kh_bytes_to_hex(data, n);
}

static void
look_at(KhCli *cli, Unit *unit)
{
    g_autoptr(GVariant) loaded = ask(cli, SYSTEMD, SYSTEMD_PATH, SYSTEMD ".Manager", "LoadUnit",
                                     g_variant_new("(s)", KH_UNIT_NAME), "(o)", NULL);
    g_autoptr(GVariant) all = NULL;
    g_autoptr(GVariant) service = NULL;
    const char *path;
    const char *load = "";
    guint32 job = 0;

    unit_clear(unit);
    *unit = (Unit){0};
    if (loaded == NULL)
        return;
    g_variant_get(loaded, "(&o)", &path);
    all = get_all(cli, path, SYSTEMD ".Unit");
    service = get_all(cli, path, SYSTEMD ".Service");
    if (all == NULL || service == NULL || !g_variant_lookup(all, "ActiveState", "s", &unit->active))
        return;
    unit->known = TRUE;
    unit->masked = g_variant_lookup(all, "LoadState", "&s", &load) && g_str_equal(load, "masked");
    unit->invocation = read_invocation(all);
    g_variant_lookup(all, "Job", "(uo)", &job, NULL);
    unit->has_job = job != 0;
    if (!g_variant_lookup(service, "Result", "s", &unit->result))
        unit->result = g_strdup("");
    g_variant_lookup(service, "ExecMainStatus", "i", &unit->status);
    g_variant_lookup(service, "NRestarts", "u", &unit->restarts);
}

/* Whether it is as an earlier start has left it. */
static gboolean
is_old_failure(const Start *start, const Unit *now)
{
    const Unit *before = &start->before;

    return now->known && before->known && g_str_equal(before->active, "failed") &&
           g_str_equal(before->invocation, now->invocation);
}

/* One that was there before counts once nothing has come of this start. */
static gboolean
has_failed(const Start *start, const Unit *now)
{
    const Unit *before = &start->before;
    /* A start by hand begins to count anew. */
    guint32 restarts = now->restarts < before->restarts ? 0 : before->restarts;

    if (!now->known)
        return FALSE;
    if (now->restarts >= restarts + RESTARTS_MAX)
        return TRUE;
    return g_str_equal(now->active, "failed") && !now->has_job &&
           (!is_old_failure(start, now) || start->looks >= OLD_FAILURE_LOOKS);
}

/* The bus waits 25 s for a start that has failed long since, and asks for no other meanwhile: what
   has been mended would not be tried. FALSE: systemd was asked before, or refuses. */
static gboolean
is_started_directly(Start *start)
{
    g_autoptr(GVariant) job = NULL;

    if (start->asked)
        return FALSE;
    start->asked = TRUE;
    job = ask(start->cli, SYSTEMD, SYSTEMD_PATH, SYSTEMD ".Manager", "StartUnit",
              g_variant_new("(ss)", KH_UNIT_NAME, "replace"), "(o)", NULL);
    start->looks = 0;
    return job != NULL;
}

/* --- the journal --------------------------------------------------------------------- */

static const char *
journal_command(gboolean session)
{
    return session ? "journalctl --user -u katana-hypervisord" : "journalctl -u katana-hypervisord";
}

static gboolean
on_patience_over(gpointer data)
{
    g_subprocess_force_exit(data);
    return G_SOURCE_REMOVE;
}

/* The last line that the unit's own process has written; NULL where that cannot be read. */
static char *
read_journal(const Unit *unit, gboolean session)
{
    g_autofree char *match = g_strconcat("_SYSTEMD_INVOCATION_ID=", unit->invocation, NULL);
    g_autoptr(GSubprocess) journal =
        g_subprocess_new(G_SUBPROCESS_FLAGS_STDOUT_PIPE | G_SUBPROCESS_FLAGS_STDERR_SILENCE, NULL,
                         "journalctl", "--quiet", "--no-pager", "--output=cat", "--lines=1", match,
                         session ? "--user" : NULL, NULL);
    g_autoptr(GAsyncResult) result = NULL;
    g_autofree char *text = NULL;
    guint patience;

    if (journal == NULL)
        return NULL;
    patience = g_timeout_add_seconds(JOURNAL_SECONDS, on_patience_over, journal);
    g_subprocess_communicate_utf8_async(journal, NULL, NULL, kh_cli_keep_result, &result);
    kh_cli_wait_for_result(&result);
    if (g_main_context_find_source_by_id(NULL, patience) != NULL)
        g_source_remove(patience);
    if (!g_subprocess_communicate_utf8_finish(journal, result, &text, NULL, NULL) ||
        !g_subprocess_get_successful(journal))
        return NULL;
    return g_strstrip(text)[0] == '\0' ? NULL : g_strndup(text, JOURNAL_MAX);
}

/* How it ended, and why: by its own last line, or by the command that shows it. */
static void
set_failure(const Start *start, const Unit *unit, GError **error)
{
    g_autofree char *line = read_journal(unit, start->session);
    g_autofree char *how = g_str_equal(unit->result, "exit-code")
                               ? g_strdup_printf("exit status %d", unit->status)
                               : g_strdup(unit->result);

    if (line != NULL)
        g_set_error(error, G_DBUS_ERROR, G_DBUS_ERROR_SPAWN_FAILED,
                    "The service does not start: " KH_UNIT_NAME
                    " has failed (%s). Its last line in the "
                    "journal is: %s. Fix that and try again; %s has more",
                    how, line, journal_command(start->session));
    else
        g_set_error(error, G_DBUS_ERROR, G_DBUS_ERROR_SPAWN_FAILED,
                    "The service does not start: " KH_UNIT_NAME " has failed (%s); %s%s says why",
                    how, start->session ? "" : "as an administrator, ",
                    journal_command(start->session));
}

/* --- the start ----------------------------------------------------------------------- */

static gboolean
on_look(gpointer data)
{
    ((Start *)data)->look_now = TRUE;
    return G_SOURCE_CONTINUE;
}

/* FALSE: the unit has failed, and the answer is not waited for; or there is no more time. */
static gboolean
wait_for_start(Start *start, GError **error)
{
    GCancellable *deadline = start->cli->deadline;

    while (start->result == NULL) {
        g_auto(Unit) now = {0};

        g_main_context_iteration(NULL, TRUE);
        if (deadline != NULL && g_cancellable_set_error_if_cancelled(deadline, error))
            return FALSE;
        if (start->result != NULL || !start->look_now)
            continue;
        start->look_now = FALSE;
        start->looks++;
        look_at(start->cli, &now);
        if (!has_failed(start, &now) || (is_old_failure(start, &now) && is_started_directly(start)))
            continue;
        set_failure(start, &now, error);
        return FALSE;
    }
    return TRUE;
}

/* Takes @failure. Some buses say why a unit was not started, others only that it was not. */
static void
explain(const Start *start, GError *failure, GError **error)
{
    g_autoptr(GError) owned = failure;
    g_autofree char *name = g_dbus_error_get_remote_error(failure);
    const char *systemctl = start->session ? "systemctl --user" : "systemctl";
    g_auto(Unit) now = {0};

    look_at(start->cli, &now);
    if (now.masked) {
        g_set_error(error, G_DBUS_ERROR, G_DBUS_ERROR_SPAWN_FAILED,
                    "The service cannot be started: " KH_UNIT_NAME " is masked; %s unmask "
                    "katana-hypervisord allows it",
                    systemctl);
    } else if (now.known && !g_str_equal(now.result, "success")) {
        set_failure(start, &now, error);
    } else if (name == NULL || !g_str_has_prefix(name, SYSTEMD ".")) {
        kh_activation_advise(owned, start->session);
        g_propagate_error(error, g_steal_pointer(&owned));
    } else {
        g_dbus_error_strip_remote_error(owned);
        /* A whole sentence of systemd's, and not the end of this one. */
        if (g_str_has_suffix(owned->message, "."))
            owned->message[strlen(owned->message) - 1] = '\0';
        g_set_error(error, G_DBUS_ERROR, G_DBUS_ERROR_SPAWN_FAILED,
                    "The service cannot be started: %s; %s status katana-hypervisord says more",
                    owned->message, systemctl);
    }
}

static gboolean
start_service(KhCli *cli, gboolean session, GError **error)
{
    g_autoptr(GCancellable) end = g_cancellable_new();
    Start start = {.cli = cli, .session = session};
    g_autoptr(GVariant) reply = NULL;
    GError *failure = NULL;
    gboolean waited;
    guint timer;

    look_at(cli, &start.before);
    g_dbus_connection_call(cli->bus, BUS, "/org/freedesktop/DBus", BUS, "StartServiceByName",
                           g_variant_new("(su)", KH_BUS_NAME, 0), G_VARIANT_TYPE("(u)"),
                           G_DBUS_CALL_FLAGS_NONE, G_MAXINT, end, kh_cli_keep_result,
                           &start.result);
    timer = g_timeout_add(LOOK_MS, on_look, &start);
    waited = wait_for_start(&start, error);
    g_source_remove(timer);
    /* Not of one that has come: it would be cancelled, too. */
    if (start.result == NULL)
        g_cancellable_cancel(end);
    kh_cli_wait_for_result(&start.result);
    reply = g_dbus_connection_call_finish(cli->bus, start.result, &failure);
    g_object_unref(start.result);
    unit_clear(&start.before);
    if (waited && failure != NULL)
        explain(&start, g_steal_pointer(&failure), error);
    g_clear_error(&failure);
    return waited && reply != NULL;
}

gboolean
kh_activation_ensure(KhCli *cli, gboolean session, GError **error)
{
    if (has_owner(cli))
        return TRUE;
    if (!cli->no_activate)
        return start_service(cli, session, error);
    g_set_error(error, G_DBUS_ERROR, G_DBUS_ERROR_SERVICE_UNKNOWN,
                "The service does not run, and --no-activate forbids starting it; leave that out, "
                "or run systemctl %sstart katana-hypervisord",
                session ? "--user " : "");
    return FALSE;
}

/* --- advice -------------------------------------------------------------------------- */

static char *
advice_for(const GError *error, gboolean session)
{
    if (error->domain == G_DBUS_ERROR && (error->code == G_DBUS_ERROR_SERVICE_UNKNOWN ||
                                          error->code == G_DBUS_ERROR_NAME_HAS_NO_OWNER ||
                                          error->code == G_DBUS_ERROR_SPAWN_SERVICE_NOT_FOUND))
        return g_strdup_printf("is it installed? Without an installation, run katana-hypervisord%s",
                               session ? " --session" : " as root");
    if (error->domain == G_DBUS_ERROR && error->code != G_DBUS_ERROR_NO_SERVER)
        return g_strdup_printf("%s says why; then try again", journal_command(session));
    return g_strdup(session ? "is this a login session? dbus-run-session begins one by hand"
                            : "is the system's bus running? See systemctl status dbus");
}

void
kh_activation_advise(GError *error, gboolean session)
{
    g_autofree char *advice = NULL;
    char *message;

    if (kh_cli_exit_code(error) != KH_EXIT_UNAVAILABLE ||
        g_error_matches(error, G_IO_ERROR, G_IO_ERROR_CANCELLED))
        return;
    g_dbus_error_strip_remote_error(error);
    advice = advice_for(error, session);
    message = g_strdup_printf("%s; %s", g_strstrip(error->message), advice);
    g_free(error->message);
    error->message = message;
}
