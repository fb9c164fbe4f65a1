/* SPDX-License-Identifier: MIT */
/* Options and errors of every verb; see cli.h. */
#include "cli.h"

#include <json-glib/json-glib.h>
#include <unistd.h>

#include "error.h"
#include "names.h"
#include "output.h"

#define LINES_MAX 64
#define MESSAGE_MAX 4096

/* Exit codes of the service's errors (design: "Command line"); all others are 1. */
static const struct {
    KhError code;
    int exit;
} exit_codes[] = {
    {KH_ERROR_INVALID_ARGUMENT, 2},
    {KH_ERROR_NOT_FOUND, 3},
    {KH_ERROR_ALREADY_EXISTS, 4},
    {KH_ERROR_INVALID_STATE, 4},
    {KH_ERROR_BUSY, 4},
    {KH_ERROR_PORT_UNAVAILABLE, 4},
    {KH_ERROR_NOT_AUTHORIZED, 5},
    {KH_ERROR_NOT_AUTHORIZED_CAN_OBTAIN, 5},
    {KH_ERROR_NOT_AUTHORIZED_DISMISSED, 5},
    {KH_ERROR_TIMED_OUT, 6},
};

/* Of the bus library's own errors. */
static const struct {
    GDBusError code;
    int exit;
} bus_exit_codes[] = {
    {G_DBUS_ERROR_UNKNOWN_OBJECT, 3},     {G_DBUS_ERROR_UNKNOWN_METHOD, 3},
    {G_DBUS_ERROR_UNKNOWN_INTERFACE, 3},  {G_DBUS_ERROR_ACCESS_DENIED, 5},
    {G_DBUS_ERROR_SERVICE_UNKNOWN, 7},    {G_DBUS_ERROR_NAME_HAS_NO_OWNER, 7},
    {G_DBUS_ERROR_NO_REPLY, 7},           {G_DBUS_ERROR_NO_SERVER, 7},
    {G_DBUS_ERROR_DISCONNECTED, 7},       {G_DBUS_ERROR_SPAWN_EXEC_FAILED, 7},
    {G_DBUS_ERROR_SPAWN_CHILD_EXITED, 7}, {G_DBUS_ERROR_SPAWN_SERVICE_NOT_FOUND, 7},
    {G_DBUS_ERROR_SPAWN_FAILED, 7},       {G_DBUS_ERROR_SPAWN_CHILD_SIGNALED, 7},
    {G_DBUS_ERROR_TIMED_OUT, 7},          {G_DBUS_ERROR_TIMEOUT, 7},
};

int
kh_cli_exit_code(const GError *error)
{
    for (guint i = 0; error->domain == KH_ERROR && i < G_N_ELEMENTS(exit_codes); i++)
        if ((int)exit_codes[i].code == error->code)
            return exit_codes[i].exit;
    for (guint i = 0; error->domain == G_DBUS_ERROR && i < G_N_ELEMENTS(bus_exit_codes); i++)
        if ((int)bus_exit_codes[i].code == error->code)
            return bus_exit_codes[i].exit;
    /* The connection itself, or an answer that has a name of which nobody knows the meaning. */
    return error->domain == G_IO_ERROR && error->code != G_IO_ERROR_DBUS_ERROR ? 7 : 1;
}

const char *
kh_cli_error_name(const GError *error)
{
    if (error->domain == KH_ERROR)
        return kh_error_name(error->code);
    switch (kh_cli_exit_code(error)) {
    case 3:
        return kh_error_name(KH_ERROR_NOT_FOUND);
    case 5:
        return kh_error_name(KH_ERROR_NOT_AUTHORIZED);
    case 7:
        return "ServiceUnavailable";
    default:
        return kh_error_name(KH_ERROR_FAILED);
    }
}

