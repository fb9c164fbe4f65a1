/* SPDX-License-Identifier: MIT */
/*
 * The chain that the stand-in plays: an id and a block number that survives a stop in the
 * folder of --db-dir. Used by rpc.c and main.c.
 */
#ifndef STANDIN_CHAIN_H
#define STANDIN_CHAIN_H

#include <stdbool.h>
#include <stdint.h>

/* "0x", at most 63 digits, and the end. */
#define CHAIN_ID_SIZE 66

struct chain {
    const char *db_dir; /* NULL: kept in memory only */
    char id[CHAIN_ID_SIZE];
    uint64_t block;
};

/* Encodes a short string (1 to 31 printable ASCII characters) as a felt, or keeps one that
 * is given as 0x and hexadecimal digits. False: it is neither. */
bool chain_set_id(struct chain *chain, const char *text);

/* Reads the block number of db_dir, which is made if it is not there. False, with a line on
 * the console: it cannot be read or written. */
bool chain_open(struct chain *chain, const char *db_dir);

/* Makes one block; it is on the disk when this returns true. */
bool chain_make_block(struct chain *chain);

#endif
