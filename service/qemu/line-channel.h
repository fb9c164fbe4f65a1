/* SPDX-License-Identifier: MIT */
/*
 * Lines of text both ways over a socket, bounded each way: what QMP and the guest's
 * control channel have in common.
 */
#pragma once

#include <gio/gio.h>

G_BEGIN_DECLS

/*
 * A longer line, or more unsent bytes, closes the channel. An answer that is asked for has
 * some hundred bytes; 1 MiB of JSON would keep the main loop for more than 100 ms.
 */
#define KH_LINE_MAX (64 * 1024)

/*
 * More than so many bytes in an interval wait for the next one, in the socket. A line, and
 * what one turn of the main loop receives, count as so many besides: they cost that much even
 * where they are empty, or a single byte.
 */
#define KH_LINE_BURST (64 * 1024)
#define KH_LINE_COST 1024
#define KH_LINE_INTERVAL_MS 500

#define KH_TYPE_LINE_CHANNEL (kh_line_channel_get_type())
G_DECLARE_FINAL_TYPE(KhLineChannel, kh_line_channel, KH, LINE_CHANNEL, GObject)

/*
 * Connects to the socket @name in the folder @folder_fd, which the machine's user @uid must
 * own and serve: kh_instance_dir_connect(). Transfer full.
 *
 * Signals: "line" (const char *, without its end), "closed" (once; GError, never NULL).
 * Nothing is read before kh_line_channel_begin().
 */
KhLineChannel *kh_line_channel_connect(int folder_fd, const char *name, uid_t uid, GError **error);

/* For tests: over a connected socket, which is taken. */
KhLineChannel *kh_line_channel_new_for_fd(int fd, GError **error);

void kh_line_channel_begin(KhLineChannel *self);

/* Queues @line with a line feed after it. Nothing happens on a closed channel. */
void kh_line_channel_send(KhLineChannel *self, const char *line);

/* Closes it without a signal. */
void kh_line_channel_close(KhLineChannel *self);

G_END_DECLS
