/* SPDX-License-Identifier: MIT */
/*
 * A log of an instance, sent into a pipe: the last lines of a log and its rotated
 * predecessors, then what is added while somebody follows. Used by OpenLog. The files are
 * hostile; what the reader does not take in time waits in the files, not in memory.
 */
#pragma once

#include <gio/gio.h>

G_BEGIN_DECLS

typedef struct {
    const char *name; /* of the current file: "serial.log" or "qemu.log" */
    gint64 uid;       /* its owner; -1: the service's own */
    guint lines;      /* the last so many; 0 = all */
    gboolean follow;
    int boot; /* 0 = current, -1 = the one before */
} KhLogRequest;

/*
 * Opens the log in @folder (a descriptor, not taken). The read end of the pipe is returned;
 * -1 and KH_ERROR_NOT_FOUND when there is no such boot, KH_ERROR_INVALID_ARGUMENT for one in
 * the future. Unless it fails, @closed is called once, when the stream has ended: by its
 * end, by the reader, or with its folder.
 */
int kh_log_stream_open(int folder, const KhLogRequest *request, GDestroyNotify closed,
                       gpointer user_data, GError **error);

G_END_DECLS
