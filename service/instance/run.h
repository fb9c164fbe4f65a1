/* SPDX-License-Identifier: MIT */
/*
 * One run of a machine, from its launch to the end of its processes: connects to QEMU's
 * monitor and to the guest, waits for RPC, watches Katana, and stops. Owned by the
 * instance while the machine lives.
 */
#pragma once

#include "host.h"
#include "launch/vm.h"
#include "state/record.h"

G_BEGIN_DECLS

#define KH_TYPE_RUN (kh_run_get_type())
G_DECLARE_FINAL_TYPE(KhRun, kh_run, KH, RUN, GObject)

/**
 * KhStopStep:
 * @KH_STOP_NONE: nobody has asked it to stop
 * @KH_STOP_CONTROL: the guest was told to stop over the control channel
 * @KH_STOP_QUIT: QEMU was told to quit, a power cut after its buffers are written
 * @KH_STOP_KILL: QEMU was killed
 */
typedef enum {
    KH_STOP_NONE,
    KH_STOP_CONTROL,
    KH_STOP_QUIT,
    KH_STOP_KILL,
} KhStopStep;

/*
 * Follows @vm (a reference is taken). Signals: "ready" (RPC has answered, once),
 * "failing" (GError: Katana has ended inside a living guest; it should be stopped),
 * "ended" (both processes are dead, once; the last signal).
 */
KhRun *kh_run_new(const KhHost *host, const KhRecord *record, KhVm *vm);

/*
 * Stops the guest over the control channel, then by QMP quit, then by kill. @timeout_ms
 * bounds the first step; the second has 5 s. Asked again, it may only get shorter.
 */
void kh_run_stop(KhRun *self, guint timeout_ms);

void kh_run_kill(KhRun *self);

/* How far a stop had to go. */
KhStopStep kh_run_get_stop_step(KhRun *self);

G_END_DECLS
