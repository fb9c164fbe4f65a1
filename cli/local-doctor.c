/* SPDX-License-Identifier: MIT */
/* The doctor in the command line's own process; see local-doctor.h. */
#include "local-doctor.h"

#include <unistd.h>

#include "build-config.h"
#include "cli.h"
#include "doctor/doctor.h"
#include "doctor/processor.h"

#define STATE_PARENT KH_LOCALSTATEDIR "/lib"

/* What the service would be told by itself, for machines under this process's uid. */
static KhCheckContext *
usual_places(gboolean session)
{
    KhCheckContext *context = kh_check_context_new();
    const char *state = STATE_PARENT "/katana-hypervisor";

    context->qemu = kh_check_context_find_program(context, "qemu-system-x86_64");
    if (context->qemu == NULL)
        context->qemu = g_strdup("qemu-system-x86_64");
    context->boot_components = g_strdup(KH_COMPONENTSDIR);
    context->state_folder = g_strdup(access(state, F_OK) == 0 ? state : STATE_PARENT);
    context->settings_file = g_strdup(KH_SYSCONFDIR "/katana-hypervisor.conf");
    context->launcher = g_strdup("");
    context->session = session;
    context->kvm_usable =
        access("/dev/kvm", R_OK | W_OK) == 0 && kh_processor_virtualizes(context->proc);
    context->ports = KH_PORT_RANGE_DEFAULT;
    return context;
}

GVariant *
kh_local_doctor_check(const char *unreachable, GDBusConnection *bus, gboolean session)
{
    g_autoptr(KhDoctor) doctor = kh_doctor_new();
    KhCheckContext *context = usual_places(session);
    g_autoptr(GAsyncResult) result = NULL;
    g_autoptr(GPtrArray) found = NULL;

    context->unreachable = g_strdup(unreachable);
    context->unreachable_remedy = g_strdup_printf(
        "%s. The checks below are for the usual settings of the system's service",
        session ? "katana-hypervisord --session says why it does not start"
                : "systemctl start katana-hypervisord; journalctl -u katana-hypervisord says why "
                  "it does not");
    kh_doctor_check_async(doctor, context, bus, kh_cli_keep_result, &result);
    kh_cli_wait_for_result(&result);
    found = kh_doctor_check_finish(doctor, result);
    return g_variant_ref_sink(kh_findings_to_variant(found));
}
