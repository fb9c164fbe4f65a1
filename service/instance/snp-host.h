/* SPDX-License-Identifier: MIT */
/*
 * Whether this host can run confidential machines (SEV-SNP). Asked by the manager at create
 * and by the preparation of each start; reads the processor and sysfs only, as the service's
 * unit hides /dev.
 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* KH_ERROR_NOT_SUPPORTED says what was found, and how to mend it. */
gboolean kh_snp_host_check(GError **error);

/* The place of the C-bit in an address; on another host what AMD's servers have. */
guint kh_snp_host_c_bit(void);

G_END_DECLS
