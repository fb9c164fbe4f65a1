/* SPDX-License-Identifier: MIT */
/* katana-hypervisor: finds the verb, and lets it do the rest. */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "build-config.h"
#include "error.h"
#include "names.h"
#include "remote.h"
#include "verbs.h"

typedef struct {
    const char *name;
    int (*run)(KhCli *cli);
    const char *help;
    const char *here; /* why it never runs on another host; NULL: it may */
} Verb;

static int run_help(KhCli *cli);

/* The one list of verbs. */
static const Verb verbs[] = {
    {"create", kh_verb_create, "Create an instance"},
    {"list", kh_verb_list, "List instances, newest first"},
    {"show", kh_verb_show, "Show an instance"},
    {"start", kh_verb_operate, "Start instances and wait for their RPC"},
    {"stop", kh_verb_operate, "Stop instances"},
    {"restart", kh_verb_operate, "Stop instances and start them again"},
    {"reset", kh_verb_operate, "Reset virtual machines without telling the guests"},
    {"pause", kh_verb_operate, "Halt the virtual processors of instances"},
    {"resume", kh_verb_operate, "Resume paused instances"},
    {"wait", kh_verb_wait, "Wait until an instance reaches a state"},
    {"set", kh_verb_set, "Change the configuration of an instance"},
    {"delete", kh_verb_delete, "Delete instances and their data"},
    {"logs", kh_verb_logs, "Print the log of an instance"},
    {"measure", kh_verb_measure, "Compute the launch measurement of a confidential machine"},
    {"report", kh_verb_report, "Show or verify an attestation report, offline",
     "report cannot be used with -H, because the verdict would be the other host's; copy the file "
     "from there"},
    {"attest", kh_verb_attest, "Verify here what a confidential instance runs",
     "attest cannot be used with -H, because the host to be verified would verify itself; fetch "
     "its quote and use --quote FILE here"},
    {"doctor", kh_verb_doctor, "Check this host and say how to put it right"},
    {"status", kh_verb_status, "Show the state of the service"},
    {"help", run_help, "Describe a verb, or list the verbs"},
};

/* What others call them. */
static const struct {
    const char *alias, *verb;
} aliases[] = {{"ls", "list"}, {"ps", "list"}, {"inspect", "show"}, {"rm", "delete"}};

/* Nobody is led to these by what may have been another word. */
static const char *const ending[] = {"stop", "reset", "delete", NULL};

static void
print_help(void)
{
    puts("Usage: katana-hypervisor [--session|--system] [--json] [-v] [-H USER@HOST] VERB ...\n");
    puts("Runs Katana in virtual machines. Verbs:\n");
    for (guint i = 0; i < G_N_ELEMENTS(verbs); i++)
        printf("  %-10s %s\n", verbs[i].name, verbs[i].help);
    puts("\nls and ps are list, inspect is show, rm is delete.");
    puts("katana-hypervisor VERB --help describes a verb.");
}

/* The place of the first argument that is neither an option nor the value of -H; 0: none. */
static int
find_verb(char **argv)
{
    for (int i = 1; argv[i] != NULL && !g_str_equal(argv[i], "--"); i++) {
        if (g_str_equal(argv[i], "-H") || g_str_equal(argv[i], "--host")) {
            if (argv[i + 1] == NULL)
                return 0;
            i++;
        } else if (argv[i][0] != '-') {
            return i;
        }
    }
    return 0;
}

/* Everything but the verb up to "--" are its arguments, the rest is for it alone. */
static void
split(KhCli *cli, char **argv, int verb)
{
    g_autoptr(GStrvBuilder) args = g_strv_builder_new();
    int i;

    for (i = 0; argv[i] != NULL && !g_str_equal(argv[i], "--"); i++)
        if (i != verb)
            g_strv_builder_add(args, argv[i]);
    cli->args = g_strv_builder_end(args);
    cli->rest = g_strdupv(argv[i] == NULL ? argv + i : argv + i + 1);
}

/* Whether @option is among the arguments; what follows "--" is none of ours. */
static gboolean
has_option(char **argv, const char *option)
{
    for (int i = 1; argv[i] != NULL && !g_str_equal(argv[i], "--"); i++)
        if (g_str_equal(argv[i], option))
            return TRUE;
    return FALSE;
}

/* The verb that @word is, or is another name of; NULL: none. */
static const Verb *
look_up(const char *word)
{
    for (guint i = 0; i < G_N_ELEMENTS(aliases); i++)
        if (g_str_equal(aliases[i].alias, word))
            word = aliases[i].verb;
    for (guint i = 0; i < G_N_ELEMENTS(verbs); i++)
        if (g_str_equal(verbs[i].name, word))
            return &verbs[i];
    return NULL;
}

/* The verb that @word may have been meant for; NULL: none. */
static const char *
nearest_verb(const char *word)
{
    const char *known[G_N_ELEMENTS(verbs) + 1] = {NULL};
    guint n = 0;

    for (guint i = 0; i < G_N_ELEMENTS(verbs); i++)
        if (!g_strv_contains(ending, verbs[i].name) || kh_word_distance(word, verbs[i].name) <= 1)
            known[n++] = verbs[i].name;
    return kh_nearest_word(word, known);
}

