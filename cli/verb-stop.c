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
                                   .goal = KH_GOAL_DOWN,
                                   .stops = TRUE};
    const KhTimedHelp help = {.force = "Kill it: a power cut",
                              .timeout = "How long the guest may take"};

    return kh_verb_timed(cli, &operation, &help);
}
