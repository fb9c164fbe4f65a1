/* SPDX-License-Identifier: MIT */
/* Whether KVM makes machines; see kvm.h. */
#include "kvm.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <sys/ioctl.h>

#include "auto-fd.h"
#include "processor.h"

/* linux/kvm.h; older headers lack the first, and the second is x86's alone. */
#define CAP_VM_TYPES 235
#define TYPE_SNP 4

static void
fail(KhKvmFacts *facts, const char *step, int code)
{
    facts->error = code;
    facts->step = step;
}

static void
make_machine(int fd, KhKvmFacts *facts)
{
    int version = ioctl(fd, KVM_GET_API_VERSION, 0), types;
    g_auto(KhFd) machine = -1;

    if (version != KVM_API_VERSION) {
        fail(facts, "asked for its version", version < 0 ? errno : EPROTO);
        return;
    }
    machine = ioctl(fd, KVM_CREATE_VM, 0);
    if (machine < 0) {
        fail(facts, "asked for a machine", errno);
        return;
    }
    types = ioctl(fd, KVM_CHECK_EXTENSION, CAP_VM_TYPES);
    facts->types = types > 0 ? (guint)types : 0;
}

void
kh_kvm_probe(const KhCheckContext *context, KhKvmFacts *facts)
{
    g_autofree char *path = g_build_filename(context->dev, "kvm", NULL);
    g_auto(KhFd) fd = open(path, O_RDWR | O_CLOEXEC | O_NONBLOCK);

    *facts = (KhKvmFacts){0, "", 0};
    if (fd < 0)
        fail(facts, "opened", errno);
    else
        make_machine(fd, facts);
}

/* The service's unit hides devices; what it asked of a machine's uid at its start counts. */
static gboolean
is_hidden(const KhCheckContext *context, const KhKvmFacts *facts)
{
    return facts->error == ENOENT && kh_check_context_has_system_units(context);
}

/* Without KVM plain machines are emulated: no failure. */
static void
judge_plain(const KhCheckContext *context, const KhKvmFacts *facts, KhFindings *findings)
{
    gboolean works = facts->error == 0 || is_hidden(context, facts);

    if (works && context->kvm_unused) {
        kh_findings_add(findings, "kvm", KH_FINDING_WARN,
                        "/dev/kvm can be opened, but is not used: accelerator is tcg in %s",
                        context->settings_file);
        kh_findings_mend(findings, "set accelerator to auto there, and restart the service");
        return;
    }
    if (works && context->kvm_usable) {
        kh_findings_add(findings, "kvm", KH_FINDING_OK,
                        facts->error == 0 ? "/dev/kvm works, and the machines' user can open it"
                                          : "the machines' user can open /dev/kvm");
        return;
    }
    if (works)
        kh_findings_add(findings, "kvm", KH_FINDING_WARN, "%s",
                        kh_processor_virtualizes(context->proc)
                            ? "the machines' user could not open /dev/kvm when the service started"
                            : "the processor has neither vmx nor svm");
    else
        kh_findings_add(findings, "kvm", KH_FINDING_WARN, "/dev/kvm cannot be %s: %s", facts->step,
                        g_strerror(facts->error));
    kh_findings_mend(findings,
                     "switch virtualization on in the BIOS, modprobe kvm_amd or kvm_intel, give "
                     "/dev/kvm the group kvm and mode 0660%s, restart the service; machines are "
                     "emulated and slow until then",
                     context->vm_uid < 0 ? " and yourself that group" : "");
}

void
kh_kvm_judge(const KhCheckContext *context, const KhKvmFacts *facts, KhFindings *findings)
{
    judge_plain(context, facts, findings);
    if ((facts->types & (1u << TYPE_SNP)) != 0) {
        kh_findings_add(findings, "snp-kvm", KH_FINDING_OK, "KVM can make SNP machines");
    } else if (is_hidden(context, facts)) {
        kh_findings_add(findings, "snp-kvm", KH_FINDING_WARN,
                        "/dev/kvm cannot be asked from the service's sandbox");
        kh_findings_mend(findings, "go by snp-kernel and snp-device");
    } else {
        kh_findings_add(findings, "snp-kvm", KH_FINDING_FAIL, "KVM cannot make SNP machines");
        kh_findings_mend(findings, "Linux 6.11 or newer with kvm_amd and its sev_snp=1, on a host "
                                   "with SEV-SNP");
    }
}
