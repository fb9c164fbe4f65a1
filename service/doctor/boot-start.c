/* SPDX-License-Identifier: MIT */
/* Whether the service starts with the host; see boot-start.h. */
#include "boot-start.h"

#define CHECK "start-at-boot"

void
kh_boot_start_judge(const KhCheckContext *context, KhUnitFile state, KhFindings *findings)
{
    gboolean lingers = context->session && kh_unit_file_lingers();
    g_autofree char *found = NULL, *remedy = NULL;

    if (state == KH_UNIT_FILE_UNKNOWN)
        return;
    if (kh_unit_file_judge(state, context->session, lingers, &found, &remedy)) {
        kh_findings_add(findings, CHECK, KH_FINDING_OK, KH_UNIT_NAME " is enabled");
        return;
    }
    kh_findings_add(findings, CHECK, KH_FINDING_WARN, "%s", found);
    kh_findings_mend(findings, "%s", remedy);
}
