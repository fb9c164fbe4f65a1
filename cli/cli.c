/* SPDX-License-Identifier: MIT */
/* Options and errors of every verb; see cli.h. */
#include "cli.h"

#include <errno.h>
#include <json-glib/json-glib.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "error.h"
#include "names.h"
#include "options.h"
#include "output.h"

#define LINES_MAX 64
#define MESSAGE_MAX 4096
#define ARGUMENT_SHOWN 80

/* Exit codes of the service's errors; all others are KH_EXIT_FAILED. */
static const struct {
    KhError code;
    KhExit exit;
} exit_codes[] = {
    {KH_ERROR_INVALID_ARGUMENT, KH_EXIT_USAGE},
    {KH_ERROR_NOT_FOUND, KH_EXIT_NOT_FOUND},
    {KH_ERROR_ALREADY_EXISTS, KH_EXIT_CONFLICT},
    {KH_ERROR_INVALID_STATE, KH_EXIT_CONFLICT},
    {KH_ERROR_BUSY, KH_EXIT_CONFLICT},
    {KH_ERROR_PORT_UNAVAILABLE, KH_EXIT_CONFLICT},
    {KH_ERROR_NOT_AUTHORIZED, KH_EXIT_NOT_AUTHORIZED},
    {KH_ERROR_NOT_AUTHORIZED_CAN_OBTAIN, KH_EXIT_NOT_AUTHORIZED},
    {KH_ERROR_NOT_AUTHORIZED_DISMISSED, KH_EXIT_NOT_AUTHORIZED},
    {KH_ERROR_TIMED_OUT, KH_EXIT_TIMED_OUT},
};

/* Of the bus library's own errors. */
static const struct {
    GDBusError code;
    KhExit exit;
} bus_exit_codes[] = {
    {G_DBUS_ERROR_UNKNOWN_OBJECT, KH_EXIT_NOT_FOUND},
    {G_DBUS_ERROR_UNKNOWN_METHOD, KH_EXIT_NOT_FOUND},
    {G_DBUS_ERROR_UNKNOWN_INTERFACE, KH_EXIT_NOT_FOUND},
    {G_DBUS_ERROR_ACCESS_DENIED, KH_EXIT_NOT_AUTHORIZED},
    {G_DBUS_ERROR_SERVICE_UNKNOWN, KH_EXIT_UNAVAILABLE},
    {G_DBUS_ERROR_NAME_HAS_NO_OWNER, KH_EXIT_UNAVAILABLE},
    {G_DBUS_ERROR_NO_REPLY, KH_EXIT_UNAVAILABLE},
    {G_DBUS_ERROR_NO_SERVER, KH_EXIT_UNAVAILABLE},
    {G_DBUS_ERROR_DISCONNECTED, KH_EXIT_UNAVAILABLE},
    {G_DBUS_ERROR_SPAWN_EXEC_FAILED, KH_EXIT_UNAVAILABLE},
    {G_DBUS_ERROR_SPAWN_CHILD_EXITED, KH_EXIT_UNAVAILABLE},
    {G_DBUS_ERROR_SPAWN_SERVICE_NOT_FOUND, KH_EXIT_UNAVAILABLE},
    {G_DBUS_ERROR_SPAWN_FAILED, KH_EXIT_UNAVAILABLE},
    {G_DBUS_ERROR_SPAWN_CHILD_SIGNALED, KH_EXIT_UNAVAILABLE},
    {G_DBUS_ERROR_TIMED_OUT, KH_EXIT_UNAVAILABLE},
    {G_DBUS_ERROR_TIMEOUT, KH_EXIT_UNAVAILABLE},
};

KhExit
kh_cli_exit_code(const GError *error)
{
    for (guint i = 0; error->domain == KH_ERROR && i < G_N_ELEMENTS(exit_codes); i++)
        if ((int)exit_codes[i].code == error->code)
            return exit_codes[i].exit;
    for (guint i = 0; error->domain == G_DBUS_ERROR && i < G_N_ELEMENTS(bus_exit_codes); i++)
        if ((int)bus_exit_codes[i].code == error->code)
            return bus_exit_codes[i].exit;
    /* The connection itself, or an answer that has a name of which nobody knows the meaning. */
    if (error->domain == G_IO_ERROR && error->code != G_IO_ERROR_DBUS_ERROR)
        return KH_EXIT_UNAVAILABLE;
    return KH_EXIT_FAILED;
}

const char *
kh_cli_error_name(const GError *error)
{
    if (error->domain == KH_ERROR)
        return kh_error_name(error->code);
    switch (kh_cli_exit_code(error)) {
    case KH_EXIT_NOT_FOUND:
        return kh_error_name(KH_ERROR_NOT_FOUND);
    case KH_EXIT_NOT_AUTHORIZED:
        return kh_error_name(KH_ERROR_NOT_AUTHORIZED);
    case KH_EXIT_UNAVAILABLE:
        return "ServiceUnavailable";
    default:
        return kh_error_name(KH_ERROR_FAILED);
    }
}

