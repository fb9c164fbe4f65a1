/* SPDX-License-Identifier: MIT */
/* What this host does not keep; see lasting.h. */
#include "lasting.h"

#include "client.h"
#include "names.h"

/* Where logind keeps who lingers, an empty file per user. */
#define LINGER_FOLDER "/var/lib/systemd/linger"

static gboolean
lingers(void)
{
    g_autofree char *path = g_build_filename(LINGER_FOLDER, g_get_user_name(), NULL);

    return g_file_test(path, G_FILE_TEST_EXISTS);
}

void
kh_lasting_warn_of_logout(KhCli *cli)
{
    g_autoptr(GVariant) properties = NULL;
    const char *launcher = "";

    if (!kh_client_is_session(cli) || lingers())
        return;
    properties = kh_client_get_all(cli, KH_PATH_MANAGER, KH_INTERFACE_MANAGER, NULL);
    if (properties != NULL)
        g_variant_lookup(properties, "Launcher", "&s", &launcher);
    if (g_str_equal(launcher, "systemd"))
        g_printerr("katana-hypervisor: warning: it stops when you log out; to let it run on: "
                   "loginctl enable-linger %s\n",
                   g_get_user_name());
}
