/* SPDX-License-Identifier: MIT */
/* The stand-in's command line: the flags of today's Katana that it understands, and the
 * fault switches of the tests. main.c parses, everything else reads. */
#pragma once

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <stddef.h>

typedef enum {
    KH_STANDIN_HEALTH_OK,
    KH_STANDIN_HEALTH_FAIL, /* 503 and {"health":false} */
    KH_STANDIN_HEALTH_HANG, /* takes the connection and never answers */
} KhStandinHealth;

typedef struct {
    struct in_addr address;
    uint16_t port;
    const char *db_dir;  /* NULL: the block number is kept in memory only */
    char chain_id[65];   /* "0x" and 1 to 62 hexadecimal digits */
    uint64_t block_time; /* milliseconds, 0: no blocks of their own accord */
    bool dev;
    bool dev_api;

    uint64_t ready_after;  /* milliseconds */
    uint64_t crash_after;  /* milliseconds, 0: never */
    uint64_t spam_seconds; /* 10 */
    bool ignore_stop;
    bool spam_log;
    bool no_newline;
    bool deaf; /* acted on by the guest's init */
    KhStandinHealth health;
    struct sockaddr_in connect; /* port 0: none */
    const char *fatal;
} KhStandinOptions;

/* Fills options from argv; the strings stay those of argv. False with one sentence in
 * message (of size bytes) for an unknown flag, a bad value or a flag without the one that
 * it needs. The value of a flag is never repeated: it may be a secret. */
bool kh_standin_options_parse(KhStandinOptions *options, int argc, char **argv, char *message,
                              size_t size);
