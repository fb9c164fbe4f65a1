/* SPDX-License-Identifier: MIT */
/*
 * What comes before a launch: the image is checked, uid and port are made sure of, the
 * folders, the data disk with its file system, and the file with Katana's arguments are
 * made. Called by the instance for every start.
 */
#pragma once

#include "machines.h"
#include "model/record.h"

G_BEGIN_DECLS

/* Writes down that the disk of @record is "formatted"; FALSE and @error: that has failed. */
typedef gboolean (*KhNoteDiskFunction)(const KhRecord *record, gpointer user_data, GError **error);

/*
 * Prepares @record's machine (a reference is taken). @note_disk is called with @note_data, before
 * the end, once the data disk of one that is not "formatted" has its file system. Errors:
 * KH_ERROR_INTEGRITY_MISMATCH, PORT_UNAVAILABLE, RESOURCE_UNAVAILABLE, LAUNCH_FAILED, FAILED.
 */
void kh_preparation_run_async(const KhMachines *machines, KhRecord *record,
                              KhNoteDiskFunction note_disk, gpointer note_data,
                              GAsyncReadyCallback callback, gpointer user_data);
gboolean kh_preparation_run_finish(GAsyncResult *result, GError **error);

/* The folder of @record below the state folder; transfer full. */
char *kh_preparation_state_folder(const KhMachines *machines, const KhRecord *record);

G_END_DECLS
