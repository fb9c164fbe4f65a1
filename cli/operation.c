/* SPDX-License-Identifier: MIT */
/*
 * Progress and Ctrl-C of a long call; see operation.h. While kh_client_call() waits it serves
 * the main context, which is where everything here happens.
 */
#include "operation.h"

#include <glib-unix.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "client.h"
#include "error.h"
#include "names.h"
#include "output.h"

#define LINE_SHOWN_MAX 4096
#define COLUMNS_DEFAULT 80
/* After that long without a new job the call has joined one that was there before. */
#define JOINED_MS 500

const KhOperation kh_operation_start = {.method = "Start", .job = "start", .already = "running"};

typedef struct {
    KhCli *cli;
    const KhOperation *operation;
    const char *name;
    const char *path;
    char *job;
    gboolean on_terminal;
    gboolean line_shown;
    gboolean cancel_sent;
    guint added, changed, interrupt, joined;
    guint pending; /* calls of its own that have not been answered */
    GCancellable *end;
} Waiting;

static void
clear_line(Waiting *self)
{
    if (self->line_shown)
        fputs("\r\033[K", stderr);
    self->line_shown = FALSE;
}

/* The width of the terminal, which may have changed since the last step. */
static guint
get_columns(void)
{
    struct winsize size;

    return ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col
                                                                           : COLUMNS_DEFAULT;
}

/* A line that wraps is not taken back by the next one: the last column stays free. */
static void
show_step(Waiting *self, const char *step)
{
    g_autofree char *line = NULL, *harmless = NULL;

    if (!self->on_terminal || step[0] == '\0') {
        clear_line(self);
        return;
    }
    line = g_strdup_printf("%s: %s", self->name, step);
    harmless = kh_text_sanitize(line, LINE_SHOWN_MAX);
    kh_output_cut(harmless, get_columns() - 1);
    fprintf(stderr, "\r\033[K%s", harmless);
    self->line_shown = TRUE;
}

static void
on_cancelled(GObject *source, GAsyncResult *result, gpointer data)
{
    Waiting *self = data;
    g_autoptr(GError) error = NULL;
    g_autoptr(GVariant) reply =
        g_dbus_connection_call_finish(G_DBUS_CONNECTION(source), result, &error);

    self->pending--;
    /* One that has ended meanwhile needs no cancelling: the call's reply says how. */
    if (reply != NULL || g_error_matches(error, G_IO_ERROR, G_IO_ERROR_CANCELLED) ||
        g_error_matches(error, KH_ERROR, KH_ERROR_INVALID_STATE) ||
        kh_cli_exit_code(error) == KH_EXIT_NOT_FOUND)
        return;
    g_dbus_error_strip_remote_error(error);
    clear_line(self);
    kh_cli_note(self->cli, "%s cannot be cancelled: %s", self->name, error->message);
}

static void
call(Waiting *self, const char *path, const char *interface, const char *method,
     GVariant *parameters, GAsyncReadyCallback done)
{
    self->pending++;
    g_dbus_connection_call(self->cli->bus, KH_BUS_NAME, path, interface, method, parameters, NULL,
                           kh_client_flags(self->cli), G_MAXINT, self->end, done, self);
}

static void
cancel_job(Waiting *self)
{
    if (self->cancel_sent)
        return;
    self->cancel_sent = TRUE;
    call(self, self->job, KH_INTERFACE_JOB, "Cancel", g_variant_new("(a{sv})", NULL), on_cancelled);
}

static void
on_changed(GDBusConnection *bus, const char *sender, const char *path, const char *interface,
           const char *signal, GVariant *parameters, gpointer data)
{
    Waiting *self = data;
    g_autoptr(GVariant) properties = NULL;
    const char *step;

    if (!g_variant_is_of_type(parameters, G_VARIANT_TYPE("(sa{sv}as)")))
        return;
    properties = g_variant_get_child_value(parameters, 1);
    if (g_variant_lookup(properties, "Step", "&s", &step))
        show_step(self, step);
}

/* Takes the job at @path for this call's, if it is one: of this instance, and running. */
static gboolean
take_job(Waiting *self, const char *path, GVariant *interfaces)
{
    g_autoptr(GVariant) job =
        g_variant_lookup_value(interfaces, KH_INTERFACE_JOB, G_VARIANT_TYPE_VARDICT);
    const char *instance = "", *operation = "", *state = "", *step = "";

    if (job == NULL || self->job != NULL)
        return FALSE;
    g_variant_lookup(job, "Instance", "&o", &instance);
    g_variant_lookup(job, "Operation", "&s", &operation);
    g_variant_lookup(job, "State", "&s", &state);
    if (!g_str_equal(instance, self->path) || !g_str_equal(operation, self->operation->job) ||
        !g_str_equal(state, "running"))
        return FALSE;
    self->job = g_strdup(path);
    self->changed = g_dbus_connection_signal_subscribe(
        self->cli->bus, KH_BUS_NAME, "org.freedesktop.DBus.Properties", "PropertiesChanged", path,
        KH_INTERFACE_JOB, G_DBUS_SIGNAL_FLAGS_NONE, on_changed, self, NULL);
    if (g_variant_lookup(job, "Step", "&s", &step))
        show_step(self, step);
    if (self->cli->interrupted)
        cancel_job(self);
    return TRUE;
}

