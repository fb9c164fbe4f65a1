/* SPDX-License-Identifier: MIT */
/*
 * What every verb gets: the global options, and the arguments that belong to it. Filled by
 * main(), completed by kh_cli_parse() with the verb's own options.
 */
#pragma once

#include <gio/gio.h>

G_BEGIN_DECLS

/* How the program can end (design: "Command line"). */
typedef enum {
    KH_EXIT_DONE = 0,
    KH_EXIT_FAILED = 1,
    KH_EXIT_USAGE = 2,
    KH_EXIT_NOT_FOUND = 3,
    KH_EXIT_CONFLICT = 4, /* or the wrong state */
    KH_EXIT_NOT_AUTHORIZED = 5,
    KH_EXIT_TIMED_OUT = 6,
    KH_EXIT_UNAVAILABLE = 7, /* the service */
    KH_EXIT_INTERRUPTED = 130,
} KhExit;

typedef struct {
    const char *verb;
    const char *help;    /* one line about the verb */
    char *details;       /* what --help says after the options; NULL: nothing */
    char **args;         /* the program's name, then what is not the verb; up to "--" */
    char **rest;         /* after "--"; never NULL */
    gboolean keeps_rest; /* it is no argument of the verb: what follows "--" is for Katana */
    guint paths_from;    /* arguments from that place on may be paths, any bytes; 0: none */

    gboolean session;
    gboolean system;
    gboolean json;
    gboolean verbose;
    gboolean no_ask_password;
    gboolean wants_help;
    gboolean no_activate;
    char *host; /* USER@HOST */

    GDBusConnection *bus; /* once kh_client_connect() has been called */
    gboolean served;      /* somebody has had the service's name on it */
    gboolean agent_tried;
    GCancellable *deadline; /* of every call; NULL: none */
    guint timer;            /* of that */
    gboolean interrupted;   /* by Ctrl-C, once */
    gboolean has_failed;    /* an error has been printed */
} KhCli;

/*
 * Parses @cli->args by the global options and the verb's own @entries (options.h; NULL: none);
 * what is left must be @min to @max arguments, described by @usage, and is returned; what
 * follows "--" counts among them, unless @cli->keeps_rest. They are UTF-8, but for those from
 * @cli->paths_from on. "--help" prints and exits. KH_ERROR_INVALID_ARGUMENT. Transfer full.
 */
char **kh_cli_parse(KhCli *cli, const GOptionEntry *entries, const char *usage, guint min,
                    guint max, GError **error);

/* Prints @error (taken) to stderr, as --json wants it; returns the exit code. */
int kh_cli_fail(KhCli *cli, GError *error);

/*
 * The exit code of an output that could not be written: 1, and an error of errno @number but
 * for EPIPE, by which somebody says that he has read enough.
 */
int kh_cli_fail_to_write(KhCli *cli, int number);

/*
 * Whether @argv, in which no verb is, has only the global options and @entries (options.h).
 * KH_ERROR_INVALID_ARGUMENT.
 */
gboolean kh_cli_check_options(KhCli *cli, const GOptionEntry *entries, char **argv, GError **error);

/*
 * The exit code of a process that would end with @code: not 0 where what it has printed could
 * not be written, which is told unless another error has been.
 */
int kh_cli_finish(KhCli *cli, int code);

/* Says something on stderr that is no error; nothing with --json, whose document says it. */
void kh_cli_note(KhCli *cli, const char *format, ...) G_GNUC_PRINTF(2, 3);

/* The exit code of @error. */
KhExit kh_cli_exit_code(const GError *error);

/* Its name for --json, without the prefix; of a foreign error by its exit code. Static. */
const char *kh_cli_error_name(const GError *error);

/* From now on every call of the service fails after @ms altogether; 0: none does. */
void kh_cli_set_deadline(KhCli *cli, guint ms);

/* Whether that has come. */
gboolean kh_cli_is_late(KhCli *cli);

/* Keeps the result in the GAsyncResult * at @data, which is waited for with the next one. */
void kh_cli_keep_result(GObject *source, GAsyncResult *result, gpointer data);

/* Serves the main context until *result is there; the caller's, to be unreferenced. */
void kh_cli_wait_for_result(GAsyncResult **result);

/* Whether a person can be asked: stdin is a terminal and nobody has forbidden it. */
gboolean kh_cli_may_ask(KhCli *cli);

G_END_DECLS
