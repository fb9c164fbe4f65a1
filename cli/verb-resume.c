/* SPDX-License-Identifier: MIT */
/* katana-hypervisor resume */
#include "verbs.h"

int
kh_verb_resume(KhCli *cli)
{
    const KhOperation operation = {.method = "Resume", .already = "running"};
    GError *error = NULL;
    g_auto(GStrv) names = kh_cli_parse(cli, NULL, "NAME...", 1, G_MAXUINT, &error);

    if (names == NULL)
        return kh_cli_fail(cli, error);
    return kh_verb_on_each(cli, names, &operation, g_variant_new("a{sv}", NULL));
}
