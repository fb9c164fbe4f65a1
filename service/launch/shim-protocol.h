/* SPDX-License-Identifier: MIT */
/*
 * What the shim and the service say to each other: the one place for descriptor
 * numbers, file names and the lines of the ready pipe. Plain C, because the shim
 * has no GLib. Included by shim.c, the launchers and the QEMU command line.
 */
#pragma once

/* Descriptors that QEMU inherits from the shim. The command line names them. */
#define KH_SHIM_FD_KERNEL 10   /* read-only, used as /proc/self/fd/10 */
#define KH_SHIM_FD_INITRD 11   /* read-only, used as /proc/self/fd/11 */
#define KH_SHIM_FD_FIRMWARE 12 /* read-only; only with --firmware */
#define KH_SHIM_FD_SERIAL 13   /* socketpair: the guest's first serial port */
#define KH_SHIM_FD_CONTROL 14  /* socketpair: virtio-serial org.katana.control.0 */
#define KH_SHIM_FD_QMP 15      /* listening socket of QMP */
#define KH_SHIM_FD_MONITOR 16  /* socketpair: a second QMP monitor, the shim's own */

/* Descriptor on which the service waits for the ready line, as --ready-fd. */
#define KH_SHIM_FD_READY 3

/* Names in the instance's runtime folder. */
#define KH_SOCKET_QMP "qmp.sock"
#define KH_SOCKET_CONTROL "control.sock"
#define KH_SOCKET_CONSOLE "console.sock"

/* Names in the instance's state folder. */
#define KH_FILE_SERIAL_LOG "serial.log"
#define KH_FILE_QEMU_LOG "qemu.log"
#define KH_FILE_DATA "data.raw"
#define KH_FILE_ARGS "args"
#define KH_FILE_EXIT_STATUS "exit-status"
#define KH_FILE_EXIT_STATUS_NEW "exit-status.new" /* becomes the one above by a rename */

/*
 * The ready pipe carries one line, then is closed:
 *   "ready SHIM_PID QEMU_PID\n"  QEMU's exec has succeeded
 *   "error TEXT\n"               nothing runs; TEXT is one sentence
 * Nobody reading it any more is an order to end: the service died while it started the
 * machine. systemd gets the same line as STATUS=, without its end, where it starts the
 * shim (sd_notify(3)); that of a tool has the last line of the command in it.
 * The exit-status file holds one line, written to a temporary name and renamed:
 *   "exited CODE\n" or "signaled NUMBER\n", with " stopped" before the end of the line
 *   where the shim was asked by a signal to stop the machine (systemctl stop, a shutdown
 *   of the host) and the guest did, " forced" where the shim had to end QEMU; so a service
 *   which was not asked does not take it for a failure
 * The shim itself exits with QEMU's code, or 128 + signal; with KH_SHIM_EXIT_FAILED where
 * QEMU (or mkfs) was not started, the reason being on the ready pipe and on stderr.
 */
#define KH_SHIM_EXIT_FAILED 125
#define KH_READY_PREFIX "ready "
#define KH_ERROR_PREFIX "error "
#define KH_SHIM_LINE_MAX 512

/* The longest line of a log; a longer one is split by the shim. */
#define KH_LOG_LINE_MAX (64 * 1024)
