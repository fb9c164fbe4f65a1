/* SPDX-License-Identifier: MIT */
/*
 * What machines are made from: settings and facts, boot components, folders, uids, and the
 * launcher. All of it is the daemon's, and outlives every machine.
 */
#pragma once

#include "image/image-store.h"
#include "launch/launcher.h"
#include "model/facts.h"
#include "settings.h"
#include "state/state-dir.h"
#include "state/store.h"
#include "uid/uid-pool.h"

G_BEGIN_DECLS

typedef struct {
    const KhSettings *settings;
    const KhFacts *facts;
    KhStateDir *state_dir;
    KhStore *store;
    KhImageStore *images;
    KhUidPool *uids; /* NULL when the service is not root */
    KhLauncher *launcher;
} KhMachines;

G_END_DECLS