static void
print_json_error(const GError *error, const char *message)
{
    g_autoptr(JsonNode) root = json_node_new(JSON_NODE_OBJECT);
    JsonObject *object = json_object_new(), *member = json_object_new();
    g_autofree char *name = g_strconcat(KH_ERROR_PREFIX_DBUS, kh_cli_error_name(error), NULL);
    g_autofree char *text = NULL;

    json_object_set_string_member(member, "name", name);
    json_object_set_string_member(member, "message", message);
    json_object_set_object_member(object, "error", member);
    json_node_take_object(root, object);
    text = kh_output_json_text(root, FALSE);
    g_printerr("%s\n", text);
}

/* Some errors end with lines of a log. Indented, no word of theirs is a line of ours. */
static char *
sanitize_lines(const char *text)
{
    g_auto(GStrv) lines = g_strsplit(text, "\n", LINES_MAX);

    for (guint i = 0; lines[i] != NULL; i++) {
        g_autofree char *line = kh_text_sanitize(lines[i], MESSAGE_MAX);
        const char *indent = i > 0 && !g_str_has_prefix(line, "  ") ? "  " : "";

        g_free(lines[i]);
        lines[i] = g_strconcat(indent, line, NULL);
    }
    return g_strjoinv("\n", lines);
}

int
kh_cli_fail(KhCli *cli, GError *failure)
{
    g_autoptr(GError) error = failure;
    g_autofree char *message = NULL;

    cli->has_failed = TRUE;
    g_dbus_error_strip_remote_error(error);
    message = sanitize_lines(error->message);
    if (cli->json)
        print_json_error(error, message);
    else
        g_printerr("katana-hypervisor: %s\n", message);
    return kh_cli_exit_code(error);
}

void
kh_cli_note(KhCli *cli, const char *format, ...)
{
    g_autofree char *text = NULL;
    g_autofree char *harmless = NULL;
    va_list arguments;

    if (cli->json)
        return;
    va_start(arguments, format);
    text = g_strdup_vprintf(format, arguments);
    va_end(arguments);
    harmless = kh_text_sanitize(text, MESSAGE_MAX);
    g_printerr("katana-hypervisor: %s\n", harmless);
}

static gboolean
on_deadline(gpointer data)
{
    KhCli *cli = data;

    cli->timer = 0;
    g_cancellable_cancel(cli->deadline);
    return G_SOURCE_REMOVE;
}

void
kh_cli_set_deadline(KhCli *cli, guint ms)
{
    g_clear_handle_id(&cli->timer, g_source_remove);
    g_clear_object(&cli->deadline);
    if (ms == 0)
        return;
    cli->deadline = g_cancellable_new();
    cli->timer = g_timeout_add(ms, on_deadline, cli);
}

gboolean
kh_cli_is_late(KhCli *cli)
{
    return cli->deadline != NULL && g_cancellable_is_cancelled(cli->deadline);
}

void
kh_cli_keep_result(GObject *source, GAsyncResult *result, gpointer data)
{
    *(GAsyncResult **)data = g_object_ref(result);
}

void
kh_cli_wait_for_result(GAsyncResult **result)
{
    while (*result == NULL)
        g_main_context_iteration(NULL, TRUE);
}

gboolean
kh_cli_may_ask(KhCli *cli)
{
    return !cli->no_ask_password && isatty(STDIN_FILENO);
}

int
kh_cli_fail_to_write(KhCli *cli, int number)
{
    if (number == EPIPE)
        return KH_EXIT_FAILED;
    return kh_cli_fail(cli, g_error_new(KH_ERROR, KH_ERROR_FAILED,
                                        "The output cannot be written: %s", g_strerror(number)));
}

/* A verdict that nobody could read is no success. */
int
kh_cli_finish(KhCli *cli, int code)
{
    int failure;

    if (fflush(stdout) == 0 && !ferror(stdout))
        return code;
    failure = cli->has_failed ? code : kh_cli_fail_to_write(cli, errno);
    return code != 0 ? code : failure;
}

/* The verb's own @entries (NULL: none) and the global ones. */
static GArray *
all_entries(KhCli *cli, const GOptionEntry *entries)
{
    const GOptionEntry global[] = {
        {"session", 0, 0, G_OPTION_ARG_NONE, &cli->session, "Use the session bus", NULL},
        {"system", 0, 0, G_OPTION_ARG_NONE, &cli->system, "Use the system bus", NULL},
        {"json", 0, 0, G_OPTION_ARG_NONE, &cli->json, "Print JSON", NULL},
        {"verbose", 'v', 0, G_OPTION_ARG_NONE, &cli->verbose, "Say more", NULL},
        {"no-ask-password", 0, 0, G_OPTION_ARG_NONE, &cli->no_ask_password,
         "Never ask for authentication", NULL},
        {"no-activate", 0, 0, G_OPTION_ARG_NONE, &cli->no_activate,
         "Never start the service; exit with 7 where it does not run", NULL},
        {"host", 'H', 0, G_OPTION_ARG_STRING, &cli->host,
         "Run on another host by ssh, where files are read as well", "USER@HOST"},
        {"help", 'h', 0, G_OPTION_ARG_NONE, &cli->wants_help, "Show this help", NULL},
        {"help-all", '?', G_OPTION_FLAG_HIDDEN, G_OPTION_ARG_NONE, &cli->wants_help, NULL, NULL},
    };
    GArray *all = g_array_new(TRUE, TRUE, sizeof(GOptionEntry));

    for (; entries != NULL && entries->long_name != NULL; entries++)
        g_array_append_val(all, *entries);
    g_array_append_vals(all, global, G_N_ELEMENTS(global));
    return all;
}

