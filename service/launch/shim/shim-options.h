/* SPDX-License-Identifier: MIT */
/*
 * The command line of the shim, written by the launchers and by nobody else; checked all
 * the same, because the shim may hold root's rights when it reads it.
 */
#pragma once

#include <sys/types.h>

#include "shim-error.h"

#define KH_SHIM_GROUPS_MAX 16
#define KH_SHIM_LOG_FILES_MAX 100

typedef enum {
    KH_SHIM_MODE_NONE,
    KH_SHIM_MODE_RUN,
    KH_SHIM_MODE_FORMAT,
    KH_SHIM_MODE_PROBE_KVM,
    KH_SHIM_MODE_PROBE_SEV,
    KH_SHIM_MODE_VERSION,
} KhShimMode;

/* Strings belong to argv. Descriptors are -1 and paths NULL where not given. */
typedef struct {
    KhShimMode mode;
    const char *instance;
    const char *state_dir;
    const char *runtime_dir;
    const char *kernel;
    const char *initrd;
    const char *firmware;
    const char *qemu;
    bool change_user;
    bool has_uid;
    bool has_gid;
    bool has_service_uid;
    uid_t uid;
    gid_t gid;
    gid_t groups[KH_SHIM_GROUPS_MAX];
    unsigned n_groups;
    uid_t service_uid;
    unsigned long log_size; /* bytes per file */
    unsigned log_files;     /* the current one included */
    unsigned stop_timeout;  /* seconds */
    int ready_fd;
    char **arguments; /* what stands after "--", NULL-terminated */
} KhShimOptions;

/*
 * Parses argv. On an error `options` holds what was read before it, so that the caller can
 * report on the ready descriptor.
 */
bool kh_shim_options_parse(KhShimOptions *options, int argc, char **argv, KhShimError *error);
