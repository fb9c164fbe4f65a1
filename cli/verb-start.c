/* SPDX-License-Identifier: MIT */
/* katana-hypervisor start */
#include "verbs.h"

int
kh_verb_start(KhCli *cli)
{
    const KhTimedHelp help = {.no_wait = "Do not wait for RPC",
                              .timeout = "How long to wait for RPC"};

    return kh_verb_timed(cli, &kh_operation_start, &help);
}
