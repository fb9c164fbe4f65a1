/* SPDX-License-Identifier: MIT */
/* Parses and checks the command line of the shim. Called by shim.c. */
#include "shim-options.h"

#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

enum {
    OPTION_RUN = 256,
    OPTION_FORMAT,
    OPTION_PROBE_KVM,
    OPTION_PROBE_SEV,
    OPTION_VERSION,
    OPTION_INSTANCE,
    OPTION_STATE_DIR,
    OPTION_RUNTIME_DIR,
    OPTION_UID,
    OPTION_GID,
    OPTION_GROUP,
    OPTION_KERNEL,
    OPTION_INITRD,
    OPTION_FIRMWARE,
    OPTION_QEMU,
    OPTION_SERVICE_UID,
    OPTION_LOG_SIZE,
    OPTION_LOG_FILES,
    OPTION_STOP_TIMEOUT,
    OPTION_READY_FD,
};

#define MODES "--run, --format, --probe-kvm, --probe-sev and --version"

static const struct option long_options[] = {
    {"run", no_argument, NULL, OPTION_RUN},
    {"format", no_argument, NULL, OPTION_FORMAT},
    {"probe-kvm", no_argument, NULL, OPTION_PROBE_KVM},
    {"probe-sev", no_argument, NULL, OPTION_PROBE_SEV},
    {"version", no_argument, NULL, OPTION_VERSION},
    {"instance", required_argument, NULL, OPTION_INSTANCE},
    {"state-dir", required_argument, NULL, OPTION_STATE_DIR},
    {"runtime-dir", required_argument, NULL, OPTION_RUNTIME_DIR},
    {"uid", required_argument, NULL, OPTION_UID},
    {"gid", required_argument, NULL, OPTION_GID},
    {"group", required_argument, NULL, OPTION_GROUP},
    {"kernel", required_argument, NULL, OPTION_KERNEL},
    {"initrd", required_argument, NULL, OPTION_INITRD},
    {"firmware", required_argument, NULL, OPTION_FIRMWARE},
    {"qemu", required_argument, NULL, OPTION_QEMU},
    {"service-uid", required_argument, NULL, OPTION_SERVICE_UID},
    {"log-size", required_argument, NULL, OPTION_LOG_SIZE},
    {"log-files", required_argument, NULL, OPTION_LOG_FILES},
    {"stop-timeout", required_argument, NULL, OPTION_STOP_TIMEOUT},
    {"ready-fd", required_argument, NULL, OPTION_READY_FD},
    {NULL, 0, NULL, 0},
};

/* (uid_t) -1 means "leave it" to setresuid, so that it is no id. */
#define ID_MAX 4294967294UL

static bool
parse_number(const char *text, unsigned long lowest, unsigned long highest, const char *name,
             unsigned long *out, KhShimError *error)
{
    char *end = NULL;
    errno = 0;
    unsigned long value = strtoul(text, &end, 10);
    if (text[0] < '0' || text[0] > '9' || *end != '\0' || errno != 0 || value < lowest ||
        value > highest)
        return kh_shim_fail(error, "--%s is %s; give a number from %lu to %lu", name, text, lowest,
                            highest);
    *out = value;
    return true;
}

static bool
parse_path(const char *text, const char *name, const char **out, KhShimError *error)
{
    if (text[0] != '/')
        return kh_shim_fail(error, "--%s is %s; give an absolute path", name, text);
    *out = text;
    return true;
}

static bool
parse_path_option(KhShimOptions *options, int code, const char *name, KhShimError *error)
{
    switch (code) {
    case OPTION_STATE_DIR:
        return parse_path(optarg, name, &options->state_dir, error);
    case OPTION_RUNTIME_DIR:
        return parse_path(optarg, name, &options->runtime_dir, error);
    case OPTION_KERNEL:
        return parse_path(optarg, name, &options->kernel, error);
    case OPTION_INITRD:
        return parse_path(optarg, name, &options->initrd, error);
    case OPTION_FIRMWARE:
        return parse_path(optarg, name, &options->firmware, error);
    default:
        return parse_path(optarg, name, &options->qemu, error);
    }
}

static bool
parse_group(KhShimOptions *options, const char *name, KhShimError *error)
{
    unsigned long value;
    if (options->n_groups == KH_SHIM_GROUPS_MAX)
        return kh_shim_fail(error, "--group is given more than %d times", KH_SHIM_GROUPS_MAX);
    if (!parse_number(optarg, 1, ID_MAX, name, &value, error))
        return false;
    options->groups[options->n_groups++] = value;
    return true;
}

static bool
parse_identity_option(KhShimOptions *options, int code, const char *name, KhShimError *error)
{
    unsigned long value;
    if (code == OPTION_GROUP)
        return parse_group(options, name, error);
    /* 0 is told from other refusals later: "QEMU never runs as root". */
    if (!parse_number(optarg, 0, ID_MAX, name, &value, error))
        return false;
    if (code == OPTION_UID) {
        options->uid = value;
        options->has_uid = true;
    } else if (code == OPTION_GID) {
        options->gid = value;
        options->has_gid = true;
    } else {
        options->service_uid = value;
        options->has_service_uid = true;
    }
    return true;
}

