/* SPDX-License-Identifier: MIT */
/*
 * What a service that was killed may have left outside the database, and belongs to no row
 * of it: claims of uids, runtime folders. Called by the manager at start-up.
 */
#pragma once

#include "host.h"

G_BEGIN_DECLS

void kh_leaks_drop(const KhHost *host);

G_END_DECLS
