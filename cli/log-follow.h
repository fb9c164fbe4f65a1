/* SPDX-License-Identifier: MIT */
/*
 * A follower of a log, which outlives the service: where the stream ends and the instance is
 * still there, or the service is not, it goes on where it was as soon as it can. It never starts
 * a service. Used by the verb logs.
 */
#pragma once

#include "cli.h"
#include "log-output.h"

G_BEGIN_DECLS

typedef struct {
    const char *name;   /* for messages */
    const char *path;   /* of the instance's object */
    const char *source; /* NULL: the default */
} KhLogSubject;

/* The read end of the log of @subject with these options (a{sv}, consumed); -1 and @error. */
int kh_log_open(KhCli *cli, const KhLogSubject *subject, GVariant *options, GError **error);

/*
 * Prints @fd (taken), a stream that follows, and those that take its place, until the instance
 * has been deleted (TRUE), or with *failure, an errno, until nothing can be printed: EPIPE where
 * nobody reads (TRUE as well). FALSE and @error where the bus has gone or the service refuses.
 */
gboolean kh_log_follow(KhCli *cli, const KhLogSubject *subject, KhLogOutput *output, int fd,
                       int *failure, GError **error);

G_END_DECLS