static gboolean
check_count(KhCli *cli, guint n, const char *usage, guint min, guint max, GError **error)
{
    if (n >= min && n <= max)
        return TRUE;
    return kh_error_set(
        error, KH_ERROR_INVALID_ARGUMENT, "%s has %s arguments; usage: katana-hypervisor %s%s%s",
        cli->verb, n < min ? "too few" : "too many", cli->verb, usage[0] == '\0' ? "" : " ", usage);
}

/* What is left of @args, and what followed "--". */
static char **
positional(KhCli *cli, char **args)
{
    g_autoptr(GStrvBuilder) all = g_strv_builder_new();

    g_strv_builder_addv(all, (const char **)args + 1);
    if (!cli->keeps_rest)
        g_strv_builder_addv(all, (const char **)cli->rest);
    return g_strv_builder_end(all);
}

/* What goes over the bus must be UTF-8, and what names something there is. */
static gboolean
check_arguments(KhCli *cli, char **arguments, GError **error)
{
    for (guint i = 0; arguments[i] != NULL; i++) {
        g_autofree char *shown = NULL;

        if (cli->paths_from != 0 && i >= cli->paths_from)
            break;
        if (g_utf8_validate(arguments[i], -1, NULL))
            continue;
        shown = kh_text_sanitize(arguments[i], ARGUMENT_SHOWN);
        return kh_error_set(error, KH_ERROR_INVALID_ARGUMENT,
                            "Argument %u of %s is \"%s\", which is not UTF-8", i + 1, cli->verb,
                            shown);
    }
    return TRUE;
}

static gboolean
check_global(KhCli *cli, GError **error)
{
    /* main() has taken it out, wherever it stood by itself. */
    if (cli->host != NULL)
        return kh_error_set(error, KH_ERROR_INVALID_ARGUMENT,
                            "-H must be an argument of its own, -H USER@HOST");
    if (cli->session && cli->system)
        return kh_error_set(error, KH_ERROR_INVALID_ARGUMENT,
                            "--session and --system cannot be combined");
    return TRUE;
}

/* GOption would end the process, and not look at whether that could be written. */
static void G_GNUC_NORETURN
print_help(KhCli *cli, GOptionContext *context)
{
    g_autofree char *help = g_option_context_get_help(context, TRUE, NULL);

    fputs(help, stdout);
    exit(kh_cli_finish(cli, 0));
}

gboolean
kh_cli_check_options(KhCli *cli, const GOptionEntry *entries, char **argv, GError **error)
{
    g_autoptr(GOptionContext) context = g_option_context_new(NULL);
    g_autoptr(GArray) all = all_entries(cli, entries);
    g_auto(GStrv) args = g_strdupv(argv);
    gboolean json = cli->json;
    gboolean good;

    g_option_context_set_help_enabled(context, FALSE);
    good = kh_options_parse(context, (GOptionEntry *)(gpointer)all->data, "--help", &args, error);
    /* It takes back what it had set. */
    cli->json = json;
    return good;
}

char **
kh_cli_parse(KhCli *cli, const GOptionEntry *entries, const char *usage, guint min, guint max,
             GError **error)
{
    g_autofree char *parameters = g_strconcat(cli->verb, usage[0] == '\0' ? "" : " ", usage, NULL);
    g_autofree char *where = g_strdup_printf("%s --help", cli->verb);
    g_autoptr(GOptionContext) context = g_option_context_new(parameters);
    g_autoptr(GArray) all = all_entries(cli, entries);
    g_auto(GStrv) args = g_strdupv(cli->args);
    g_auto(GStrv) left = NULL;

    g_option_context_set_help_enabled(context, FALSE);
    g_option_context_set_summary(context, cli->help);
    g_option_context_set_description(context, cli->details);
    if (!kh_options_parse(context, (GOptionEntry *)(gpointer)all->data, where, &args, error)) {
        /* It has taken back what it had set. */
        cli->json = g_strv_contains((const char *const *)cli->args, "--json");
        return NULL;
    }
    if (cli->wants_help)
        print_help(cli, context);
    left = positional(cli, args);
    if (!check_global(cli, error) ||
        !check_count(cli, g_strv_length(left), usage, min, max, error) ||
        !check_arguments(cli, left, error))
        return NULL;
    return g_steal_pointer(&left);
}
