/* SPDX-License-Identifier: MIT */
/*
 * The command on another host; see remote.h. The whole program runs there: the descriptors
 * of logs and consoles cannot cross ssh, and GDBus has no transport over a program.
 */
#include "remote.h"

#include <errno.h>
#include <glib-unix.h>
#include <string.h>
#include <unistd.h>

#include "error.h"

/* ssh(1): its own errors; and what a shell says of a program that it does not find. */
#define SSH_FAILED 255
#define NOT_EXECUTABLE 126
#define NOT_FOUND 127

/* A host that ssh could take for an option is none. */
static gboolean
check_host(const char *host, GError **error)
{
    const char *allowed = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_@:";

    if (host[0] != '\0' && host[0] != '-' && host[0] != '@' &&
        strspn(host, allowed) == strlen(host))
        return TRUE;
    return kh_error_set(error, KH_ERROR_INVALID_ARGUMENT, "--host must be USER@HOST");
}

/* The value of a host option at @argv, NULL if it is none; *n: how many words it takes. */
static const char *
host_option(char **argv, guint *n)
{
    *n = 1;
    if (g_str_has_prefix(argv[0], "--host="))
        return argv[0] + strlen("--host=");
    if (g_str_has_prefix(argv[0], "-H") && argv[0][2] != '\0')
        return argv[0] + strlen("-H");
    if (!g_str_equal(argv[0], "-H") && !g_str_equal(argv[0], "--host"))
        return NULL;
    *n = argv[1] == NULL ? 1 : 2;
    return argv[1];
}

/* What the other host's shell is to run: the words but the host's, each quoted. */
static char *
build_command(char **argv, const char **host)
{
    GString *command = g_string_new("katana-hypervisor");
    gboolean options = TRUE;
    guint n = 1;

    *host = NULL;
    for (char **word = argv + 1; *word != NULL; word += n) {
        const char *named = options ? host_option(word, &n) : NULL;
        g_autofree char *quoted = NULL;

        options = options && !g_str_equal(*word, "--");
        if (named != NULL) {
            *host = named;
            continue;
        }
        n = 1;
        quoted = g_shell_quote(*word);
        g_string_append_printf(command, " %s", quoted);
    }
    return g_string_free(command, FALSE);
}

/*
 * A terminal there only where everything here is one: it would mix stderr into stdout, and
 * change the ends of lines.
 */
static GSubprocess *
spawn(const char *host, const char *command, GError **error)
{
    g_autoptr(GSubprocessLauncher) launcher =
        g_subprocess_launcher_new(G_SUBPROCESS_FLAGS_STDIN_INHERIT);
    gboolean terminal = isatty(STDIN_FILENO) && isatty(STDOUT_FILENO) && isatty(STDERR_FILENO);
    const char *const words[] = {"ssh", terminal ? "-t" : "-T", "--", host, command, NULL};

    return g_subprocess_launcher_spawnv(launcher, words, error);
}

/* One ssh at work. */
typedef struct {
    GSubprocess *ssh;
    gboolean unread;
} Session;

static gboolean
on_unread(int fd, GIOCondition condition, gpointer data)
{
    Session *session = data;

    session->unread = TRUE;
    g_subprocess_send_signal(session->ssh, SIGTERM);
    return G_SOURCE_REMOVE;
}

/*
 * Waits for its end. ssh would notice that nobody reads its output only when there is some; a
 * silent follower is ended here. What another verb does goes on: its output is not all of it.
 */
static gboolean
wait_for_end(KhCli *cli, GSubprocess *ssh, gboolean *unread, GError **error)
{
    Session session = {.ssh = ssh};
    g_autoptr(GAsyncResult) result = NULL;
    guint reader = 0;

    if (g_str_equal(cli->verb, "logs"))
        reader = g_unix_fd_add(STDOUT_FILENO, G_IO_ERR | G_IO_HUP | G_IO_NVAL, on_unread, &session);
    g_subprocess_wait_async(ssh, NULL, kh_cli_keep_result, &result);
    kh_cli_wait_for_result(&result);
    *unread = session.unread;
    if (reader != 0 && !session.unread)
        g_source_remove(reader);
    return g_subprocess_wait_finish(ssh, result, error);
}

static int
exit_code_of(KhCli *cli, const char *host, GSubprocess *ssh)
{
    int code = g_subprocess_get_if_exited(ssh) ? g_subprocess_get_exit_status(ssh) : SSH_FAILED;

    if (code == SSH_FAILED)
        return kh_cli_fail(
            cli, g_error_new(G_IO_ERROR, G_IO_ERROR_FAILED,
                             "ssh could not run the command on %s; see its message, and try ssh %s",
                             host, host));
    if (code == NOT_FOUND || code == NOT_EXECUTABLE)
        return kh_cli_fail(cli, g_error_new(G_IO_ERROR, G_IO_ERROR_NOT_FOUND,
                                            "%s has no katana-hypervisor in its PATH; install it "
                                            "there",
                                            host));
    return code;
}

static gboolean
check(const char *host, const char *refusal, GError **error)
{
    if (refusal == NULL)
        return check_host(host, error);
    return kh_error_set(error, KH_ERROR_INVALID_ARGUMENT, "%s", refusal);
}

gboolean
kh_remote_run(KhCli *cli, char **argv, const char *refusal, int *code)
{
    const char *host;
    g_autofree char *command = build_command(argv, &host);
    g_autoptr(GSubprocess) ssh = NULL;
    gboolean unread = FALSE;
    GError *error = NULL;

    if (host == NULL)
        return FALSE;
    if (!check(host, refusal, &error)) {
        *code = kh_cli_fail(cli, error);
        return TRUE;
    }
    ssh = spawn(host, command, &error);
    if (ssh == NULL || !wait_for_end(cli, ssh, &unread, &error)) {
        g_prefix_error(&error, "ssh cannot be run, which -H needs; is it installed? ");
        /* Whatever its domain: no service has been reached. */
        error->domain = G_IO_ERROR;
        *code = kh_cli_fail(cli, error);
    } else {
        *code = unread ? kh_cli_fail_to_write(cli, EPIPE) : exit_code_of(cli, host, ssh);
    }
    return TRUE;
}