static int
refuse(KhCli *cli, const char *word)
{
    const char *nearest = nearest_verb(word);

    if (nearest != NULL)
        return kh_cli_fail(cli, g_error_new(KH_ERROR, KH_ERROR_INVALID_ARGUMENT,
                                            "There is no verb \"%s\"; did you mean \"%s\"?", word,
                                            nearest));
    return kh_cli_fail(cli, g_error_new(KH_ERROR, KH_ERROR_INVALID_ARGUMENT,
                                        "There is no verb \"%s\"; see --help", word));
}

/* help VERB is VERB --help. */
static int
run_help(KhCli *cli)
{
    GError *error = NULL;
    g_auto(GStrv) words = kh_cli_parse(cli, NULL, "[VERB]", 0, 1, &error);
    const Verb *verb;

    if (words == NULL)
        return kh_cli_fail(cli, error);
    if (words[0] == NULL) {
        print_help();
        return 0;
    }
    verb = look_up(words[0]);
    if (verb == NULL)
        return refuse(cli, words[0]);
    g_strfreev(cli->args);
    cli->args = g_strsplit("katana-hypervisor --help", " ", -1);
    cli->verb = verb->name;
    cli->help = verb->help;
    return verb->run(cli);
}

static int
run(KhCli *cli, char **argv, int place)
{
    const Verb *verb = look_up(argv[place]);
    int code;

    if (verb == NULL)
        return refuse(cli, argv[place]);
    split(cli, argv, place);
    cli->verb = verb->name;
    cli->help = verb->help;
    return kh_remote_run(cli, argv, verb->here, &code) ? code : verb->run(cli);
}

static int
run_without_verb(KhCli *cli, char **argv)
{
    gboolean version = FALSE;
    const GOptionEntry entries[] = {
        {"version", 0, 0, G_OPTION_ARG_NONE, &version, NULL, NULL},
        {NULL, 0, 0, G_OPTION_ARG_NONE, NULL, NULL, NULL},
    };
    GError *error = NULL;

    if (has_option(argv, "--version")) {
        puts("katana-hypervisor " KH_VERSION);
        return 0;
    }
    if (has_option(argv, "--help") || has_option(argv, "-h")) {
        print_help();
        return 0;
    }
    if (kh_cli_check_options(cli, entries, argv, &error))
        error = g_error_new(KH_ERROR, KH_ERROR_INVALID_ARGUMENT, "A verb is missing; see --help");
    return kh_cli_fail(cli, error);
}

/* One that is closed would become some other file of ours, and take what is printed. */
static void
keep_streams(void)
{
    for (int fd = 0; fd <= STDERR_FILENO; fd++)
        if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", O_RDONLY) < 0)
            _exit(1);
}

/*
 * Whoever started us may have set a pipe or a terminal to not block, and then what does not fit
 * into it is lost. The flag belongs to all who share it: opened anew it is only ours.
 */
static void
keep_blocking(int fd)
{
    g_autofree char *path = g_strdup_printf("/proc/self/fd/%d", fd);
    int flags = fcntl(fd, F_GETFL), own;
    struct stat found;

    if (flags < 0 || (flags & O_NONBLOCK) == 0 || fstat(fd, &found) != 0 ||
        !(S_ISFIFO(found.st_mode) || S_ISCHR(found.st_mode)))
        return;
    /* To open it could block, too: a named pipe that nobody reads, a line without a carrier. */
    own = open(path, O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (own < 0)
        return;
    if (fcntl(own, F_SETFL, flags & ~O_NONBLOCK) == 0)
        dup2(own, fd);
    close(own);
}

static void
print_output(const char *text)
{
    fputs(text, stdout);
}

static void
print_error(const char *text)
{
    fputs(text, stderr);
}

/*
 * No setlocale(): texts are UTF-8 and English, numbers have a point, whatever the locale. GLib
 * would turn what it prints into the locale's characters.
 */
static void
set_up_output(void)
{
    keep_streams();
    keep_blocking(STDOUT_FILENO);
    keep_blocking(STDERR_FILENO);
    signal(SIGPIPE, SIG_IGN);
    g_set_print_handler(print_output);
    g_set_printerr_handler(print_error);
}

int
main(int argc, char **argv)
{
    KhCli cli = {.json = has_option(argv, "--json")};
    int verb = find_verb(argv);
    int code;

    set_up_output();
    code = verb == 0 ? run_without_verb(&cli, argv) : run(&cli, argv, verb);
    code = kh_cli_finish(&cli, code);
    kh_cli_set_deadline(&cli, 0);
    g_clear_object(&cli.bus);
    g_strfreev(cli.args);
    g_strfreev(cli.rest);
    g_free(cli.host);
    g_free(cli.details);
    return code;
}
