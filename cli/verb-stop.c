/* SPDX-License-Identifier: MIT */
/* katana-hypervisor stop */
#include "verbs.h"

int
kh_verb_stop(KhCli *cli)
{
    const KhOperation operation = {.method = "Stop",
                                   .job = "stop",
                                   .goes_on = "stopping goes on",
                                   .already = "stopped",
                                   .stops = TRUE};
    gboolean force = FALSE;
    g_autofree char *timeout = NULL;
    const GOptionEntry entries[] = {
        {"force", 0, 0, G_OPTION_ARG_NONE, &force, "Kill it: a power cut", NULL},
        {"timeout", 0, 0, G_OPTION_ARG_STRING, &timeout, "How long the guest may take", "SECONDS"},
        {NULL, 0, 0, G_OPTION_ARG_NONE, NULL, NULL, NULL},
    };
    g_auto(GVariantDict) options = G_VARIANT_DICT_INIT(NULL);
    GError *error = NULL;
    g_auto(GStrv) names = kh_cli_parse(cli, entries, "NAME...", 1, G_MAXUINT, &error);

    if (names == NULL || !kh_verb_add_timeout(&options, timeout, &error))
        return kh_cli_fail(cli, error);
    if (force)
        g_variant_dict_insert(&options, "mode", "s", "kill");
    return kh_verb_on_each(cli, names, &operation, g_variant_dict_end(&options));
}
