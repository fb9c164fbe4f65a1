/* SPDX-License-Identifier: MIT */
/* katana-hypervisor status */
#include "client.h"
#include "names.h"
#include "output.h"
#include "verbs.h"

int
kh_verb_status(KhCli *cli)
{
    GError *error = NULL;
    g_auto(GStrv) none = kh_cli_parse(cli, NULL, "", 0, 0, &error);
    g_autoptr(GVariant) properties = NULL;

    if (none != NULL)
        properties = kh_client_get_all(cli, KH_PATH_MANAGER, KH_INTERFACE_MANAGER, &error);
    if (properties == NULL)
        return kh_cli_fail(cli, error);
    kh_output_shown(cli->json, properties);
    return 0;
}
