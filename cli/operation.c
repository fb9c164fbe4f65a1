/* SPDX-License-Identifier: MIT */
/*
 * From the call that begins a job to its end; see operation.h. All calls are made with "no-wait".
 * The job's object says the rest: while it can be seen. It goes with its service; then the
 * instance leads to the job of the next one, or its own state decides.
 */
#include "operation.h"

#include <glib-unix.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "activation.h"
#include "client.h"
#include "error.h"
#include "log-excerpt.h"
#include "names.h"
#include "output.h"
#include "watch.h"

#define LINE_SHOWN_MAX 4096
#define COLUMNS_DEFAULT 80
/* What a stop takes at most after the guest has had its time: QEMU quits, or is killed. */
#define LAST_RESORTS_USEC (15 * G_USEC_PER_SEC)
#define ANSWER_MS 5000
/* A service that has failed is started again within seconds. */
#define RETURN_S 10

const KhVerbOperation kh_operation_start = {
    .method = "Start", .job = "start", .already = "running"};

typedef struct {
    KhCli *cli;
    const KhVerbOperation *operation;
    const char *name;
    const char *path; /* of the instance */
    char *job;        /* the path of the one that is followed */
    gboolean ended, done;
    GError *error; /* of a job that is not done */
    char *state;   /* of the instance; this and the next two where the job cannot be seen */
    char *next;    /* its Job */
    GError *last;  /* its LastError */
    gboolean starts_again;
    guint64 timeout; /* microseconds; 0: none */
    gboolean on_terminal, line_shown, cancel_sent, waited;
    guint interrupt, patience;
} Work;

static void
clear_line(Work *self)
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
show_step(Work *self, const char *step)
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

/* What follows from the (ss) of @properties called @name, in the place of *error. */
static void
take_error(GVariant *properties, const char *property, GError **error)
{
    const char *name, *message;

    if (!g_variant_lookup(properties, property, "(&s&s)", &name, &message))
        return;
    g_clear_error(error);
    if (name[0] == '\0')
        return;
    *error = g_dbus_error_new_for_dbus_error(name, message);
    g_dbus_error_strip_remote_error(*error);
}

static void
take_job(GVariant *properties, gpointer data)
{
    Work *self = data;
    const char *text;

    take_error(properties, "Error", &self->error);
    if (g_variant_lookup(properties, "Step", "&s", &text))
        show_step(self, text);
    if (!g_variant_lookup(properties, "State", "&s", &text))
        return;
    self->ended = !g_str_equal(text, "running");
    self->done = g_str_equal(text, "done");
}

static void
take_text(GVariant *properties, const char *property, const char *format, char **text)
{
    char *found;

    if (!g_variant_lookup(properties, property, format, &found))
        return;
    g_free(*text);
    *text = found;
}

static void
take_instance(GVariant *properties, gpointer data)
{
    Work *self = data;
    guint64 restart;

    take_text(properties, "State", "s", &self->state);
    take_text(properties, "Job", "o", &self->next);
    take_error(properties, "LastError", &self->last);
    if (g_variant_lookup(properties, "NextRestartUSec", "t", &restart))
        self->starts_again = restart != 0;
}

/* --- the clock ----------------------------------------------------------------------- */

/* What the service says of itself; 0 from one that does not, and that ends its jobs itself. */
static guint64
get_usual(Work *self, const char *property)
{
    g_autoptr(GVariant) usual =
        kh_client_get(self->cli, KH_PATH_MANAGER, KH_INTERFACE_MANAGER, property, "t", NULL);

    return usual == NULL ? 0 : g_variant_get_uint64(usual);
}

static gboolean
is_stopping(Work *self)
{
    g_autoptr(GVariant) state =
        kh_client_get(self->cli, self->path, KH_INTERFACE_INSTANCE, "State", "s", NULL);

    return state != NULL && g_str_equal(g_variant_get_string(state, NULL), "stopping");
}

