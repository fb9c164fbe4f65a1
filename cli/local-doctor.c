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
static KhPlaces *
usual_places(gboolean session)
{
    KhPlaces *places = kh_places_new();
    const char *state = STATE_PARENT "/katana-hypervisor";

    places->qemu = kh_places_find_program(places, "qemu-system-x86_64");
    if (places->qemu == NULL)
        places->qemu = g_strdup("qemu-system-x86_64");
    places->boot_components = g_strdup(KH_COMPONENTSDIR);
    places->state_folder = g_strdup(access(state, F_OK) == 0 ? state : STATE_PARENT);
    places->settings_file = g_strdup(KH_SYSCONFDIR "/katana-hypervisor.conf");
    places->launcher = g_strdup("");
    places->session = session;
    places->kvm_usable =
        access("/dev/kvm", R_OK | W_OK) == 0 && kh_processor_virtualizes(places->proc);
    places->ports = KH_PORT_RANGE_DEFAULT;
    return places;
}

GVariant *
kh_local_doctor_check(const char *unreachable, GDBusConnection *bus, gboolean session)
{
    g_autoptr(KhDoctor) doctor = kh_doctor_new();
    KhPlaces *places = usual_places(session);
    g_autoptr(GAsyncResult) result = NULL;
    g_autoptr(GPtrArray) found = NULL;

    places->unreachable = g_strdup(unreachable);
    places->unreachable_remedy = g_strdup_printf(
        "%s. The checks below are for the usual settings of the system's service",
        session ? "katana-hypervisord --session says why it does not start"
                : "systemctl start katana-hypervisord; journalctl -u katana-hypervisord says why "
                  "it does not");
    kh_doctor_check_async(doctor, places, bus, kh_cli_keep_result, &result);
    kh_cli_wait_for_result(&result);
    found = kh_doctor_check_finish(doctor, result);
    return g_variant_ref_sink(kh_findings_to_variant(found));
}
