/* SPDX-License-Identifier: MIT */
/*
 * What the doctor is told of this host: one description for CheckHost, for create --tee and
 * for the start of a confidential machine, so that they judge alike.
 */
#pragma once

#include "doctor/check-context.h"
#include "machines.h"

G_BEGIN_DECLS

/*
 * This host with the service's settings and what its launcher found; the ports of
 * instances are the caller's to add. Reads nothing. Free with kh_check_context_free().
 */
KhCheckContext *kh_host_context_new(const KhMachines *machines);

G_END_DECLS
