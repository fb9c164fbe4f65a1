/* SPDX-License-Identifier: MIT */
/* The limit on descriptors; see descriptors.h. */
#include "descriptors.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "error.h"

#define RESERVE_MAX 32
/* The service without a machine: its folders, database, bus, and some clients' calls. */
#define OWN 32

guint
kh_descriptors_limit(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return 0;
    return (guint)MIN(limit.rlim_cur, G_MAXINT);
}

static guint
reserve_of(guint limit)
{
    return MIN(RESERVE_MAX, limit / 4);
}

guint
kh_descriptors_machines(void)
{
    guint limit = kh_descriptors_limit(), kept = reserve_of(limit) + OWN;

    return limit > kept ? (limit - kept) / KH_DESCRIPTORS_MACHINE : 0;
}

/* How many more there are, up to @enough. One is taken at a time: others need the rest. */
static guint
count_free(guint enough)
{
    int probe = open("/", O_PATH | O_CLOEXEC), fd = probe;
    guint count = 0;

    while (fd >= 0 && ++count < enough) {
        int next = fcntl(probe, F_DUPFD_CLOEXEC, fd + 1);

        if (fd != probe)
            close(fd);
        fd = next;
    }
    if (fd >= 0 && fd != probe)
        close(fd);
    if (probe >= 0)
        close(probe);
    return count;
}

static gboolean
check(guint wanted, guint kept, GError **error)
{
    if (count_free(wanted + kept) >= wanted + kept)
        return TRUE;
    return kh_error_set(
        error, KH_ERROR_RESOURCE_UNAVAILABLE,
        "The service has too few file descriptors: it may have %u and each machine takes "
        "%d, which is enough for %u machines; raise LimitNOFILE= of its unit, or "
        "\"ulimit -n\" where it is started by hand",
        kh_descriptors_limit(), KH_DESCRIPTORS_MACHINE, kh_descriptors_machines());
}

gboolean
kh_descriptors_check(guint wanted, GError **error)
{
    return check(wanted, reserve_of(kh_descriptors_limit()), error);
}

gboolean
kh_descriptors_check_reserve(guint wanted, GError **error)
{
    return check(wanted, reserve_of(kh_descriptors_limit()) / 4, error);
}
