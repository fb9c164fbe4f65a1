/* SPDX-License-Identifier: MIT */
/*
 * One run of a machine, from its launch to the end of its processes: connects to QEMU's
 * monitor and to the guest, waits for RPC, watches Katana, and stops. Owned by the
 * instance while the machine lives.
 */
#pragma once

#include "machines.h"
#include "launch/vm.h"
#include "model/record.h"
#include "monitor.h"

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

/* What quit gets, where a stop has that much time, and what a kill may take. */
#define KH_RUN_QUIT_MS 5000
#define KH_RUN_KILL_MS 10000

/*
 * Follows @vm of @record (references are taken). Signals: "ready" (RPC has answered, once, and once
 * more after a reset), "paused" (gboolean: that of the monitor), "failing" (GError: Katana has
 * ended inside a living guest; it should be stopped), "ended" (both processes are dead, once; the
 * last signal).
 */
KhRun *kh_run_new(const KhMachines *machines, KhRecord *record, KhVm *vm);

/* Its QEMU's monitor, to ask and to halt it by. Owned by @self. */
KhMonitor *kh_run_get_monitor(KhRun *self);

/* Resets the machine by it; "ready" comes once more. Errors: those of kh_monitor_do_finish(). */
void kh_run_reset_async(KhRun *self, GAsyncReadyCallback callback, gpointer user_data);
gboolean kh_run_reset_finish(KhRun *self, GAsyncResult *result, GError **error);

/*
 * Stops the guest over the control channel (a paused one is resumed for it), then by QMP
 * quit, then by kill. @control_ms bounds the first step, @quit_ms the second. Asked again,
 * it may only get shorter.
 */
void kh_run_stop(KhRun *self, guint control_ms, guint quit_ms);

void kh_run_kill(KhRun *self);

/* Holds it to what its configuration allows of the processors now. */
void kh_run_apply_cpu_quota(KhRun *self);

/* How far a stop had to go. */
KhStopStep kh_run_get_stop_step(KhRun *self);

/* That of a Katana which has ended inside a living guest; -1 for none. */
int kh_run_get_exit_code(KhRun *self);

G_END_DECLS
