/* SPDX-License-Identifier: MIT */
/* The host as the service has it, for the doctor; see host-context.h. */
#include "host-context.h"

#include "descriptors.h"

KhCheckContext *
kh_host_context_new(const KhMachines *machines)
{
    KhCheckContext *context = kh_check_context_new();

    context->qemu = g_strdup(machines->settings->qemu);
    context->boot_components = g_strdup(machines->settings->boot_components);
    context->state_folder = g_strdup(kh_state_dir_get_path(machines->state_dir));
    context->settings_file = g_strdup(machines->settings->config_file);
    context->read_only = g_strdup(kh_state_dir_find_read_only(machines->state_dir));
    context->launcher = g_strdup(kh_launcher_get_name(machines->launcher));
    context->session = machines->settings->session;
    context->holds_memory = (kh_launcher_get_limits(machines->launcher) & KH_LIMIT_MEMORY) != 0;
    context->holds_processor = (kh_launcher_get_limits(machines->launcher) & KH_LIMIT_CPU) != 0;
    context->kvm_usable = machines->facts->kvm_usable;
    context->kvm_unused =
        machines->facts->kvm_usable && g_str_equal(machines->facts->accelerator, "tcg");
    context->sev_opens = machines->facts->sev_opens;
    context->vm_uid = machines->facts->vm_uid;
    context->vm_gid = machines->facts->vm_gid;
    context->ports = machines->settings->ports;
    context->descriptors = kh_descriptors_limit();
    context->descriptor_machines = kh_descriptors_machines();
    return context;
}
