/* SPDX-License-Identifier: MIT */
/* The doctor's word on confidential machines, as an error; see snp-host.h. */
#include "snp-host.h"

#include "doctor/processor.h"
#include "doctor/snp.h"
#include "error.h"

/* What AMD's servers have. */
#define USUAL_C_BIT 51

gboolean
kh_snp_host_judge(KhFindings *findings, GError **error)
{
    for (guint i = 0; i < findings->len; i++) {
        const KhFinding *finding = findings->pdata[i];

        if (finding->status != KH_FINDING_FAIL)
            continue;
        return kh_error_set(
            error, KH_ERROR_NOT_SUPPORTED,
            "This host cannot run confidential machines (SEV-SNP): %s; %s. The verb doctor "
            "shows all checks",
            finding->found, finding->remedy);
    }
    return TRUE;
}

/* The firmware's own state is left out: to ask it would block. */
gboolean
kh_snp_host_check(KhCheckContext *context, GError **error)
{
    g_autoptr(GPtrArray) findings = kh_findings_new();

    kh_check_context_load(context);
    kh_processor_check_snp(context, findings);
    kh_snp_check_kernel(context, findings);
    return kh_snp_host_judge(findings, error);
}

guint
kh_snp_host_c_bit(void)
{
    KhCpuidMemory leaf = kh_cpuid_memory();

    return leaf.known && KH_CPUID_CBIT(&leaf) != 0 ? KH_CPUID_CBIT(&leaf) : USUAL_C_BIT;
}
