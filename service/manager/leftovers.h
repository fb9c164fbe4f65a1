/* SPDX-License-Identifier: MIT */
/*
 * What a service that was killed may have left outside the database, and belongs to no row
 * of it: claims of uids, runtime folders. Called by the manager at start-up.
 */
#pragma once

#include "machine/machines.h"
#include "state/store.h"
#include "strangers.h"

G_BEGIN_DECLS

/* What has to do with @strangers is spared. */
void kh_leftovers_drop(const KhMachines *machines, KhStore *store, const KhStrangers *strangers);

G_END_DECLS
