/* SPDX-License-Identifier: MIT */
/* The verbs, each in a file of its own; the table of them stands in main.c. */
#pragma once

#include "cli.h"

G_BEGIN_DECLS

/* Each returns the exit code, and has printed its result or its error. */
int kh_verb_create(KhCli *cli);
int kh_verb_delete(KhCli *cli);
int kh_verb_list(KhCli *cli);
int kh_verb_logs(KhCli *cli);
int kh_verb_show(KhCli *cli);
int kh_verb_start(KhCli *cli);
int kh_verb_status(KhCli *cli);
int kh_verb_stop(KhCli *cli);

/*
 * What start, stop and delete share: calls @method with a copy of @options (a{sv}) on each of
 * @names, goes on after a failure, and returns the first failure's exit code. With
 * @exact a prefix of an id is refused.
 */
int kh_verb_on_each(KhCli *cli, char **names, gboolean exact, const char *method,
                    GVariant *options);

/* Reads seconds, 1 to 3600 with a fraction, into @dict as "timeout-usec". */
gboolean kh_verb_add_timeout(GVariantDict *dict, const char *seconds, GError **error);

G_END_DECLS
