/* SPDX-License-Identifier: MIT */
/* The verbs, each in a file of its own; the table of them stands in main.c. */
#pragma once

#include "cli.h"
#include "operation.h"

G_BEGIN_DECLS

/* Each returns the exit code, and has printed its result or its error. */
int kh_verb_attest(KhCli *cli);
int kh_verb_create(KhCli *cli);
int kh_verb_delete(KhCli *cli);
int kh_verb_doctor(KhCli *cli);
int kh_verb_list(KhCli *cli);
int kh_verb_logs(KhCli *cli);
int kh_verb_measure(KhCli *cli);
int kh_verb_operate(KhCli *cli); /* start, stop, restart, reset, pause, resume */
int kh_verb_report(KhCli *cli);
int kh_verb_set(KhCli *cli);
int kh_verb_show(KhCli *cli);
int kh_verb_status(KhCli *cli);
int kh_verb_wait(KhCli *cli);

/*
 * What start, stop, delete and their like share: @operation with @options (a{sv}) on each of
 * @names, after a failure on the next one, and what there is to say about it. With --json
 * prints the instances as they are then (a deleted one as it was). Returns the first failure's
 * exit code.
 */
int kh_verb_on_each(KhCli *cli, char **names, const KhVerbOperation *operation, GVariant *options);

/*
 * The properties of the instance @name, as @operation takes names, and its object path where
 * @path is not NULL. Transfer full.
 */
GVariant *kh_verb_look_up(KhCli *cli, const KhVerbOperation *operation, const char *name,
                          char **path, GError **error);

/* Reads seconds, 1 to 3600 with a fraction, into @dict as "timeout-usec"; NULL is nothing. */
gboolean kh_verb_add_timeout(GVariantDict *dict, const char *text, GError **error);

/* The instance at @path as it is now, as JSON. */
gboolean kh_verb_print_json(KhCli *cli, const char *path, GError **error);

/* Reads the seconds of --timeout, with a fraction. */
gboolean kh_verb_parse_seconds(const char *text, double min, double max, double *seconds,
                               GError **error);

G_END_DECLS
