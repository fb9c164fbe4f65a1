/* SPDX-License-Identifier: MIT */
/* SEV-SNP in kernel and firmware; see snp.h. */
#include "snp.h"

#include "auto-fd.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#define MODPROBE "/etc/modprobe.d/kvm-amd-snp.conf"
#define UDEV_RULE "KERNEL==\"sev\", GROUP=\"kvm\", MODE=\"0660\""

/* linux/psp-sev.h since 6.9; older headers lack it. */
#define SNP_PLATFORM_STATUS 9
#define SNP_STATE_INIT 1

typedef struct {
    guint32 command;
    guint64 data;
    guint32 error;
} __attribute__((packed)) SevCommand;

#define SEV_ISSUE_COMMAND _IOWR('S', 0x0, SevCommand)

/* SEV-SNP firmware ABI (AMD 56860), SNP_PLATFORM_STATUS, as the kernel hands it out. */
typedef struct {
    guint8 api_major, api_minor, state, rmp;
    guint32 build;
    guint32 masks;
    guint32 guests;
    guint64 current_tcb, reported_tcb;
} __attribute__((packed)) SnpStatus;

static gboolean
is_yes(const char *value)
{
    return value != NULL && (g_str_equal(value, "Y") || g_str_equal(value, "1"));
}

static void
check_parameter(const KhCheckContext *context, const char *check, const char *name,
                KhFindings *findings)
{
    g_autofree char *path = g_strconcat("module/kvm_amd/parameters/", name, NULL);
    g_autofree char *value = kh_check_context_read(context->sys, path);

    if (is_yes(value)) {
        kh_findings_add(findings, check, KH_FINDING_OK, "kvm_amd has %s=%s", name, value);
        return;
    }
    if (value == NULL)
        kh_findings_add(findings, check, KH_FINDING_FAIL,
                        "kvm_amd is not loaded, or knows no parameter %s", name);
    else
        kh_findings_add(findings, check, KH_FINDING_FAIL, "kvm_amd has %s=%s", name, value);
    kh_findings_mend(findings,
                     "with Linux 6.11 or newer on a host with SEV-SNP: switch SNP on in the BIOS, "
                     "put \"options kvm_amd sev=1 sev_es=1 sev_snp=1\" into " MODPROBE
                     ", %s, and reboot",
                     kh_distribution_update_initramfs(context->distribution));
}

/* Whether machines may open it, by owner, group and mode. */
static gboolean
may_open(const KhCheckContext *context, const char *path, const struct stat *info)
{
    if (context->vm_uid < 0)
        return faccessat(AT_FDCWD, path, R_OK | W_OK, AT_EACCESS) == 0;
    if (info->st_uid == (uid_t)context->vm_uid)
        return (info->st_mode & 0600) == 0600;
    if (context->vm_gid >= 0 && info->st_gid == (gid_t)context->vm_gid)
        return (info->st_mode & 0060) == 0060;
    return (info->st_mode & 0006) == 0006;
}

static void
mend_device(KhFindings *findings, const char *then)
{
    kh_findings_mend(findings,
                     "put the line %s into /etc/udev/rules.d/99-sev.rules, then "
                     "udevadm control --reload && udevadm trigger /dev/sev%s",
                     UDEV_RULE, then);
}

/* The service's unit hides devices from it: the kernel's list of them shows what there is. */
static void
check_hidden(const KhCheckContext *context, KhFindings *findings)
{
    g_autofree char *listed = g_build_filename(context->sys, "class/misc/sev", NULL);

    if (!g_file_test(listed, G_FILE_TEST_EXISTS)) {
        kh_findings_add(findings, "snp-device", KH_FINDING_FAIL, "there is no /dev/sev");
        kh_findings_mend(findings, "load ccp and kvm_amd on a host with SEV-SNP: modprobe kvm_amd; "
                                   "dmesg says what the firmware lacks");
    } else if (context->launcher[0] == '\0') {
        kh_findings_add(findings, "snp-device", KH_FINDING_FAIL,
                        "the kernel has /dev/sev, and there is no such file here");
        kh_findings_mend(findings, "outside of a container: udevadm trigger /dev/sev");
    } else if (context->sev_opens) {
        kh_findings_add(findings, "snp-device", KH_FINDING_OK,
                        "the machines' user can open /dev/sev");
    } else {
        kh_findings_add(findings, "snp-device", KH_FINDING_FAIL,
                        "the machines' user could not open /dev/sev when the service started");
        mend_device(findings, ", and restart the service");
    }
}

