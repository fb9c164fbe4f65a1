/* SPDX-License-Identifier: MIT */
/*
 * One start of a machine up to its processes: preparation, then the launch with the
 * command line that its configuration asks for. Called by the instance.
 */
#pragma once

#include "launch/vm.h"
#include "machines.h"
#include "model/record.h"
#include "preparation.h"

G_BEGIN_DECLS

/* Says how far it is: a text for people, and a part of 1. */
typedef void (*KhStepFunction)(const char *step, double progress, gpointer user_data);

typedef struct {
    const char *accelerator;   /* "kvm" or "tcg": static, or the configuration's */
    GCancellable *cancellable; /* a cancelled start does not go on to its next step */
    KhStepFunction on_step;
    KhNoteDiskFunction note_disk;
    gpointer data; /* of both */
} KhStartUp;

/*
 * Brings the machine of @record (a reference is taken) up, as that is configured now; @how's
 * data must stay until the end, of its rest it has its own. Finishes with its processes,
 * transfer full. Errors: those of preparation.h and of kh_launcher_launch_async();
 * KH_ERROR_CANCELLED.
 */
void kh_start_up_async(const KhMachines *machines, KhRecord *record, const KhStartUp *how,
                       GAsyncReadyCallback callback, gpointer user_data);
KhVm *kh_start_up_finish(GAsyncResult *result, GError **error);

/* What shim and QEMU of @config may use together, in bytes. */
guint64 kh_start_up_memory_max(const KhConfig *config, const char *accelerator);

/*
 * The equivalent command line of command-line.h, of @record's machine, for people; transfer full.
 */
char **kh_start_up_describe(const KhMachines *machines, const KhRecord *record,
                            const char *accelerator, gboolean simulated);

G_END_DECLS
