/* SPDX-License-Identifier: MIT */
/*
 * What a service finds out about its host once, when it starts, and never asks again. Filled by
 * the daemon (find-facts.h); read by whatever makes machines.
 */
#pragma once

#include "config.h"

G_BEGIN_DECLS

typedef struct {
    char boot_id[40];        /* of this boot of the host, a UUID (random(4)) */
    const char *accelerator; /* "kvm" or "tcg": what "auto" has come to */
    gboolean kvm_usable;
    gboolean sev_opens; /* /dev/sev, for the machines' uid */
    gint64 vm_uid;      /* one that machines run under; -1: the service's own */
    gint64 vm_gid;      /* the group kvm, which they have besides; -1: none */
    guint c_bit;        /* the place of the C-bit in an address (SEV-SNP) */
    KhConfigLimits limits;
} KhFacts;

G_END_DECLS
