/* SPDX-License-Identifier: MIT */
/* katana-hypervisor delete */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "error.h"
#include "names.h"
#include "verbs.h"

typedef struct {
    gboolean force, keep, yes;
} Options;

/* FALSE with the reason: the service would refuse it. */
static gboolean
may_be_deleted(KhCli *cli, const KhVerbOperation *operation, const Options *options,
               const char *name, GError **error)
{
    static const char *const down[] = {"created", "stopped", "failed", "deleting", NULL};
    g_autoptr(GVariant) properties = kh_verb_look_up(cli, operation, name, NULL, error);
    const char *state = "deleting";

    if (properties == NULL)
        return FALSE;
    g_variant_lookup(properties, "State", "&s", &state);
    if (options->force || g_strv_contains(down, state))
        return TRUE;
    return kh_error_set(error, KH_ERROR_INVALID_STATE,
                        "\"%s\" is %s; stop it first, or delete it with --force", name, state);
}

/* Those that can go; of the others is said what is wrong, and *@code is the first's. */
static char **
look_up(KhCli *cli, const KhVerbOperation *operation, const Options *options, char **names,
        int *code)
{
    g_autoptr(GStrvBuilder) found = g_strv_builder_new();

    for (; *names != NULL; names++) {
        GError *error = NULL;
        gboolean goes = may_be_deleted(cli, operation, options, *names, &error);
        int failed = goes ? 0 : kh_cli_fail(cli, error);

        if (goes)
            g_strv_builder_add(found, *names);
        *code = *code != 0 ? *code : failed;
    }
    return g_strv_builder_end(found);
}

/* About what will be done, which the options change. */
static gboolean
confirm(const Options *options, char **names, GError **error)
{
    g_autofree char *given = g_strjoinv(", ", names);
    g_autofree char *list = kh_text_sanitize(given, strlen(given));
    const char *what[2][2] = {{"with all its data", "with all their data"},
                              {"but keep its data disk", "but keep their data disks"}};
    char answer[16] = "";

    fprintf(stderr, "Delete %s %s? [y/N] ", list, what[options->keep][names[1] != NULL]);
    if (fgets(answer, sizeof answer, stdin) != NULL && (answer[0] == 'y' || answer[0] == 'Y'))
        return TRUE;
    return kh_error_set(error, KH_ERROR_CANCELLED, "Nothing was deleted");
}

/* Nobody is asked about what will be refused, nor a script: it has said what it wants. */
static int
delete_asked(KhCli *cli, const KhVerbOperation *operation, const Options *options, char **names,
             GVariant *arguments)
{
    g_autoptr(GVariant) held = g_variant_ref_sink(arguments);
    GError *error = NULL;
    int missing = 0, failed;
    g_auto(GStrv) found = look_up(cli, operation, options, names, &missing);

    if (found[0] == NULL)
        return missing;
    if (!confirm(options, found, &error))
        return kh_cli_fail(cli, error);
    failed = kh_verb_on_each(cli, found, operation, held);
    return missing != 0 ? missing : failed;
}

int
kh_verb_delete(KhCli *cli)
{
    const KhVerbOperation operation = {.method = "Delete",
                                       .job = "delete",
                                       .goes_on = "the deletion goes on",
                                       .goal = KH_GOAL_GONE};
    Options chosen = {FALSE, FALSE, FALSE};
    const GOptionEntry entries[] = {
        {"force", 0, 0, G_OPTION_ARG_NONE, &chosen.force, "Kill those that run", NULL},
        {"keep-data", 0, 0, G_OPTION_ARG_NONE, &chosen.keep,
         "Keep the data disk, which then belongs to the service's user", NULL},
        {"yes", 'y', 0, G_OPTION_ARG_NONE, &chosen.yes, "Do not ask", NULL},
        {NULL, 0, 0, G_OPTION_ARG_NONE, NULL, NULL, NULL},
    };
    g_auto(GVariantDict) options = G_VARIANT_DICT_INIT(NULL);
    GError *error = NULL;
    g_auto(GStrv) names = kh_cli_parse(cli, entries, "NAME...", 1, G_MAXUINT, &error);

    if (names == NULL)
        return kh_cli_fail(cli, error);
    if (chosen.force)
        g_variant_dict_insert(&options, "force", "b", TRUE);
    if (chosen.keep)
        g_variant_dict_insert(&options, "keep-data", "b", TRUE);
    if (!chosen.yes && isatty(STDIN_FILENO))
        return delete_asked(cli, &operation, &chosen, names, g_variant_dict_end(&options));
    return kh_verb_on_each(cli, names, &operation, g_variant_dict_end(&options));
}
