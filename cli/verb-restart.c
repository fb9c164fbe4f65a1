/* SPDX-License-Identifier: MIT */
/* katana-hypervisor restart */
#include "verbs.h"

int
kh_verb_restart(KhCli *cli)
{
    const KhOperation operation = {.method = "Restart", .job = "restart", .stops = TRUE};
    gboolean force = FALSE, no_wait = FALSE;
    g_autofree char *timeout = NULL;
    const GOptionEntry entries[] = {
        {"force", 0, 0, G_OPTION_ARG_NONE, &force, "Kill it first: a power cut", NULL},
        {"no-wait", 0, 0, G_OPTION_ARG_NONE, &no_wait, "Do not wait for RPC", NULL},
        {"timeout", 0, 0, G_OPTION_ARG_STRING, &timeout, "How long to wait for RPC", "SECONDS"},
        {NULL, 0, 0, G_OPTION_ARG_NONE, NULL, NULL, NULL},
    };
    g_auto(GVariantDict) options = G_VARIANT_DICT_INIT(NULL);
    GError *error = NULL;
    g_auto(GStrv) names = kh_cli_parse(cli, entries, "NAME...", 1, G_MAXUINT, &error);

    if (names == NULL || !kh_verb_add_timeout(&options, timeout, &error))
        return kh_cli_fail(cli, error);
    if (force)
        g_variant_dict_insert(&options, "mode", "s", "kill");
    if (no_wait)
        g_variant_dict_insert(&options, "no-wait", "b", TRUE);
    return kh_verb_on_each(cli, names, &operation, g_variant_dict_end(&options));
}
