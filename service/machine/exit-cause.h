/* SPDX-License-Identifier: MIT */
/*
 * Why a machine has ended: from the shim's exit-status file and the guest's last words,
 * both hostile. Used by the instance when a machine ends that the service did not stop. What
 * it says becomes a property that everyone may read: no other line of a log is in it.
 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/**
 * KhEnding:
 * @KH_ENDING_UNKNOWN: nobody has left a word: the shim was killed, or never came up
 * @KH_ENDING_FAILED: something was killed or gave up
 * @KH_ENDING_POWERED_OFF: the guest has powered itself off
 * @KH_ENDING_STOPPED: its shim was told to stop it, and the guest did
 * @KH_ENDING_FORCED: its shim was told to stop it, and had to kill QEMU
 */
typedef enum {
    KH_ENDING_UNKNOWN,
    KH_ENDING_FAILED,
    KH_ENDING_POWERED_OFF,
    KH_ENDING_STOPPED,
    KH_ENDING_FORCED,
} KhEnding;

/*
 * How it ended, and the reason as an error of the domain KH_ERROR, never NULL:
 * GUEST_FAILED where the guest gave up, LAUNCH_FAILED where QEMU refused to run, FAILED
 * where something was killed. @folder is the instance's folder, @uid its owner (-1: the
 * service's own).
 */
KhEnding kh_ending_describe(int folder, gint64 uid, GError **reason);

/*
 * The text after the last "FATAL:" at the start of a line, or a last "Kernel panic - …" that is
 * the kernel's line: a panic reboots, which -no-reboot makes an exit with code 0. NULL for
 * none. Transfer full.
 */
char *kh_ending_find_fatal(const char *log);

/*
 * Katana's exit code, 0 to 255, by the last line "Katana exited with code N", after "FATAL: " or
 * not; -1 for none.
 */
int kh_ending_find_exit_code(const char *log);

/* The same of the log in @folder, of @uid as above. */
int kh_ending_read_exit_code(int folder, gint64 uid);

G_END_DECLS
