/* SPDX-License-Identifier: MIT */
/*
 * katana-hypervisor-shim: parent of one QEMU, and all that must outlive the service. Plain
 * C without GLib, because there is one per virtual machine. Started by the launchers.
 */
#include <stdio.h>

#include "build-config.h"
#include "shim-options.h"
#include "shim-privileges.h"
#include "shim-run.h"
#include "shim-tools.h"

static int
refuse(const KhShimOptions *options, const KhShimError *error, int code)
{
    fprintf(stderr, "katana-hypervisor-shim: %s\n", error->text);
    if (options->ready_fd >= 0)
        dprintf(options->ready_fd, KH_ERROR_PREFIX "%s\n", error->text);
    return code;
}

int
main(int argc, char **argv)
{
    KhShimOptions options;
    KhShimError error;
    if (!kh_shim_options_parse(&options, argc, argv, &error))
        return refuse(&options, &error, 2);
    if (options.mode == KH_SHIM_MODE_VERSION) {
        puts("katana-hypervisor-shim " KH_VERSION);
        return 0;
    }
    if (!kh_shim_close_descriptors(options.ready_fd, &error))
        return refuse(&options, &error, 1);
    if (options.mode == KH_SHIM_MODE_FORMAT)
        return kh_shim_format(&options);
    if (options.mode == KH_SHIM_MODE_PROBE_KVM)
        return kh_shim_probe_kvm(&options);
    return kh_shim_run(&options);
}
