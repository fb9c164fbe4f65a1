/* SPDX-License-Identifier: MIT */
/*
 * What takes long: begins one operation of an instance and follows its job, with the step that
 * it is at on a terminal, and with Ctrl-C, which cancels the job once and leaves at the second.
 * Called by the verbs that operate on instances, through verb-each.c, and by create.
 */
#pragma once

#include "cli.h"

G_BEGIN_DECLS

/* What an operation is for; of a job that cannot be seen any more the instance itself tells. */
typedef enum {
    KH_GOAL_UP,
    KH_GOAL_DOWN,
    KH_GOAL_GONE, /* then a prefix of an id is not enough for a name */
} KhGoal;

typedef struct {
    const char *method;  /* of the Instance interface */
    const char *job;     /* Operation of its job; NULL: it makes none, and is short */
    const char *goes_on; /* said at the first Ctrl-C of what cannot be cancelled; NULL: it can */
    const char *already; /* the state in which there is nothing to do; NULL: none */
    KhGoal goal;
    gboolean stops; /* it may stop a machine: how that stopped is told */
} KhVerbOperation;

/* Start, of which create has need as well. */
extern const KhVerbOperation kh_operation_start;

/*
 * Does @operation with the instance at @path, called @name in messages, with @options (a{sv}).
 * Returns at the end of its job, unless they have "no-wait". @job is what the call returned: an
 * object path, "/" where there was nothing to do, NULL without a job; transfer full. After a
 * Ctrl-C @cli->interrupted is set, whatever came of it; at the second one the process has ended
 * with KH_EXIT_INTERRUPTED.
 */
gboolean kh_operation_run(KhCli *cli, const KhVerbOperation *operation, const char *name,
                          const char *path, GVariant *options, char **job, GError **error);

G_END_DECLS
