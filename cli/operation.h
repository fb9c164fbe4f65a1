/* SPDX-License-Identifier: MIT */
/*
 * What takes long: one call of an instance, with the step its job is at on a terminal, and
 * with Ctrl-C, which cancels the job once and leaves at the second. Called by the verbs that
 * operate on instances, through verb-each.c, and by create.
 */
#pragma once

#include "cli.h"

G_BEGIN_DECLS

typedef struct {
    const char *method;  /* of the Instance interface */
    const char *job;     /* Operation of its job; NULL: it makes none, and is short */
    const char *goes_on; /* said at the first Ctrl-C of what cannot be cancelled; NULL: it can */
    const char *already; /* the state in which there is nothing to do; NULL: none */
    gboolean exact;      /* a prefix of an id is not enough */
    gboolean stops;      /* how the machine stopped is told */
} KhOperation;

/* Start, of which create has need as well. */
extern const KhOperation kh_operation_start;

/*
 * Calls @operation on the instance at @path, called @name in messages, with @options (a{sv}).
 * Returns at the call's own reply. @job is what it returned: an object path, "/" where there
 * was nothing to do, NULL without a job; transfer full. After a Ctrl-C @cli->interrupted is
 * set, whatever came of it; at the second one the process has ended with 130.
 */
gboolean kh_operation_run(KhCli *cli, const KhOperation *operation, const char *name,
                          const char *path, GVariant *options, char **job, GError **error);

G_END_DECLS
