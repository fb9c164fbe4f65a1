/* SPDX-License-Identifier: MIT */
/* katana-hypervisor reset */
#include "verbs.h"

int
kh_verb_reset(KhCli *cli)
{
    const KhOperation operation = {.method = "Reset", .job = "reset"};
    const KhTimedHelp help = {.no_wait = "Do not wait for RPC",
                              .timeout = "How long to wait for RPC"};

    return kh_verb_timed(cli, &operation, &help);
}
