/* SPDX-License-Identifier: MIT */
/* What a service has to know of its host; see find-facts.h. */
#include "find-facts.h"

#include <unistd.h>

#include "confidential/snp-host.h"
#include "doctor/check-context.h"
#include "doctor/processor.h"
#include "error.h"

static gboolean
read_boot_id(KhFacts *facts, GError **error)
{
    g_autofree char *text = NULL;

    if (!g_file_get_contents("/proc/sys/kernel/random/boot_id", &text, NULL, error))
        return FALSE;
    g_strlcpy(facts->boot_id, g_strstrip(text), sizeof facts->boot_id);
    return TRUE;
}

/* The service's own unit hides the devices themselves. */
static gboolean
has_device(const char *name)
{
    g_autofree char *path = g_build_filename("/sys/class/misc", name, NULL);

    return g_file_test(path, G_FILE_TEST_EXISTS);
}

static gboolean
choose_accelerator(KhFacts *facts, const char *wanted, gboolean opens, GError **error)
{
    gboolean virtualizes = kh_processor_virtualizes("/proc");
    const char *why_not =
        has_device("kvm") ? "the machines' user cannot open /dev/kvm (the verb doctor says more)"
                          : "there is no /dev/kvm (load the module kvm_amd or kvm_intel)";

    facts->kvm_usable = opens && (virtualizes || g_str_equal(wanted, "kvm"));
    facts->accelerator = facts->kvm_usable && !g_str_equal(wanted, "tcg") ? "kvm" : "tcg";
    if (g_str_equal(wanted, "kvm") && !opens)
        return kh_error_set(error, KH_ERROR_NOT_SUPPORTED,
                            "accelerator is kvm, but %s; set accelerator to auto to do without",
                            why_not);
    if (g_str_equal(wanted, "auto") && !facts->kvm_usable)
        g_warning("KVM is not used, machines are emulated and slow (tcg): %s",
                  virtualizes ? why_not : "the processor has neither vmx nor svm");
    return TRUE;
}

gboolean
kh_find_facts(const KhSettings *settings, KhLauncher *launcher, KhStateDir *state_dir,
              KhFacts *facts, GError **error)
{
    const gint64 uid = geteuid() == 0 ? (gint64)settings->uids.first : -1;
    const gint64 gid = uid >= 0 ? kh_check_context_find_kvm_group() : -1;

    facts->vm_uid = uid;
    facts->vm_gid = gid;
    facts->sev_opens = has_device("sev") && kh_launcher_probe(launcher, "sev", uid, gid);
    facts->c_bit = kh_snp_host_c_bit();
    facts->limits.memory_max = (guint64)sysconf(_SC_PHYS_PAGES) * (guint64)sysconf(_SC_PAGESIZE);
    facts->limits.storage_max = kh_state_dir_file_max(state_dir);
    return read_boot_id(facts, error) &&
           choose_accelerator(facts, settings->accelerator,
                              kh_launcher_probe(launcher, "kvm", uid, gid), error);
}
