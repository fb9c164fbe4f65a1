/* SPDX-License-Identifier: MIT */
/* The log writer: lines, rotation, a disk that is full. See the header. */
#include "shim-log.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "shim-folder.h"
#include "write-all.h"

/* Whole lines are gathered up to this, so that a busy guest costs few writes. */
#define BATCH (32 * 1024)
#define CAPACITY (KH_LOG_LINE_MAX + 1 + BATCH)
#define NAME_SIZE 64

static bool
is_full(int code)
{
    return code == ENOSPC || code == EDQUOT || code == EFBIG;
}

static void
number_name(const KhShimLog *log, unsigned number, char name[NAME_SIZE])
{
    if (number == 0)
        snprintf(name, NAME_SIZE, "%s", log->name);
    else
        snprintf(name, NAME_SIZE, "%s.%u", log->name, number);
}

static bool
create_file(KhShimLog *log)
{
    log->fd = kh_shim_create(log->folder, log->name);
    log->size = 0;
    log->torn = false;
    return log->fd >= 0;
}

static void
rotate(KhShimLog *log)
{
    char older[NAME_SIZE], newer[NAME_SIZE];
    if (log->fd >= 0)
        close(log->fd);
    for (unsigned number = log->files - 1; number > 0; number--) {
        number_name(log, number - 1, newer);
        number_name(log, number, older);
        kh_shim_move(log->folder, newer, log->folder, older);
    }
    create_file(log);
}

/* All or nothing: a line half written is taken back. */
static bool
append_whole(KhShimLog *log, const char *data, size_t length)
{
    size_t done = kh_write_all(log->fd, data, length);
    if (done < length) {
        if (done > 0 && ftruncate(log->fd, log->size) < 0)
            log->size += done;
        return false;
    }
    log->size += length;
    log->torn = length > 0 ? data[length - 1] != '\n' : log->torn;
    return true;
}

/* False when there is still no room to say it. */
static bool
report_dropped(KhShimLog *log)
{
    char text[96];
    if (log->dropped == 0)
        return true;
    int length = snprintf(text, sizeof text, "%s[%" PRIu64 " bytes of this log were dropped]\n",
                          log->torn ? "\n" : "", log->dropped);
    if (!append_whole(log, text, length))
        return false;
    log->dropped = 0;
    return true;
}

static void
put(KhShimLog *log, const char *data, size_t length)
{
    if (length == 0)
        return;
    if ((log->fd < 0 && !create_file(log)) || !report_dropped(log) ||
        !append_whole(log, data, length))
        log->dropped += length;
}

/* Writes the first `length` bytes that wait. */
static void
write_out(KhShimLog *log, size_t length)
{
    put(log, log->data, length);
    log->length -= length;
    memmove(log->data, log->data + length, log->length);
    log->line = length < log->line ? log->line - length : 0;
}

static void
append(KhShimLog *log, const char *data, size_t length)
{
    memcpy(log->data + log->length, data, length);
    log->length += length;
}

/* The bytes that wait end with a newline now. */
static void
end_line(KhShimLog *log)
{
    if (log->in_file == 0 && log->size + log->length > log->max_size && log->size + log->line > 0) {
        write_out(log, log->line);
        rotate(log);
    }
    log->line = log->length;
    log->in_file = 0;
    if (log->length >= BATCH)
        write_out(log, log->length);
}

bool
kh_shim_log_open(KhShimLog *log, int folder, const char *name, uint64_t max_size, unsigned files,
                 KhShimError *error)
{
    *log = (KhShimLog){.folder = folder,
                       .name = name,
                       .max_size = max_size,
                       .files = files,
                       .fd = -1,
                       .flush_at = -1,
                       .data = malloc(CAPACITY)};
    if (log->data == NULL)
        return kh_shim_fail_errno(error, "cannot allocate the log");
    if (!create_file(log) && !is_full(errno))
        return kh_shim_fail_errno(error, "cannot create %s", name);
    return true;
}

void
kh_shim_log_feed(KhShimLog *log, const char *data, size_t length, int64_t now)
{
    while (length > 0) {
        size_t room = KH_LOG_LINE_MAX - log->in_file - (log->length - log->line);
        size_t span = length <= room ? length : room + 1;
        const char *newline = memchr(data, '\n', span);
        size_t take = newline != NULL  ? (size_t)(newline - data) + 1
                      : length <= room ? length
                                       : room;
        append(log, data, take);
        if (newline == NULL && length > room)
            append(log, "\n", 1);
        if (newline != NULL || length > room)
            end_line(log);
        data += take;
        length -= take;
    }
    size_t partial = log->length - log->line;
    write_out(log, log->line);
    log->flush_at = partial > 0 ? now + KH_SHIM_LOG_SILENCE_MS : -1;
}

void
kh_shim_log_tick(KhShimLog *log, int64_t now)
{
    if (log->flush_at < 0 || now < log->flush_at)
        return;
    log->flush_at = -1;
    /* A line that begins in a file stays in it, so a full file is left before. */
    if (log->in_file == 0 && log->size > 0 && log->size + log->length > log->max_size)
        rotate(log);
    log->in_file += log->length;
    write_out(log, log->length);
}

void
kh_shim_log_close(KhShimLog *log)
{
    kh_shim_log_tick(log, log->flush_at);
    if (log->fd >= 0)
        close(log->fd);
    free(log->data);
    log->fd = -1;
    log->data = NULL;
}
