/* SPDX-License-Identifier: MIT */
/*
 * Writes one log of a boot: name, name.1 (the one before) … name.<files-1>. A line of up
 * to 64 KiB is never broken, neither between two files nor otherwise; a longer one is
 * split by a newline every 64 KiB. A file is at most `max_size` bytes, exceeded by at most
 * the one line that was begun in it (a partial line is written after 250 ms of silence).
 * What cannot be written (disk full) is dropped and counted; the count is written when
 * there is room again. Called by shim-run.c.
 */
#pragma once

#include <stdint.h>

#include "shim-error.h"

#define KH_SHIM_LOG_SILENCE_MS 250

typedef struct {
    int folder;
    const char *name;
    uint64_t max_size;
    unsigned files;
    int fd;           /* -1: could not be created, tried again at every write */
    uint64_t size;    /* of the current file */
    bool torn;        /* the current file does not end with a newline */
    char *data;       /* bytes not yet written */
    size_t length;    /* how many */
    size_t line;      /* where in them the current line begins */
    size_t in_file;   /* how much of the current line is written already */
    int64_t flush_at; /* ms; when the partial line is to be written, -1: none is waiting */
    uint64_t dropped; /* bytes, since the last success */
} KhShimLog;

/* Creates the first file. A full disk is no error. `name` must outlive the log. */
bool kh_shim_log_open(KhShimLog *log, int folder, const char *name, uint64_t max_size,
                      unsigned files, KhShimError *error);

/* Takes bytes; `now` is in ms of any monotonic clock, the same in every call. */
void kh_shim_log_feed(KhShimLog *log, const char *data, size_t length, int64_t now);

/* Writes the partial line when it is due. */
void kh_shim_log_tick(KhShimLog *log, int64_t now);

/* Writes what is left and frees. */
void kh_shim_log_close(KhShimLog *log);
