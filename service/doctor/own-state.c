/* SPDX-License-Identifier: MIT */
/* The service's own folders; see own-state.h. */
#include "own-state.h"

/* Fewer are soon too few. */
#define MACHINES_WARN 100

/* One finding for each of @paths. */
static void
add_each(KhFindings *findings, char **paths, KhFindingStatus status, const char *what,
         const char *remedy)
{
    for (guint i = 0; paths != NULL && paths[i] != NULL; i++) {
        kh_findings_add(findings, "state", status, "%s %s", paths[i], what);
        if (remedy != NULL)
            kh_findings_mend(findings, "%s", remedy);
    }
}

static void
check_read_only(const KhCheckContext *context, KhFindings *findings)
{
    if (context->read_only == NULL)
        return;
    kh_findings_add(
        findings, "state", KH_FINDING_FAIL,
        "%s is on a read-only file system: instances can be shown and stopped, but nothing else",
        context->read_only);
    kh_findings_mend(findings, "look for disk errors in the kernel's log, and mount it writable");
}

static void
check_state(const KhCheckContext *context, KhFindings *findings)
{
    if (context->unknown_folders == NULL)
        return;
    add_each(findings, context->unknown_machines, KH_FINDING_FAIL,
             "is of a running machine whose instance the database does not know",
             "stop the service and put the database back; state.db.copy, if it is there, is one");
    add_each(findings, context->unknown_folders, KH_FINDING_WARN,
             "holds an instance that the database does not know",
             "put the database back, or move the folder away");
    add_each(findings, context->missing_folders, KH_FINDING_FAIL,
             "is not there, though the database has its instance",
             "mount its file system, set the right state-dir, or delete the instance");
    add_each(findings, context->kept_folders, KH_FINDING_OK, "was kept by \"delete --keep-data\"",
             NULL);
    if (kh_findings_get(findings, "state") == NULL)
        kh_findings_add(findings, "state", KH_FINDING_OK,
                        "the database and the folders of instances agree");
}

static void
check_descriptors(const KhCheckContext *context, KhFindings *findings)
{
    gboolean few = context->descriptor_machines < MACHINES_WARN;

    if (context->descriptors == 0)
        return;
    kh_findings_add(findings, "descriptors", few ? KH_FINDING_WARN : KH_FINDING_OK,
                    "the service may have %u descriptors open, which suffices for %u machines",
                    context->descriptors, context->descriptor_machines);
    if (few)
        kh_findings_mend(findings, "raise LimitNOFILE= of its unit, or \"ulimit -n\" before it "
                                   "is started");
}

void
kh_own_state_check(const KhCheckContext *context, KhFindings *findings)
{
    check_read_only(context, findings);
    check_state(context, findings);
    check_descriptors(context, findings);
}