/* A job has no deadline, its caller has; a deletion takes what it takes. */
static void
begin_clock(Work *self)
{
    const gboolean up = self->operation->goal == KH_GOAL_UP;

    if (self->operation->goal == KH_GOAL_GONE)
        return;
    if (self->timeout == 0)
        self->timeout = get_usual(self, up ? "StartTimeoutUSec" : "StopTimeoutUSec");
    if (self->timeout == 0)
        return;
    if (self->operation->stops && up && is_stopping(self))
        self->timeout += get_usual(self, "StopTimeoutUSec") + LAST_RESORTS_USEC;
    else if (!up)
        self->timeout += LAST_RESORTS_USEC;
    kh_cli_set_deadline(self->cli, (guint)CLAMP(self->timeout / 1000, 1, G_MAXUINT));
}

static gboolean
fail_late(Work *self, GError **error)
{
    const double seconds = (double)self->timeout / G_USEC_PER_SEC;
    g_autoptr(GVariant) pid = NULL;

    if (self->operation->goal == KH_GOAL_UP)
        return kh_error_set(error, KH_ERROR_TIMED_OUT,
                            "\"%s\" did not answer within %g s and is still starting: wait for it, "
                            "read its log, or stop it",
                            self->name, seconds);
    kh_cli_set_deadline(self->cli, ANSWER_MS);
    pid = kh_client_get(self->cli, self->path, KH_INTERFACE_INSTANCE, "MainPid", "u", NULL);
    if (pid != NULL && g_variant_get_uint32(pid) != 0)
        return kh_error_set(
            error, KH_ERROR_TIMED_OUT,
            "QEMU of \"%s\" was killed and has not ended; a device or a file system may be stuck",
            self->name);
    return kh_error_set(error, KH_ERROR_TIMED_OUT,
                        "\"%s\" did not stop within %g s: it is still being started or looked for, "
                        "and stops as soon as that is over",
                        self->name, seconds);
}

/* --- a job --------------------------------------------------------------------------- */

/* One that has ended meanwhile needs no cancelling: how it has is told anyway. */
static void
cancel_job(Work *self)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GVariant) reply = NULL;

    self->cancel_sent = TRUE;
    reply = kh_client_call(self->cli, self->job, KH_INTERFACE_JOB, "Cancel",
                           g_variant_new("(a{sv})", NULL), "()", NULL, &error);
    if (reply != NULL || g_error_matches(error, KH_ERROR, KH_ERROR_INVALID_STATE) ||
        kh_cli_exit_code(error) == KH_EXIT_NOT_FOUND ||
        kh_cli_exit_code(error) == KH_EXIT_UNAVAILABLE)
        return;
    g_dbus_error_strip_remote_error(error);
    clear_line(self);
    kh_cli_note(self->cli, "%s cannot be cancelled: %s", self->name, error->message);
}

/* Until it has ended, cannot be seen any more, or the time is over; FALSE and @error. */
static gboolean
follow_job(Work *self, GError **error)
{
    g_auto(KhWatch) watch = {.cli = self->cli,
                             .path = self->job,
                             .interface = KH_INTERFACE_JOB,
                             .take = take_job,
                             .data = self};

    self->ended = self->cancel_sent = FALSE;
    kh_watch_begin(&watch);
    while (!self->ended && !watch.gone && !watch.broken && !watch.absent &&
           !kh_cli_is_late(self->cli)) {
        if (self->cli->interrupted && !self->cancel_sent && self->operation->goes_on == NULL)
            cancel_job(self);
        else if (!kh_watch_next(&watch, error))
            return FALSE;
    }
    /* Another service may give this path to another job. */
    if (!watch.gone && !self->ended)
        g_clear_pointer(&self->job, g_free);
    return TRUE;
}

/* --- an instance whose job cannot be seen -------------------------------------------- */

static gboolean
on_patience_over(gpointer data)
{
    Work *self = data;

    self->patience = 0;
    self->waited = TRUE;
    return G_SOURCE_REMOVE;
}

