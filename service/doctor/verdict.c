/* SPDX-License-Identifier: MIT */
/* What all findings come to; see verdict.h. */
#include "verdict.h"

#define SNP_PREFIX "snp-"

/* The first finding that fails of those with the prefix, or of those without; NULL: none. */
static const KhFinding *
find_failure(KhFindings *self, gboolean snp, GString *names)
{
    const KhFinding *first = NULL;

    for (guint i = 0; i < self->len; i++) {
        const KhFinding *finding = self->pdata[i];

        if (finding->status != KH_FINDING_FAIL ||
            g_str_has_prefix(finding->check, SNP_PREFIX) != snp)
            continue;
        first = first == NULL ? finding : first;
        g_string_append_printf(names, "%s%s", names->len > 0 ? ", " : "", finding->check);
    }
    return first;
}

static void
add_failure(KhFindings *self, const char *check, const KhFinding *first, const char *names)
{
    kh_findings_add(self, check, KH_FINDING_FAIL, "no: %s", first->found);
    kh_findings_mend(self, "fix what fails above: %s", names);
}

static void
add_plain(KhFindings *self, const KhFinding *failure, const char *names)
{
    const KhFinding *kvm = kh_findings_get(self, "kvm");

    if (failure != NULL) {
        add_failure(self, KH_VERDICT_PLAIN, failure, names);
    } else if (kvm != NULL && kvm->status != KH_FINDING_OK) {
        kh_findings_add(self, KH_VERDICT_PLAIN, KH_FINDING_WARN, "slow, machines are emulated: %s",
                        kvm->found);
        kh_findings_mend(self, "fix what the check kvm found above");
    } else {
        kh_findings_add(self, KH_VERDICT_PLAIN, KH_FINDING_OK, "yes");
    }
}

void
kh_verdict_add(KhFindings *self)
{
    g_autoptr(GString) plain_names = g_string_new(NULL);
    g_autoptr(GString) snp_names = g_string_new(NULL);
    const KhFinding *plain = find_failure(self, FALSE, plain_names);
    const KhFinding *snp = find_failure(self, TRUE, snp_names);

    add_plain(self, plain, plain_names->str);
    if (snp != NULL)
        add_failure(self, KH_VERDICT_SNP, snp, snp_names->str);
    else if (plain != NULL)
        add_failure(self, KH_VERDICT_SNP, plain, plain_names->str);
    else
        kh_findings_add(self, KH_VERDICT_SNP, KH_FINDING_OK, "yes");
}