static bool
parse_number_option(KhShimOptions *options, int code, const char *name, KhShimError *error)
{
    unsigned long value;
    switch (code) {
    case OPTION_LOG_SIZE:
        return parse_number(optarg, KH_LOG_LINE_MAX, 1UL << 30, name, &options->log_size, error);
    case OPTION_LOG_FILES:
        if (!parse_number(optarg, 1, KH_SHIM_LOG_FILES_MAX, name, &value, error))
            return false;
        options->log_files = value;
        return true;
    case OPTION_STOP_TIMEOUT:
        if (!parse_number(optarg, 0, 3600, name, &value, error))
            return false;
        options->stop_timeout = value;
        return true;
    default:
        if (!parse_number(optarg, 3, 1023, name, &value, error))
            return false;
        options->ready_fd = value;
        return true;
    }
}

static bool
parse_mode(KhShimOptions *options, int code, KhShimError *error)
{
    if (options->mode != KH_SHIM_MODE_NONE)
        return kh_shim_fail(error, "give one of " MODES);
    options->mode = code == OPTION_RUN         ? KH_SHIM_MODE_RUN
                    : code == OPTION_FORMAT    ? KH_SHIM_MODE_FORMAT
                    : code == OPTION_PROBE_KVM ? KH_SHIM_MODE_PROBE_KVM
                    : code == OPTION_PROBE_SEV ? KH_SHIM_MODE_PROBE_SEV
                                               : KH_SHIM_MODE_VERSION;
    return true;
}

static bool
parse_option(KhShimOptions *options, int code, const char *name, KhShimError *error)
{
    switch (code) {
    case OPTION_RUN:
    case OPTION_FORMAT:
    case OPTION_PROBE_KVM:
    case OPTION_PROBE_SEV:
    case OPTION_VERSION:
        return parse_mode(options, code, error);
    case OPTION_INSTANCE:
        options->instance = optarg;
        return true;
    case OPTION_UID:
    case OPTION_GID:
    case OPTION_GROUP:
    case OPTION_SERVICE_UID:
        return parse_identity_option(options, code, name, error);
    case OPTION_LOG_SIZE:
    case OPTION_LOG_FILES:
    case OPTION_STOP_TIMEOUT:
    case OPTION_READY_FD:
        return parse_number_option(options, code, name, error);
    default:
        return parse_path_option(options, code, name, error);
    }
}

static bool
check_run(const KhShimOptions *options, KhShimError *error)
{
    const struct {
        const char *name;
        bool given;
    } required[] = {
        {"instance", options->instance != NULL && options->instance[0] != '\0'},
        {"state-dir", options->state_dir != NULL},
        {"runtime-dir", options->runtime_dir != NULL},
        {"kernel", options->kernel != NULL},
        {"initrd", options->initrd != NULL},
        {"qemu", options->qemu != NULL},
        {"service-uid", options->has_service_uid},
        {"log-size", options->log_size != 0},
        {"log-files", options->log_files != 0},
    };
    for (size_t i = 0; i < sizeof required / sizeof required[0]; i++)
        if (!required[i].given)
            return kh_shim_fail(error, "--run needs --%s", required[i].name);
    return true;
}

static bool
check(KhShimOptions *options, KhShimError *error)
{
    options->change_user = options->has_uid;
    if (options->has_uid != options->has_gid || (options->n_groups > 0 && !options->has_uid))
        return kh_shim_fail(error, "give --uid and --gid together, and --group only with them");
    if (options->has_gid && options->gid == 0)
        return kh_shim_fail(error, "--gid is 0; give a group of the machine's own");
    switch (options->mode) {
    case KH_SHIM_MODE_RUN:
        return check_run(options, error);
    case KH_SHIM_MODE_FORMAT:
        if (options->state_dir == NULL || options->arguments[0] == NULL)
            return kh_shim_fail(error, "--format needs --state-dir and a command after --");
        return true;
    case KH_SHIM_MODE_NONE:
        return kh_shim_fail(error, "give one of " MODES);
    default:
        return true;
    }
}

bool
kh_shim_options_parse(KhShimOptions *options, int argc, char **argv, KhShimError *error)
{
    *options = (KhShimOptions){.stop_timeout = 30, .ready_fd = -1};
    opterr = 0;
    for (;;) {
        int index = -1;
        int code = getopt_long(argc, argv, "+", long_options, &index);
        if (code == -1)
            break;
        if (code == '?' || index < 0)
            return kh_shim_fail(error, "%s is not an option of the shim, or its value is missing",
                                argv[optind - 1]);
        if (!parse_option(options, code, long_options[index].name, error))
            return false;
    }
    /* "+" stops at the first word that is no option; only "--" may come before words. */
    if (optind < argc && strcmp(argv[optind - 1], "--") != 0)
        return kh_shim_fail(error, "%s is out of place; put -- before QEMU's arguments",
                            argv[optind]);
    options->arguments = argv + optind;
    return check(options, error);
}