static void
check_device(const KhCheckContext *context, KhFindings *findings)
{
    g_autofree char *path = g_build_filename(context->dev, "sev", NULL);
    struct stat info;

    if (stat(path, &info) != 0) {
        check_hidden(context, findings);
    } else if (may_open(context, path, &info)) {
        kh_findings_add(findings, "snp-device", KH_FINDING_OK,
                        "/dev/sev can be opened for machines (mode %04o, group %u)",
                        info.st_mode & 07777, info.st_gid);
    } else {
        kh_findings_add(findings, "snp-device", KH_FINDING_FAIL,
                        "/dev/sev cannot be opened for machines: owner %u, group %u, mode %04o",
                        info.st_uid, info.st_gid, info.st_mode & 07777);
        mend_device(findings, "");
    }
}

/* 0, or errno. */
static int
ask_firmware(const KhCheckContext *context, SnpStatus *status)
{
    g_autofree char *path = g_build_filename(context->dev, "sev", NULL);
    SevCommand command = {.command = SNP_PLATFORM_STATUS, .data = (guint64)(guintptr)status};
    g_auto(KhFd) fd = open(path, O_RDWR | O_CLOEXEC | O_NONBLOCK);

    return fd >= 0 && ioctl(fd, SEV_ISSUE_COMMAND, &command) == 0 ? 0 : errno;
}

static void
check_firmware(const KhCheckContext *context, KhFindings *findings)
{
    SnpStatus status = {0};
    int code = ask_firmware(context, &status);

    if (code != 0) {
        kh_findings_add(findings, "snp-firmware-state", KH_FINDING_WARN,
                        "the firmware's state cannot be asked: %s", g_strerror(code));
        kh_findings_mend(findings, "as root, \"snphost show version\" or dmesg | grep -i sev");
    } else if (status.state == SNP_STATE_INIT && (status.rmp & 1) != 0) {
        kh_findings_add(findings, "snp-firmware-state", KH_FINDING_OK,
                        "SEV firmware %u.%u build %u, SNP initialized, %u guests", status.api_major,
                        status.api_minor, status.build, status.guests);
    } else {
        kh_findings_add(findings, "snp-firmware-state", KH_FINDING_FAIL,
                        "SEV firmware %u.%u build %u: SNP is not initialized", status.api_major,
                        status.api_minor, status.build);
        kh_findings_mend(findings, "switch SNP and its memory coverage (RMP) on in the BIOS, and "
                                   "reboot; dmesg | grep -i sev says what is amiss");
    }
}

/* N of the line "sev_es N"; -1: none. */
static gint64
read_ids(const KhCheckContext *context, const char *file)
{
    g_autofree char *path = g_strconcat("fs/cgroup/", file, NULL);
    g_autofree char *text = kh_check_context_read(context->sys, path);
    g_auto(GStrv) lines = g_strsplit(text == NULL ? "" : text, "\n", 64);

    for (guint i = 0; lines[i] != NULL; i++)
        if (g_str_has_prefix(lines[i], "sev_es "))
            return (gint64)g_ascii_strtoull(lines[i] + 7, NULL, 10);
    return -1;
}

/* Of the processor, where the kernel says nothing: those below the first for SEV alone. */
static gint64
count_ids(const KhCheckContext *context)
{
    gint64 ids = read_ids(context, "misc.capacity");

    if (ids < 0 && context->cpuid.known)
        ids = context->cpuid.edx == 0 ? 0 : (gint64)context->cpuid.edx - 1;
    return ids;
}

static void
check_ids(const KhCheckContext *context, KhFindings *findings)
{
    gint64 ids = count_ids(context), used = read_ids(context, "misc.current");

    used = MAX(used, 0);
    if (ids > used) {
        kh_findings_add(findings, "snp-asids", KH_FINDING_OK,
                        "%" G_GINT64_FORMAT " ASIDs for SEV-ES and SNP, %" G_GINT64_FORMAT
                        " in use",
                        ids, used);
        return;
    }
    if (ids <= 0) {
        kh_findings_add(findings, "snp-asids", KH_FINDING_FAIL,
                        "the host has no ASIDs for SEV-ES and SNP");
        kh_findings_mend(findings, "raise \"SEV-ES ASID space limit\" (minimum SEV non-ES ASID) "
                                   "in the BIOS");
        return;
    }
    kh_findings_add(findings, "snp-asids", KH_FINDING_FAIL,
                    "all %" G_GINT64_FORMAT " ASIDs for SEV-ES and SNP are in use", ids);
    kh_findings_mend(findings, "stop a confidential machine, or raise \"SEV-ES ASID space limit\" "
                               "in the BIOS");
}

void
kh_snp_check_kernel(const KhCheckContext *context, KhFindings *findings)
{
    check_parameter(context, "snp-kernel", "sev_snp", findings);
    check_parameter(context, "snp-sev-es", "sev_es", findings);
    check_device(context, findings);
    check_ids(context, findings);
}

void
kh_snp_check(const KhCheckContext *context, KhFindings *findings)
{
    kh_snp_check_kernel(context, findings);
    check_firmware(context, findings);
}