/* Whether nothing is under way with it; what is not known is under way. */
static gboolean
is_at_rest(const Work *self)
{
    KhState state;

    if (self->state == NULL || !kh_state_from_name(self->state, &state))
        return FALSE;
    if (state == KH_STATE_STOPPED && self->starts_again)
        return self->operation->goal == KH_GOAL_DOWN;
    return state != KH_STATE_STARTING && state != KH_STATE_STOPPING && state != KH_STATE_DELETING;
}

static gboolean
has_next_job(const Work *self)
{
    return self->next != NULL && !g_str_equal(self->next, "/") &&
           g_strcmp0(self->next, self->job) != 0;
}

/* What has come of the operation, by an instance that is at rest, or @gone. */
static gboolean
judge(Work *self, gboolean gone, GError **error)
{
    const KhVerbOperation *operation = self->operation;
    const gboolean up =
        !gone && (g_str_equal(self->state, "running") || g_str_equal(self->state, "paused"));

    if (gone ? operation->goal == KH_GOAL_GONE
             : operation->goal != KH_GOAL_GONE && up == (operation->goal == KH_GOAL_UP))
        return TRUE;
    if (gone)
        return kh_error_set(error, KH_ERROR_NOT_FOUND, "\"%s\" has been deleted", self->name);
    if (g_str_equal(self->state, "failed") && self->last != NULL) {
        g_propagate_error(error, g_steal_pointer(&self->last));
        return FALSE;
    }
    if (operation->goal == KH_GOAL_UP)
        return kh_error_set(error, KH_ERROR_CANCELLED, "\"%s\" was stopped before it ran",
                            self->name);
    return kh_error_set(
        error, KH_ERROR_INVALID_STATE,
        "The service was restarted during the %s of \"%s\", which is %s now; try again",
        operation->job, self->name, self->state);
}

static gboolean
fail_absent(Work *self, GError **error)
{
    GError *failure = g_error_new(G_DBUS_ERROR, G_DBUS_ERROR_NO_REPLY,
                                  "The service has gone during the %s of \"%s\"",
                                  self->operation->job, self->name);

    kh_activation_advise(failure, kh_client_is_session(self->cli));
    g_propagate_error(error, failure);
    return FALSE;
}

/* Until it has another job, in the place of self->job, or is at rest: then that is NULL. */
static gboolean
follow_instance(Work *self, GError **error)
{
    g_auto(KhWatch) watch = {.cli = self->cli,
                             .path = self->path,
                             .interface = KH_INTERFACE_INSTANCE,
                             .take = take_instance,
                             .data = self};

    g_clear_pointer(&self->state, g_free);
    kh_watch_begin(&watch);
    while (!kh_cli_is_late(self->cli)) {
        if (watch.absent && self->waited)
            return fail_absent(self, error);
        if (watch.gone || (!watch.absent && !has_next_job(self) && is_at_rest(self))) {
            g_clear_pointer(&self->job, g_free);
            return judge(self, watch.gone, error);
        }
        if (!watch.absent && self->state != NULL && has_next_job(self)) {
            g_free(self->job);
            self->job = g_steal_pointer(&self->next);
            return TRUE;
        }
        if (!kh_watch_next(&watch, error))
            return FALSE;
    }
    return TRUE;
}

/* Nobody starts a service that somebody may have stopped. */
static gboolean
find_again(Work *self, GError **error)
{
    const gboolean no_activate = self->cli->no_activate;
    gboolean found;

    if (self->patience == 0 && !self->waited)
        self->patience = g_timeout_add_seconds(RETURN_S, on_patience_over, self);
    self->cli->no_activate = TRUE;
    found = follow_instance(self, error);
    self->cli->no_activate = no_activate;
    return found;
}

/* --- the whole ----------------------------------------------------------------------- */

static gboolean
conclude_job(Work *self, GError **error)
{
    if (self->done)
        return TRUE;
    if (self->error == NULL)
        return kh_error_set(error, KH_ERROR_FAILED,
                            "The %s of \"%s\" has failed, and the service does not say why",
                            self->operation->job, self->name);
    g_propagate_error(error, g_steal_pointer(&self->error));
    return FALSE;
}

