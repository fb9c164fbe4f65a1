/* SPDX-License-Identifier: MIT */
/*
 * The last lines of a log in the error of an operation, as the service adds them to the answer
 * of a call that waits: a job's error has none, for anybody may read that. Used by operation.c.
 */
#pragma once

#include "cli.h"

G_BEGIN_DECLS

/*
 * Adds them to @error, of an operation on the instance at @path, where that is one of those which
 * a log explains and the caller may read it; nobody is asked to authenticate for that.
 */
void kh_log_excerpt_add(KhCli *cli, const char *path, GError *error);

G_END_DECLS
