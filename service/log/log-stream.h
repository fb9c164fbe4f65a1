/* SPDX-License-Identifier: MIT */
/*
 * A log of an instance, sent into a pipe: the last lines of a log and its rotated
 * predecessors, then what is added while somebody follows. Used by OpenLog and for the
 * excerpt in an error. What the reader does not take in time waits in the files, not in
 * memory.
 */
#pragma once

#include <gio/gio.h>

#include "folder-watcher.h"
#include "log-files.h"

G_BEGIN_DECLS

/*
 * Opens the log in @folder (a descriptor, not taken); @watcher is needed to follow it. Once
 * @cancellable is cancelled the stream ends with what is there. Errors: those of
 * kh_log_files_open(), KH_ERROR_RESOURCE_UNAVAILABLE.
 *
 * Unless it fails, @closed is called once, when the stream has ended: by its end, by the
 * reader, or by @cancellable.
 */
void kh_log_stream_open_async(int folder, const KhLogRequest *request, KhFolderWatcher *watcher,
                              GDestroyNotify closed, gpointer closed_data,
                              GCancellable *cancellable, GAsyncReadyCallback callback,
                              gpointer user_data);

/* The read end of the pipe; -1 and @error. */
int kh_log_stream_open_finish(GAsyncResult *result, GError **error);

G_END_DECLS
