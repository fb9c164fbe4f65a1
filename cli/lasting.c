/* SPDX-License-Identifier: MIT */
/* What this host does not keep; see lasting.h. */
#include "lasting.h"

#include "client.h"
#include "names.h"
#include "unit-file.h"

static KhUnitFile
ask(KhCli *cli)
{
    g_autoptr(GAsyncResult) result = NULL;

    kh_unit_file_ask_async(cli->bus, kh_cli_keep_result, &result);
    kh_cli_wait_for_result(&result);
    return kh_unit_file_ask_finish(result);
}

void
kh_lasting_warn_of_boot(KhCli *cli)
{
    g_autofree char *found = NULL, *remedy = NULL;

    if (!kh_unit_file_judge(ask(cli), kh_client_is_session(cli), kh_unit_file_lingers(), &found,
                            &remedy))
        g_printerr("katana-hypervisor: warning: it will not start at boot: %s; to mend that: %s\n",
                   found, remedy);
}

void
kh_lasting_warn_of_logout(KhCli *cli)
{
    g_autoptr(GVariant) properties = NULL;
    const char *launcher = "";

    if (!kh_client_is_session(cli) || kh_unit_file_lingers())
        return;
    properties = kh_client_get_all(cli, KH_PATH_MANAGER, KH_INTERFACE_MANAGER, NULL);
    if (properties != NULL)
        g_variant_lookup(properties, "Launcher", "&s", &launcher);
    if (g_str_equal(launcher, "systemd"))
        g_printerr("katana-hypervisor: warning: it stops when you log out; to let it run on: "
                   "loginctl enable-linger %s\n",
                   g_get_user_name());
}
