/* SPDX-License-Identifier: MIT */
/* The host as the service has it, for the doctor; see host-places.h. */
#include "host-places.h"

#include "descriptors.h"

KhPlaces *
kh_host_places_new(const KhHost *host)
{
    KhPlaces *places = kh_places_new();

    places->qemu = g_strdup(host->qemu);
    places->boot_components = g_strdup(host->boot_components);
    places->state_folder = g_strdup(kh_state_dir_get_path(host->state_dir));
    places->settings_file = g_strdup(host->settings_file);
    places->read_only = g_strdup(kh_state_dir_find_read_only(host->state_dir));
    places->launcher = g_strdup(kh_launcher_get_name(host->launcher));
    places->session = host->session;
    places->holds_memory = (kh_launcher_get_limits(host->launcher) & KH_LIMIT_MEMORY) != 0;
    places->holds_processor = (kh_launcher_get_limits(host->launcher) & KH_LIMIT_CPU) != 0;
    places->kvm_usable = host->kvm_usable;
    places->kvm_unused = host->kvm_usable && g_str_equal(host->accelerator, "tcg");
    places->sev_opens = host->sev_opens;
    places->vm_uid = host->vm_uid;
    places->vm_gid = host->vm_gid;
    places->ports = host->ports;
    places->descriptors = kh_descriptors_limit();
    places->descriptor_machines = kh_descriptors_machines();
    return places;
}
