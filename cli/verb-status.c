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
    if (cli->json) {
        g_autoptr(JsonNode) node = kh_output_properties(properties);

        kh_output_json(node);
    } else {
        kh_output_fields(properties);
    }
    return 0;
}
