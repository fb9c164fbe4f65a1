/* SPDX-License-Identifier: MIT */
/* See chain.h. */
#include "chain.h"

#include "buf.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define FILE_NAME "block-number"
#define NEW_NAME "block-number.new"
#define TIMES_NAME "block-times"

/* In a ring of CHAIN_MAX_TIMES. */
struct record {
    uint64_t block;
    uint64_t time;
};

bool
chain_set_id(struct chain *chain, const char *text)
{
    size_t len = strlen(text);

    if (strncmp(text, "0x", 2) == 0) {
        if (len < 3 || len >= sizeof chain->id ||
            strspn(text + 2, "0123456789abcdefABCDEF") != len - 2)
            return false;
        strcpy(chain->id, text);
        return true;
    }
    if (len < 1 || len > 31)
        return false;
    strcpy(chain->id, "0x");
    for (size_t i = 0; i < len; i++) {
        if (text[i] < 0x20 || text[i] > 0x7e)
            return false;
        /* A felt has no leading zeros; the first character is above 0x0f. */
        snprintf(chain->id + 2 + 2 * i, 3, "%02x", (unsigned)text[i]);
    }
    return true;
}

static int
open_dir(const char *path)
{
    return open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

/* 1: read, 0: there is none yet, -1: error. */
static int
read_number(int dir, uint64_t *number)
{
    char text[32] = "";
    int fd = openat(dir, FILE_NAME, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);

    if (fd < 0)
        return errno == ENOENT ? 0 : -1;

    ssize_t len = read(fd, text, sizeof text - 1);

    close(fd);

    char *end = NULL;

    errno = len > 0 && text[0] >= '0' && text[0] <= '9' ? 0 : EBADMSG;
    if (errno == 0)
        *number = strtoull(text, &end, 10);
    if (errno == 0 && strcmp(end, "\n") != 0)
        errno = EBADMSG;
    return errno == 0 ? 1 : -1;
}

/* Writes the number under a new name, and then gives it its place, each made lasting. */
static bool
write_number(int dir, uint64_t number)
{
    char text[32];
    int len = snprintf(text, sizeof text, "%" PRIu64 "\n", number);
    int fd = openat(dir, NEW_NAME, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);

    if (fd < 0)
        return false;

    bool ok = write(fd, text, (size_t)len) == len && fsync(fd) == 0;

    if (close(fd) != 0 || !ok)
        return false;
    return renameat(dir, NEW_NAME, dir, FILE_NAME) == 0 && fsync(dir) == 0;
}

static off_t
record_place(uint64_t block)
{
    return (off_t)(block % CHAIN_MAX_TIMES * sizeof(struct record));
}

static bool
read_record(const struct chain *chain, uint64_t block, struct record *record)
{
    return pread(chain->times, record, sizeof *record, record_place(block)) == sizeof *record &&
           record->time != 0 && record->block == block;
}

uint64_t
chain_time(const struct chain *chain, uint64_t block)
{
    struct record record;

    return read_record(chain, block, &record) ? record.time : 0;
}

static bool
write_time(const struct chain *chain, uint64_t block)
{
    const struct record record = {block, (uint64_t)time(NULL)};

    return pwrite(chain->times, &record, sizeof record, record_place(block)) == sizeof record &&
           fdatasync(chain->times) == 0;
}

/* The first block is made when the chain is. */
static bool
open_times(struct chain *chain, int dir)
{
    if (dir < 0)
        chain->times = memfd_create(TIMES_NAME, MFD_CLOEXEC);
    else
        chain->times = openat(dir, TIMES_NAME, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    return chain->times >= 0 &&
           (chain->block > 0 || chain_time(chain, 0) != 0 || write_time(chain, 0));
}

bool
chain_open(struct chain *chain, const char *db_dir)
{
    chain->db_dir = db_dir;
    if (db_dir == NULL) {
        if (open_times(chain, -1))
            return true;
        say("no memory for block times: %s", strerror(errno));
        return false;
    }
    if (mkdir(db_dir, 0700) != 0 && errno != EEXIST) {
        say("--db-dir cannot be made: %s", strerror(errno));
        return false;
    }

    int dir = open_dir(db_dir);
    int got = dir < 0 ? -1 : read_number(dir, &chain->block);

    bool ok = got >= 0 && open_times(chain, dir);

    if (got < 0)
        say("the block number in --db-dir cannot be read: %s", strerror(errno));
    else if (!ok)
        say("the block times in --db-dir cannot be kept: %s", strerror(errno));
    if (dir >= 0)
        close(dir);
    return ok;
}

bool
chain_make_block(struct chain *chain)
{
    if (!write_time(chain, chain->block + 1)) {
        say("the block's time cannot be written: %s", strerror(errno));
        return false;
    }
    if (chain->db_dir != NULL) {
        int dir = open_dir(chain->db_dir);
        bool ok = dir >= 0 && write_number(dir, chain->block + 1);

        if (!ok)
            say("the block number cannot be written: %s", strerror(errno));
        if (dir >= 0)
            close(dir);
        if (!ok)
            return false;
    }
    chain->block++;
    return true;
}