/* The job of another service may be another part of the operation, or another one. */
static gboolean
wait_for_end(Work *self, GError **error)
{
    for (gboolean first = TRUE;; first = FALSE) {
        if (!follow_job(self, error))
            return FALSE;
        if (self->ended && (first || !self->done))
            return conclude_job(self, error);
        if (!kh_cli_is_late(self->cli) && !find_again(self, error))
            return FALSE;
        if (kh_cli_is_late(self->cli))
            return fail_late(self, error);
        if (self->job == NULL)
            return TRUE;
    }
}

static gboolean
on_interrupt(gpointer data)
{
    Work *self = data;

    clear_line(self);
    if (self->cli->interrupted)
        exit(KH_EXIT_INTERRUPTED);
    self->cli->interrupted = TRUE;
    if (self->operation->goes_on != NULL)
        kh_cli_note(self->cli, "%s: %s; ^C again to leave", self->name, self->operation->goes_on);
    else
        kh_cli_note(self->cli, "%s: cancelling the %s; ^C again to leave", self->name,
                    self->operation->job);
    return G_SOURCE_CONTINUE;
}

static void
begin(Work *self)
{
    const char *terminal = g_getenv("TERM");

    self->on_terminal = !self->cli->json && isatty(STDERR_FILENO) && terminal != NULL &&
                        !g_str_equal(terminal, "dumb");
    self->interrupt = g_unix_signal_add(SIGINT, on_interrupt, self);
}

static void
end(Work *self)
{
    g_clear_handle_id(&self->interrupt, g_source_remove);
    g_clear_handle_id(&self->patience, g_source_remove);
    kh_cli_set_deadline(self->cli, 0);
    clear_line(self);
    g_free(self->job);
    g_free(self->state);
    g_free(self->next);
    g_clear_error(&self->error);
    g_clear_error(&self->last);
}

/* The path of its job; a caller that does not wait sees no more of it. Transfer full. */
static char *
ask(Work *self, GVariant *options, GError **error)
{
    g_auto(GVariantDict) all = G_VARIANT_DICT_INIT(options);
    g_autoptr(GVariant) job = NULL;

    g_variant_dict_insert(&all, "no-wait", "b", TRUE);
    job = kh_client_ask(self->cli, self->path, KH_INTERFACE_INSTANCE, self->operation->method,
                        g_variant_new("(@a{sv})", g_variant_dict_end(&all)), "(o)", error);
    return job == NULL ? NULL : g_variant_dup_string(job, NULL);
}

static gboolean
run_job(Work *self, GVariant *options, char **job, GError **error)
{
    g_autoptr(GError) failure = NULL;
    gboolean no_wait = FALSE;

    g_variant_lookup(options, "no-wait", "b", &no_wait);
    g_variant_lookup(options, "timeout-usec", "t", &self->timeout);
    *job = ask(self, options, error);
    if (*job == NULL || no_wait || g_str_equal(*job, "/"))
        return *job != NULL;
    self->job = g_strdup(*job);
    begin_clock(self);
    if (wait_for_end(self, &failure))
        return TRUE;
    clear_line(self);
    kh_log_excerpt_add(self->cli, self->path, failure);
    g_propagate_error(error, g_steal_pointer(&failure));
    return FALSE;
}

gboolean
kh_operation_run(KhCli *cli, const KhVerbOperation *operation, const char *name, const char *path,
                 GVariant *options, char **job, GError **error)
{
    Work work = {.cli = cli, .operation = operation, .name = name, .path = path};
    g_autoptr(GVariant) held = g_variant_ref_sink(options);
    g_autoptr(GVariant) reply = NULL;
    gboolean good;

    *job = NULL;
    if (operation->job == NULL) {
        reply = kh_client_call(cli, path, KH_INTERFACE_INSTANCE, operation->method,
                               g_variant_new("(@a{sv})", held), "()", NULL, error);
        return reply != NULL;
    }
    begin(&work);
    good = run_job(&work, held, job, error);
    end(&work);
    return good;
}
