/* SPDX-License-Identifier: MIT */
/* katana-hypervisor delete */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "error.h"
#include "names.h"
#include "verbs.h"

/* Only on a terminal: a script has said what it wants. */
static gboolean
confirm(char **names, GError **error)
{
    g_autofree char *given = g_strjoinv(", ", names);
    g_autofree char *list = kh_text_sanitize(given, strlen(given));
    char answer[16] = "";

    if (!isatty(STDIN_FILENO))
        return TRUE;
    fprintf(stderr, "Delete %s with all data? [y/N] ", list);
    if (fgets(answer, sizeof answer, stdin) != NULL && (answer[0] == 'y' || answer[0] == 'Y'))
        return TRUE;
    g_set_error(error, KH_ERROR, KH_ERROR_CANCELLED, "Nothing was deleted");
    return FALSE;
}

int
kh_verb_delete(KhCli *cli)
{
    const KhOperation operation = {
        .method = "Delete", .job = "delete", .goes_on = "the deletion goes on", .exact = TRUE};
    gboolean force = FALSE, keep = FALSE, yes = FALSE;
    const GOptionEntry entries[] = {
        {"force", 0, 0, G_OPTION_ARG_NONE, &force, "Also a running one", NULL},
        {"keep-data", 0, 0, G_OPTION_ARG_NONE, &keep, "Leave the data disk, for root", NULL},
        {"yes", 'y', 0, G_OPTION_ARG_NONE, &yes, "Do not ask", NULL},
        {NULL, 0, 0, G_OPTION_ARG_NONE, NULL, NULL, NULL},
    };
    g_auto(GVariantDict) options = G_VARIANT_DICT_INIT(NULL);
    GError *error = NULL;
    g_auto(GStrv) names = kh_cli_parse(cli, entries, "NAME...", 1, G_MAXUINT, &error);

    if (names == NULL || (!yes && !confirm(names, &error)))
        return kh_cli_fail(cli, error);
    if (force)
        g_variant_dict_insert(&options, "force", "b", TRUE);
    if (keep)
        g_variant_dict_insert(&options, "keep-data", "b", TRUE);
    return kh_verb_on_each(cli, names, &operation, g_variant_dict_end(&options));
}
