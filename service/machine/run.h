/* SPDX-License-Identifier: MIT */
/*
 * One run of a machine, from its launch to the end of its processes: connects to QEMU's
 * monitor and to the guest, waits for RPC, watches Katana, and stops. Owned by the
 * instance while the machine lives.
 */
#pragma once

#include "instance/host.h"
#include "launch/vm.h"
#include "model/record.h"

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

/**
 * KhRunCommand:
 * @KH_RUN_PAUSE: halt the virtual processors
 * @KH_RUN_RESUME: let them go on
 * @KH_RUN_RESET: reset the machine; "ready" comes once more when RPC has answered
 */
typedef enum {
    KH_RUN_PAUSE,
    KH_RUN_RESUME,
    KH_RUN_RESET,
} KhRunCommand;

/* What quit gets, where a stop has that much time, and what a kill may take. */
#define KH_RUN_QUIT_MS 5000
#define KH_RUN_KILL_MS 10000

/*
 * Follows @vm (a reference is taken). Signals: "ready" (RPC has answered, once, and once
 * more after a reset), "paused" and "resumed" (QEMU's virtual processors; also told of a
 * machine that is found so), "failing" (GError: Katana has ended inside a living guest; it
 * should be stopped), "ended" (both processes are dead, once; the last signal).
 */
KhRun *kh_run_new(const KhHost *host, const KhRecord *record, KhVm *vm);

/*
 * Does @command over QEMU's monitor. KH_ERROR_MONITOR_LOST when that is not connected or
 * does not answer, KH_ERROR_FAILED with QEMU's words.
 */
void kh_run_command_async(KhRun *self, KhRunCommand command, GAsyncReadyCallback callback,
                          gpointer user_data);
gboolean kh_run_command_finish(KhRun *self, GAsyncResult *result, GError **error);

/*
 * Stops the guest over the control channel (a paused one is resumed for it), then by QMP
 * quit, then by kill. @control_ms bounds the first step, @quit_ms the second. Asked again,
 * it may only get shorter.
 */
void kh_run_stop(KhRun *self, guint control_ms, guint quit_ms);

void kh_run_kill(KhRun *self);

/* How far a stop had to go. */
KhStopStep kh_run_get_stop_step(KhRun *self);

/* That of a Katana which has ended inside a living guest; -1 for none. */
int kh_run_get_exit_code(KhRun *self);

G_END_DECLS
