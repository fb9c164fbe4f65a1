/* SPDX-License-Identifier: MIT */
/*
 * The chain that the stand-in plays: an id, a block number and the times of the last blocks,
 * which survive a stop in the folder of --db-dir. Used by rpc.c, quote.c and main.c.
 */
#ifndef STANDIN_CHAIN_H
#define STANDIN_CHAIN_H

#include <stdbool.h>
#include <stdint.h>

/* "0x", at most 63 digits, and the end. */
#define CHAIN_ID_SIZE 66

/* So many blocks back a block's time is known. */
#define CHAIN_MAX_TIMES (1u << 16)

struct chain {
    const char *db_dir; /* NULL: kept in memory only */
    char id[CHAIN_ID_SIZE];
    uint64_t block;
    int times; /* a descriptor */
};

/* Encodes a short string (1 to 31 printable ASCII characters) as a felt, or keeps one that
 * is given as 0x and hexadecimal digits. False: it is neither. */
bool chain_set_id(struct chain *chain, const char *text);

/* Reads the block number of db_dir, which is made if it is not there. False, with a line on
 * the console: it cannot be read or written. */
bool chain_open(struct chain *chain, const char *db_dir);

/* When that block was made, in seconds since 1970; 0: that is not known any more. */
uint64_t chain_time(const struct chain *chain, uint64_t block);

/* Makes one block; it is on the disk when this returns true. */
bool chain_make_block(struct chain *chain);

#endif
