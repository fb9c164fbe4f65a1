/* SPDX-License-Identifier: MIT */
/*
 * The last lines of a log in an error. Called by the service for a call that waits, and by the
 * command line for a job, whose error has none: anybody may read that.
 */
#pragma once

#include <gio/gio.h>

G_BEGIN_DECLS

/* Lines of a log that an error ends with, at most. */
#define KH_LOG_LINES 20

/* Whether @error is one that the end of a log explains. */
gboolean kh_log_lines_explain(const GError *error);

/* Adds @text to it, @length bytes of a log's end (changed; anything), harmless for a terminal. */
void kh_log_lines_add(GError *error, char *text, gsize length);

G_END_DECLS
