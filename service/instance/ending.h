/* SPDX-License-Identifier: MIT */
/*
 * Why a machine has ended: from the shim's exit-status file and the guest's FATAL line,
 * both hostile. Used by the instance when a machine ends that nobody stopped. What it says
 * becomes a property that everyone may read: no other line of a log is in it.
 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/*
 * The reason, as an error of the domain KH_ERROR, never NULL: GUEST_FAILED where the guest
 * gave up, LAUNCH_FAILED where QEMU refused to run, FAILED where something was killed.
 * @folder is the instance's folder, @uid its owner (-1: the service's own).
 */
GError *kh_ending_describe(int folder, gint64 uid);

/* The text after the last "FATAL:" at the start of a line; NULL for none. Transfer full. */
char *kh_ending_find_fatal(const char *log);

G_END_DECLS
