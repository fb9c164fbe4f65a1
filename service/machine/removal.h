/* SPDX-License-Identifier: MIT */
/*
 * The end of an instance's folders, before that of its row, port and uid: so a service that
 * is killed in between finds the row and goes on. Called by the instance.
 */
#pragma once

#include "machines.h"

G_BEGIN_DECLS

/*
 * Removes the folders of @record, whose machine is dead; data.raw stays when its
 * "keep_data" is set. KH_ERROR_FAILED, or BUSY while a process of its user lives.
 */
void kh_removal_run_async(const KhMachines *machines, const KhRecord *record,
                          GAsyncReadyCallback callback, gpointer user_data);
gboolean kh_removal_run_finish(GAsyncResult *result, GError **error);

/*
 * Marks the folder of @record as deleted, for a service that cannot ask the row. FALSE, too, where
 * there is no folder.
 */
gboolean kh_removal_mark(const KhMachines *machines, const KhRecord *record);

/* Its uid is free for another one: after its row has gone. */
void kh_removal_free_uid(const KhMachines *machines, const KhRecord *record);

G_END_DECLS
