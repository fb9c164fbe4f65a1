/* SPDX-License-Identifier: MIT */
/*
 * katana-hypervisor-shim: parent of one QEMU and all that must outlive the service. Also
 * does what else must run under the user of a virtual machine. Started by the launchers.
 */
#include <stdio.h>

#include "build-config.h"
#include "shim-notify.h"
#include "shim-privileges.h"
#include "shim-run.h"
#include "shim-tools.h"

#ifdef __SANITIZE_ADDRESS__
/* The search for leaks traces the process, which one that is not dumpable forbids. */
const char *__asan_default_options(void);

const char *
__asan_default_options(void)
{
    return "detect_leaks=0";
}
#endif

int
main(int argc, char **argv)
{
    KhShimOptions options;
    KhShimError error;
    if (!kh_shim_options_parse(&options, argc, argv, &error) ||
        (options.mode != KH_SHIM_MODE_VERSION &&
         !kh_shim_close_descriptors(options.ready_fd, &error))) {
        kh_shim_report_error(options.ready_fd, &error);
        return KH_SHIM_EXIT_FAILED;
    }
    switch (options.mode) {
    case KH_SHIM_MODE_RUN:
        return kh_shim_run(&options);
    case KH_SHIM_MODE_FORMAT:
        return kh_shim_format(&options);
    case KH_SHIM_MODE_PROBE_KVM:
        return kh_shim_probe(&options, "/dev/kvm");
    case KH_SHIM_MODE_PROBE_SEV:
        return kh_shim_probe(&options, "/dev/sev");
    default:
        puts("katana-hypervisor-shim " KH_VERSION);
        return 0;
    }
}
