/* SPDX-License-Identifier: MIT */
/* katana-hypervisor attest: verifies an instance here, trusting AMD's roots and not its host. */
#include "attest.h"
#include "verbs.h"

int
kh_verb_attest(KhCli *cli)
{
    return kh_attest_run(cli, kh_anchors_new_amd());
}
