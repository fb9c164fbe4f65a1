/* SPDX-License-Identifier: MIT */
/*
 * Drops rights and inherited descriptors. The order matters: the bounding set needs
 * CAP_SETPCAP, groups need CAP_SETGID, and all of them go with the uid; the dumpable flag
 * is last because a change of uid resets it.
 */
#include "shim-privileges.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* As the control group's, which is not everywhere: seccomp lets QEMU make threads. */
#define TASKS_MAX 1024

bool
kh_shim_close_descriptors(int keep, KhShimError *error)
{
    int null;
    do {
        null = open("/dev/null", O_RDWR);
        if (null < 0)
            return kh_shim_fail_errno(error, "cannot open /dev/null");
    } while (null <= 2);
    if (dup2(null, 0) < 0)
        return kh_shim_fail_errno(error, "cannot replace the standard input");
    if (keep < 0)
        return close_range(3, ~0U, 0) == 0 ||
               kh_shim_fail_errno(error, "cannot close the inherited descriptors");
    if (fcntl(keep, F_SETFD, FD_CLOEXEC) < 0)
        return kh_shim_fail_errno(error, "descriptor %d of --ready-fd is not open", keep);
    if (keep > 3 && close_range(3, keep - 1, 0) < 0)
        return kh_shim_fail_errno(error, "cannot close the inherited descriptors");
    if (close_range(keep + 1, ~0U, 0) < 0)
        return kh_shim_fail_errno(error, "cannot close the inherited descriptors");
    return true;
}

static bool
empty_bounding_set(KhShimError *error)
{
    for (int capability = 0; prctl(PR_CAPBSET_READ, capability, 0, 0, 0) >= 0; capability++) {
        if (prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) == 0)
            continue;
        /* Who lacks CAP_SETPCAP cannot, and has no-new-privileges below instead. */
        if (errno == EPERM)
            return true;
        return kh_shim_fail_errno(error, "cannot empty the capability bounding set");
    }
    return true;
}

static bool
change_user(const KhShimOptions *options, KhShimError *error)
{
    if (setgroups(options->n_groups, options->groups) < 0)
        return kh_shim_fail_errno(error, "cannot set the supplementary groups");
    if (setresgid(options->gid, options->gid, options->gid) < 0)
        return kh_shim_fail_errno(error, "cannot change to gid %u", options->gid);
    if (setresuid(options->uid, options->uid, options->uid) < 0)
        return kh_shim_fail_errno(error, "cannot change to uid %u", options->uid);
    return true;
}

static bool
drop_capabilities(KhShimError *error)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = {0};
    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
    if (syscall(SYS_capset, &header, none) < 0)
        return kh_shim_fail_errno(error, "cannot drop the capabilities");
    return true;
}

static bool
verify_user(const KhShimOptions *options, KhShimError *error)
{
    uid_t real, effective, saved;
    gid_t real_group, effective_group, saved_group;
    if (getresuid(&real, &effective, &saved) < 0 ||
        getresgid(&real_group, &effective_group, &saved_group) < 0)
        return kh_shim_fail_errno(error, "cannot read back the user");
    if (real != effective || real != saved || real_group != effective_group ||
        real_group != saved_group)
        return kh_shim_fail(error, "the shim has several users at once; do not install it set-id");
    if (options->change_user && (real != options->uid || real_group != options->gid))
        return kh_shim_fail(error, "the user is %u:%u after changing to %u:%u", real, real_group,
                            options->uid, options->gid);
    if (real != 0 && setuid(0) == 0)
        return kh_shim_fail(error, "uid %u could become root again", real);
    return true;
}

static bool
lower_limits(const KhShimOptions *options, KhShimError *error)
{
    const struct rlimit no_core = {0, 0}, tasks = {TASKS_MAX, TASKS_MAX};
    struct rlimit given;
    if (setrlimit(RLIMIT_CORE, &no_core) < 0)
        return kh_shim_fail_errno(error, "cannot forbid core files");
    /* It counts all that the user runs: the machine's own runs nothing else. */
    if (!options->change_user || getrlimit(RLIMIT_NPROC, &given) < 0 || given.rlim_max < TASKS_MAX)
        return true;
    return setrlimit(RLIMIT_NPROC, &tasks) == 0 ||
           kh_shim_fail_errno(error, "cannot limit the number of threads");
}

bool
kh_shim_drop_privileges(const KhShimOptions *options, KhShimError *error)
{
    if (!empty_bounding_set(error))
        return false;
    if (options->change_user && !change_user(options, error))
        return false;
    if (!drop_capabilities(error) || !verify_user(options, error))
        return false;
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return kh_shim_fail_errno(error, "cannot set no-new-privileges");
    if (!lower_limits(options, error))
        return false;
    if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
        return kh_shim_fail_errno(error, "cannot become undumpable");
    umask(0077);
    return true;
}

bool
kh_shim_refuse_root(KhShimError *error)
{
    if (getuid() == 0 || geteuid() == 0)
        return kh_shim_fail(error, "a virtual machine never runs as root; give --uid and --gid of "
                                   "an unprivileged user");
    return true;
}
