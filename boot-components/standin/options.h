/* SPDX-License-Identifier: MIT */
/*
 * The command line: today's flags of Katana (those without meaning here are accepted),
 * and the fault switches. Used by main.c, fake.c and rpc.c.
 */
#ifndef STANDIN_OPTIONS_H
#define STANDIN_OPTIONS_H

#include <stdbool.h>

#define OPTIONS_MAX_CONNECT 16

struct options {
    bool dev;
    bool version;
    unsigned block_time_ms; /* 0: none */
    const char *chain_id;
    const char *db_dir;
    const char *http_addr;
    unsigned http_port;

    unsigned ready_after_ms;
    unsigned crash_after_ms; /* 0: never */
    unsigned spam_seconds;   /* of spam_log and no_newline */
    bool ignore_stop;
    bool spam_log;
    bool no_newline;
    bool spin;
    bool fill_disk;
    const char *health; /* NULL, "false", "hang" or "500" */
    const char *fatal;
    const char *attester; /* see attester.h; NULL: none */
    const char *connect[OPTIONS_MAX_CONNECT];
    unsigned n_connect;
};

/* False, with a line on stderr that has no value in it: values can be private keys. */
bool options_parse(struct options *options, int argc, char **argv);

#endif
