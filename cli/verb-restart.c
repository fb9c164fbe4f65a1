/* SPDX-License-Identifier: MIT */
/* katana-hypervisor restart */
#include "verbs.h"

int
kh_verb_restart(KhCli *cli)
{
    const KhOperation operation = {.method = "Restart", .job = "restart", .stops = TRUE};
    const KhTimedHelp help = {.force = "Kill it instead of stopping it: a power cut",
                              .no_wait = "Do not wait for RPC",
                              .timeout = "How long to wait for RPC"};

    return kh_verb_timed(cli, &operation, &help);
}
