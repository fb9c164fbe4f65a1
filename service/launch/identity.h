/* SPDX-License-Identifier: MIT */
/*
 * Whose machine a living process is. A pid and a start time prove that it lives, not that it
 * is this service's: a copy, a snapshot or a moved state folder has the same rows as the
 * original. What proves it is what another service's machine cannot have in common with ours:
 * the instance's own state folder, by device and inode, or the sockets in our runtime folder.
 * Only what every process shows of itself is read (the service has no CAP_SYS_PTRACE, and the
 * shim is not dumpable). Used by the shim finder and the systemd launcher.
 */
#pragma once

#include "launcher.h"

G_BEGIN_DECLS

typedef enum {
    KH_IDENTITY_OURS,
    KH_IDENTITY_GONE,    /* there is no such process any more */
    KH_IDENTITY_OTHER,   /* it is no shim with a machine of this id */
    KH_IDENTITY_FOREIGN, /* it is, but of another folder, user or container */
    KH_IDENTITY_UNKNOWN, /* it could not be looked at */
} KhIdentity;

/*
 * What the process @pid is to the machine of @ref. With anything but OURS comes an error
 * that says why: KH_ERROR_NOT_FOUND for GONE and OTHER, KH_ERROR_NOT_AUTHORIZED for FOREIGN,
 * KH_ERROR_RESOURCE_UNAVAILABLE for UNKNOWN.
 *
 * A shim that has not become the machine's user yet, and is the service's own, is ours, too.
 */
KhIdentity kh_identity_of(const KhMachineRef *ref, gint64 pid, GError **error);

G_END_DECLS
