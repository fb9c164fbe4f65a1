/* SPDX-License-Identifier: MIT */
/* The processor's checks; see processor.h. */
#include "processor.h"

#include <sys/utsname.h>

#include "tee/product.h"

#define CPUID_EAX_SNP (1u << 4)

/* The value of the first line "KEY : VALUE" of cpuinfo; transfer full, "" for none. */
static char *
look_up(const char *cpuinfo, const char *key)
{
    g_autofree char *pattern = g_strdup_printf("^%s[ \\t]*:[ \\t]*(.*)$", key);
    g_autoptr(GRegex) regex = g_regex_new(pattern, G_REGEX_MULTILINE | G_REGEX_RAW, 0, NULL);
    g_autoptr(GMatchInfo) match = NULL;

    if (!g_regex_match(regex, cpuinfo, 0, &match))
        return g_strdup("");
    return g_match_info_fetch(match, 1);
}

static guint
look_up_number(const char *cpuinfo, const char *key)
{
    g_autofree char *value = look_up(cpuinfo, key);
    guint64 number = g_ascii_strtoull(value, NULL, 10);

    return number > G_MAXUINT8 ? 0 : (guint)number;
}

static void
check_architecture(KhFindings *findings)
{
    struct utsname name;

    if (uname(&name) == 0 && g_str_equal(name.machine, "x86_64")) {
        kh_findings_add(findings, "architecture", KH_FINDING_OK, "Linux %s on x86_64",
                        name.release);
        return;
    }
    kh_findings_add(findings, "architecture", KH_FINDING_FAIL, "%s, not x86_64", name.machine);
    kh_findings_mend(findings, "use a host with an x86-64 processor");
}

static void
check_processor(const char *cpuinfo, KhFindings *findings)
{
    g_autofree char *vendor = look_up(cpuinfo, "vendor_id");
    g_autofree char *model_name = look_up(cpuinfo, "model name");
    guint family = look_up_number(cpuinfo, "cpu family"), model = look_up_number(cpuinfo, "model");
    gboolean amd = g_str_equal(vendor, "AuthenticAMD");
    KhProduct product =
        amd ? kh_product_from_cpuid((guint8)family, (guint8)model) : KH_PRODUCT_UNKNOWN;

    if (product != KH_PRODUCT_UNKNOWN) {
        kh_findings_add(findings, "processor", KH_FINDING_OK, "%s (family %u, model %u: %s)",
                        model_name, family, model, kh_product_name(product));
        return;
    }
    kh_findings_add(findings, "processor", KH_FINDING_WARN,
                    "%s (%s, family %u, model %u) is not known to have SEV-SNP",
                    *model_name == '\0' ? "a processor without a name" : model_name,
                    *vendor == '\0' ? "no vendor" : vendor, family, model);
    kh_findings_mend(findings, "plain instances run; confidential ones need an AMD EPYC of the "
                               "series 7003, 9004, 8004 or 9005");
}

static void
check_microcode(const char *cpuinfo, KhFindings *findings)
{
    g_autofree char *microcode = look_up(cpuinfo, "microcode");

    if (g_ascii_strtoull(microcode, NULL, 0) != 0) {
        kh_findings_add(findings, "microcode", KH_FINDING_OK,
                        "revision %s; verifiers see it as a part of the TCB", microcode);
        return;
    }
    kh_findings_add(findings, "microcode", KH_FINDING_WARN,
                    "the kernel does not tell the revision");
    kh_findings_mend(findings,
                     "in a virtual machine or container this is normal; else update the BIOS");
}

void
kh_processor_check_snp(const KhCheckContext *context, KhFindings *findings)
{
    const KhCpuidMemory *leaf = &context->cpuid;
    guint position = KH_CPUID_CBIT(leaf);

    if (leaf->known && (leaf->eax & CPUID_EAX_SNP) != 0 && position > 0) {
        kh_findings_add(findings, "snp-cbit", KH_FINDING_OK,
                        "CPUID 0x8000001F has SEV-SNP, encryption bit %u", position);
        return;
    }
    kh_findings_add(findings, "snp-cbit", KH_FINDING_FAIL,
                    leaf->known ? "CPUID 0x8000001F does not have SEV-SNP"
                                : "there is no CPUID leaf 0x8000001F");
    kh_findings_mend(findings, "on an EPYC that has it switch SMEE and SEV-SNP on in the BIOS; "
                               "a virtual machine cannot have it");
}

void
kh_processor_check(const KhCheckContext *context, KhFindings *findings)
{
    g_autofree char *read = kh_check_context_read(context->proc, "cpuinfo");
    const char *cpuinfo = read == NULL ? "" : read;

    check_architecture(findings);
    check_processor(cpuinfo, findings);
    check_microcode(cpuinfo, findings);
    kh_processor_check_snp(context, findings);
}

gboolean
kh_processor_virtualizes(const char *proc)
{
    g_autofree char *cpuinfo = kh_check_context_read(proc, "cpuinfo");

    return cpuinfo != NULL &&
           g_regex_match_simple("^flags\\s*:.*\\b(vmx|svm)\\b", cpuinfo, G_REGEX_MULTILINE, 0);
}
