/* SPDX-License-Identifier: MIT */
/* What the service needs besides QEMU; see service-place.h. */
#include "service-place.h"

#include <errno.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/statvfs.h>

#include "auto-fd.h"
#include "sizes.h"

/* Less is trouble soon, less than the other trouble now. */
#define DISK_WARN (G_GUINT64_CONSTANT(10) << 30)
#define DISK_FAIL (G_GUINT64_CONSTANT(512) << 20)
#define PORTS_WARN 10

static void
check_mkfs(const KhCheckContext *context, KhFindings *findings)
{
    g_autofree char *program = kh_check_context_find_program(context, "mkfs.ext4");
    g_autofree char *install = kh_distribution_install(context->distribution, KH_PACKAGE_E2FSPROGS);

    if (program != NULL) {
        kh_findings_add(findings, "e2fsprogs", KH_FINDING_OK, "%s", program);
        return;
    }
    kh_findings_add(findings, "e2fsprogs", KH_FINDING_FAIL, "there is no mkfs.ext4 in %s",
                    context->path);
    kh_findings_mend(findings, "%s", install);
}

static void
check_build_tools(const KhCheckContext *context, KhFindings *findings)
{
    static const char *const tools[] = {"cpio", "xz", "zstd", "ar", "tar", "sha256sum", NULL};
    g_autofree char *install =
        kh_distribution_install(context->distribution, KH_PACKAGE_BUILD_TOOLS);

    for (guint i = 0; tools[i] != NULL; i++) {
        g_autofree char *program = kh_check_context_find_program(context, tools[i]);

        if (program != NULL)
            continue;
        kh_findings_add(findings, "build-tools", KH_FINDING_WARN,
                        "boot components cannot be built here, because there is no %s", tools[i]);
        kh_findings_mend(findings, "%s, or use components that were built elsewhere", install);
        return;
    }
    kh_findings_add(findings, "build-tools", KH_FINDING_OK, "boot components can be built here");
}

static void
check_limits(const KhCheckContext *context, KhFindings *findings)
{
    gboolean units = g_str_equal(context->launcher, "systemd");

    if (context->holds_memory && context->holds_processor) {
        kh_findings_add(findings, "limits", KH_FINDING_OK,
                        "the kernel holds machines to their memory and processor limits");
        return;
    }
    kh_findings_add(findings, "limits", KH_FINDING_WARN, "machines are not held to their %s",
                    context->holds_memory ? "processor limits" : "memory and processor limits");
    if (units && context->session)
        kh_findings_mend(findings, "boot with cgroup v2, and let users have the controllers: "
                                   "systemctl edit user@.service, [Service], "
                                   "Delegate=cpu memory pids");
    else
        kh_findings_mend(findings, "run the service as root under systemd with cgroup v2, or give "
                                   "it a control group of its own (Delegate=yes)");
}

static void
check_launcher(const KhCheckContext *context, KhFindings *findings)
{
    if (context->launcher[0] == '\0')
        return;
    kh_findings_add(findings, "launcher", KH_FINDING_OK,
                    !g_str_equal(context->launcher, "systemd")
                        ? "direct: machines are children of the service"
                    : context->session ? "systemd: machines are units of this user's"
                                       : "systemd: machines are units");
    check_limits(context, findings);
}

static void
check_disk(const KhCheckContext *context, KhFindings *findings)
{
    struct statvfs info;
    guint64 left;
    g_autofree char *shown = NULL;

    if (statvfs(context->state_folder, &info) != 0) {
        kh_findings_add(findings, "disk", KH_FINDING_FAIL, "%s: %s", context->state_folder,
                        g_strerror(errno));
        kh_findings_mend(findings, "mount the file system of the state folder");
        return;
    }
    left = (info.f_flag & ST_RDONLY) != 0 ? 0 : (guint64)info.f_bavail * info.f_frsize;
    shown = kh_size_format(left);
    kh_findings_add(findings, "disk",
                    left >= DISK_WARN   ? KH_FINDING_OK
                    : left >= DISK_FAIL ? KH_FINDING_WARN
                                        : KH_FINDING_FAIL,
                    "%s left in %s%s", shown, context->state_folder,
                    (info.f_flag & ST_RDONLY) != 0 ? ", which is mounted read-only" : "");
    if (left < DISK_WARN)
        kh_findings_mend(findings, "delete instances, or put state-dir on a larger file system");
}

/*
 * Whether nobody listens there. Bound and not listened on, unlike kh_port_probe(): so a
 * machine that starts meanwhile, or a create that looks for a port, is not in its way.
 */
static gboolean
is_left(guint16 port)
{
    struct sockaddr_in name = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    g_auto(KhFd) fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int on = 1;

    return fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0 &&
           bind(fd, (struct sockaddr *)&name, sizeof name) == 0;
}

static guint
count_ports(const KhCheckContext *context)
{
    guint left = 0;

    for (guint port = context->ports.first; port <= context->ports.last; port++)
        if (!g_hash_table_contains(context->used_ports, GUINT_TO_POINTER(port)) &&
            is_left((guint16)port))
            left++;
    return left;
}

static void
check_ports(const KhCheckContext *context, KhFindings *findings)
{
    guint left = count_ports(context);

    kh_findings_add(findings, "ports",
                    left == 0           ? KH_FINDING_FAIL
                    : left < PORTS_WARN ? KH_FINDING_WARN
                                        : KH_FINDING_OK,
                    "%u of the ports %u to %u are left on 127.0.0.1", left, context->ports.first,
                    context->ports.last);
    if (left < PORTS_WARN)
        kh_findings_mend(findings, "delete instances, or set a wider port-range in %s",
                         context->settings_file);
}

void
kh_service_place_check(const KhCheckContext *context, KhFindings *findings)
{
    check_mkfs(context, findings);
    check_build_tools(context, findings);
    check_launcher(context, findings);
    check_disk(context, findings);
    check_ports(context, findings);
}