static void
print_json_error(const GError *error, const char *message)
{
    g_autoptr(JsonBuilder) builder = json_builder_new();
    g_autoptr(JsonNode) root = NULL;
    g_autofree char *name = g_strconcat(KH_ERROR_PREFIX_DBUS, kh_cli_error_name(error), NULL);
    g_autofree char *text = NULL;

    json_builder_begin_object(builder);
    json_builder_set_member_name(builder, "error");
    json_builder_begin_object(builder);
    json_builder_set_member_name(builder, "name");
    json_builder_add_string_value(builder, name);
    json_builder_set_member_name(builder, "message");
    json_builder_add_string_value(builder, message);
    json_builder_end_object(builder);
    json_builder_end_object(builder);
    root = json_builder_get_root(builder);
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

gboolean
kh_cli_may_ask(KhCli *cli)
{
    return !cli->no_ask_password && isatty(STDIN_FILENO);
}

static void
add_global_entries(KhCli *cli, GOptionContext *context)
{
    const GOptionEntry entries[] = {
        {"session", 0, 0, G_OPTION_ARG_NONE, &cli->session, "Use the session bus", NULL},
        {"system", 0, 0, G_OPTION_ARG_NONE, &cli->system, "Use the system bus", NULL},
        {"json", 0, 0, G_OPTION_ARG_NONE, &cli->json, "Print JSON", NULL},
        {"verbose", 'v', 0, G_OPTION_ARG_NONE, &cli->verbose, "Say more", NULL},
        {"no-ask-password", 0, 0, G_OPTION_ARG_NONE, &cli->no_ask_password,
         "Never ask for authentication", NULL},
        {"host", 'H', 0, G_OPTION_ARG_STRING, &cli->host, "On another host by ssh, files included",
         "USER@HOST"},
        {NULL, 0, 0, G_OPTION_ARG_NONE, NULL, NULL, NULL},
    };

    g_option_context_add_main_entries(context, entries, NULL);
}

static gboolean
check_count(KhCli *cli, guint n, const char *usage, guint min, guint max, GError **error)
{
    if (n >= min && n <= max)
        return TRUE;
    g_set_error(error, KH_ERROR, KH_ERROR_INVALID_ARGUMENT,
                "%s has %s arguments; usage: katana-hypervisor %s %s", cli->verb,
                n < min ? "too few" : "too many", cli->verb, usage);
    return FALSE;
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

char **
kh_cli_parse(KhCli *cli, const GOptionEntry *entries, const char *usage, guint min, guint max,
             GError **error)
{
    g_autofree char *parameters = g_strdup_printf("%s %s", cli->verb, usage);
    g_autoptr(GOptionContext) context = g_option_context_new(parameters);
    g_auto(GStrv) args = g_strdupv(cli->args);
    g_auto(GStrv) left = NULL;
    g_autoptr(GError) failure = NULL;

    g_option_context_set_summary(context, cli->help);
    g_option_context_set_description(context, cli->details);
    if (entries != NULL)
        g_option_context_add_main_entries(context, entries, NULL);
    add_global_entries(cli, context);
    if (!g_option_context_parse_strv(context, &args, &failure)) {
        /* It has taken back what it had set. */
        cli->json = g_strv_contains((const char *const *)cli->args, "--json");
        g_set_error(error, KH_ERROR, KH_ERROR_INVALID_ARGUMENT, "%s; see %s --help",
                    failure->message, cli->verb);
        return NULL;
    }
    /* main() has taken it out, wherever it stood by itself. */
    if (cli->host != NULL) {
        g_set_error(error, KH_ERROR, KH_ERROR_INVALID_ARGUMENT,
                    "-H must be an argument of its own, -H USER@HOST");
        return NULL;
    }
    if (cli->session && cli->system) {
        g_set_error(error, KH_ERROR, KH_ERROR_INVALID_ARGUMENT,
                    "--session and --system exclude each other");
        return NULL;
    }
    left = positional(cli, args);
    if (!check_count(cli, g_strv_length(left), usage, min, max, error))
        return NULL;
    return g_steal_pointer(&left);
}