static void
on_added(GDBusConnection *bus, const char *sender, const char *root, const char *interface,
         const char *signal, GVariant *parameters, gpointer data)
{
    g_autoptr(GVariant) interfaces = NULL;
    const char *path;

    if (!g_variant_is_of_type(parameters, G_VARIANT_TYPE("(oa{sa{sv}})")))
        return;
    g_variant_get(parameters, "(&o@a{sa{sv}})", &path, &interfaces);
    take_job(data, path, interfaces);
}

static void
on_objects(GObject *source, GAsyncResult *result, gpointer data)
{
    Waiting *self = data;
    g_autoptr(GVariant) reply =
        g_dbus_connection_call_finish(G_DBUS_CONNECTION(source), result, NULL);
    g_autoptr(GVariantIter) objects = NULL;
    const char *path;
    GVariant *item;

    self->pending--;
    if (reply == NULL || !g_variant_is_of_type(reply, G_VARIANT_TYPE("(a{oa{sa{sv}}})")))
        return;
    g_variant_get(reply, "(a{oa{sa{sv}}})", &objects);
    while (g_variant_iter_next(objects, "{&o@a{sa{sv}}}", &path, &item)) {
        g_autoptr(GVariant) interfaces = item;

        if (take_job(self, path, interfaces))
            return;
    }
}

/* A call that joined another one's has seen no job appear. */
static void
find_job(Waiting *self)
{
    call(self, KH_PATH_ROOT, "org.freedesktop.DBus.ObjectManager", "GetManagedObjects", NULL,
         on_objects);
}

static gboolean
on_joined(gpointer data)
{
    Waiting *self = data;

    self->joined = 0;
    if (self->job == NULL)
        find_job(self);
    return G_SOURCE_REMOVE;
}

static gboolean
on_interrupt(gpointer data)
{
    Waiting *self = data;

    clear_line(self);
    if (self->cli->interrupted)
        exit(KH_EXIT_INTERRUPTED);
    self->cli->interrupted = TRUE;
    if (self->operation->goes_on != NULL) {
        kh_cli_note(self->cli, "%s: %s; ^C again to leave", self->name, self->operation->goes_on);
        return G_SOURCE_CONTINUE;
    }
    kh_cli_note(self->cli, "%s: cancelling the %s; ^C again to leave", self->name,
                self->operation->job);
    /* Where there is no job yet, it is cancelled as soon as it appears. */
    if (self->job != NULL)
        cancel_job(self);
    else
        find_job(self);
    return G_SOURCE_CONTINUE;
}

static void
begin(Waiting *self)
{
    const char *terminal = g_getenv("TERM");

    self->on_terminal = !self->cli->json && isatty(STDERR_FILENO) && terminal != NULL &&
                        !g_str_equal(terminal, "dumb");
    self->end = g_cancellable_new();
    self->interrupt = g_unix_signal_add(SIGINT, on_interrupt, self);
    self->added = g_dbus_connection_signal_subscribe(
        self->cli->bus, KH_BUS_NAME, "org.freedesktop.DBus.ObjectManager", "InterfacesAdded",
        KH_PATH_ROOT, NULL, G_DBUS_SIGNAL_FLAGS_NONE, on_added, self, NULL);
    if (self->on_terminal)
        self->joined = g_timeout_add(JOINED_MS, on_joined, self);
}

static void
end(Waiting *self)
{
    g_clear_handle_id(&self->interrupt, g_source_remove);
    g_clear_handle_id(&self->joined, g_source_remove);
    g_dbus_connection_signal_unsubscribe(self->cli->bus, self->added);
    if (self->changed != 0)
        g_dbus_connection_signal_unsubscribe(self->cli->bus, self->changed);
    g_cancellable_cancel(self->end);
    while (self->pending > 0)
        g_main_context_iteration(NULL, TRUE);
    clear_line(self);
    g_clear_object(&self->end);
    g_free(self->job);
}

static GVariant *
call_instance(KhCli *cli, const KhOperation *operation, const char *path, GVariant *options,
              GError **error)
{
    return kh_client_call(cli, path, KH_INTERFACE_INSTANCE, operation->method,
                          g_variant_new("(@a{sv})", options), operation->job == NULL ? "()" : "(o)",
                          NULL, error);
}

gboolean
kh_operation_run(KhCli *cli, const KhOperation *operation, const char *name, const char *path,
                 GVariant *options, char **job, GError **error)
{
    Waiting waiting = {.cli = cli, .operation = operation, .name = name, .path = path};
    g_autoptr(GVariant) held = g_variant_ref_sink(options);
    g_autoptr(GVariant) reply = NULL;

    *job = NULL;
    if (!kh_client_connect(cli, error))
        return FALSE;
    if (operation->job == NULL) {
        reply = call_instance(cli, operation, path, held, error);
        return reply != NULL;
    }
    begin(&waiting);
    reply = call_instance(cli, operation, path, held, error);
    end(&waiting);
    if (reply != NULL && g_variant_is_of_type(reply, G_VARIANT_TYPE("(o)")))
        g_variant_get(reply, "(o)", job);
    return reply != NULL;
}
