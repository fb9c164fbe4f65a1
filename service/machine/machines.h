/* SPDX-License-Identifier: MIT */
/*
 * What machines are made from: settings and facts, boot components, folders, uids, and the
 * launcher. All of it is the daemon's, and outlives every machine. By it an instance has its
 * machine prepared and launched (start-up.h), followed (run.h), found again, let go of, and removed
 * (removal.h).
 */
#pragma once

#include "image/image-store.h"
#include "launch/launcher.h"
#include "model/facts.h"
#include "model/record.h"
#include "settings.h"
#include "state/state-dir.h"
#include "uid/uid-pool.h"

G_BEGIN_DECLS

typedef struct {
    const KhSettings *settings;
    const KhFacts *facts;
    KhStateDir *state_dir;
    KhImageStore *images;
    KhUidPool *uids; /* NULL when the service is not root */
    KhLauncher *launcher;
} KhMachines;

/* What a search has come to: @vm, or @error (taken), which is one of shim-finder.h. */
typedef void (*KhFoundFunction)(KhVm *vm, GError *error, gpointer user_data);

/*
 * Looks for the machine of @record that an earlier service has left: by what the launcher keeps,
 * else by the pids of the row, else by what it has left besides; the two last within the call.
 */
void kh_machines_find(const KhMachines *machines, const KhRecord *record, KhFoundFunction found,
                      gpointer user_data);

/*
 * Has the launcher let go of the machine of @record, which is dead or never was, and removes the
 * sockets that it has left. Finishes with whether the kernel killed it for want of memory.
 */
void kh_machines_release_async(const KhMachines *machines, const KhRecord *record,
                               GAsyncReadyCallback callback, gpointer user_data);
gboolean kh_machines_release_finish(const KhMachines *machines, const KhRecord *record,
                                    GAsyncResult *result);

G_END_DECLS
