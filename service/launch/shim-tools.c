/* SPDX-License-Identifier: MIT */
/* The small jobs of the shim; see shim-tools.h. */
#include "shim-tools.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <unistd.h>

#include "shim-child.h"
#include "shim-folder.h"
#include "shim-privileges.h"

static int
fail(const KhShimError *error)
{
    fprintf(stderr, "katana-hypervisor-shim: %s\n", error->text);
    return 1;
}

static bool
enter_folder(const KhShimOptions *options, int folder, KhShimError *error)
{
    if (folder < 0)
        folder = kh_shim_folder_open(options->state_dir);
    if (folder < 0)
        return kh_shim_fail_errno(error, "cannot open %s", options->state_dir);
    return kh_shim_folder_check(folder, options->state_dir, error) &&
           (fchdir(folder) == 0 ||
            kh_shim_fail_errno(error, "cannot enter %s", options->state_dir));
}

int
kh_shim_format(const KhShimOptions *options)
{
    KhShimError error;
    KhShimChild child;
    int folder = kh_shim_folder_open(options->state_dir);
    KhShimSpawn spawn = {.program = options->arguments[0],
                         .arguments = options->arguments + 1,
                         .output = STDERR_FILENO,
                         .fds = {-1, -1, -1, -1, -1, -1}};
    if (!kh_shim_drop_privileges(options, &error) || !kh_shim_refuse_root(&error) ||
        !enter_folder(options, folder, &error) || !kh_shim_child_spawn(&child, &spawn, &error))
        return fail(&error);
    return kh_shim_child_exit_code(kh_shim_child_reap(&child));
}

int
kh_shim_probe_kvm(const KhShimOptions *options)
{
    KhShimError error;
    if (!kh_shim_drop_privileges(options, &error))
        return fail(&error);
    int fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);
    return fd >= 0 ? 0 : 1;
}
