/* SPDX-License-Identifier: MIT */
/* The host as the service has it, for the doctor; see host-context.h. */
#include "host-context.h"

#include "descriptors.h"

KhCheckContext *
kh_host_context_new(const KhHost *host)
{
    KhCheckContext *context = kh_check_context_new();

    context->qemu = g_strdup(host->qemu);
    context->boot_components = g_strdup(host->boot_components);
    context->state_folder = g_strdup(kh_state_dir_get_path(host->state_dir));
    context->settings_file = g_strdup(host->settings_file);
    context->read_only = g_strdup(kh_state_dir_find_read_only(host->state_dir));
    context->launcher = g_strdup(kh_launcher_get_name(host->launcher));
    context->session = host->session;
    context->holds_memory = (kh_launcher_get_limits(host->launcher) & KH_LIMIT_MEMORY) != 0;
    context->holds_processor = (kh_launcher_get_limits(host->launcher) & KH_LIMIT_CPU) != 0;
    context->kvm_usable = host->kvm_usable;
    context->kvm_unused = host->kvm_usable && g_str_equal(host->accelerator, "tcg");
    context->sev_opens = host->sev_opens;
    context->vm_uid = host->vm_uid;
    context->vm_gid = host->vm_gid;
    context->ports = host->ports;
    context->descriptors = kh_descriptors_limit();
    context->descriptor_machines = kh_descriptors_machines();
    return context;
}
