/* SPDX-License-Identifier: MIT */
/*
 * The end of a log stream at which it is printed: to stdout, harmless where that is a terminal,
 * with the line ends of a file (a serial port has CR LF), and with an eye on what cannot be
 * written. It remembers the last bytes that it has been given, by which the same place of the
 * log can be found again. Used by the verb logs.
 */
#pragma once

#include <gio/gio.h>

#include "harmless.h"

G_BEGIN_DECLS

/* Enough of a log to be there once. */
#define KH_LOG_TAIL 4096

typedef struct {
    gboolean terminal;
    KhHarmless harmless;
    guint returns; /* CRs that are held back: a line may end with them */
    char tail[KH_LOG_TAIL];
    gsize tail_length;
    guint64 passed; /* bytes that it has been given */
} KhLogOutput;

void kh_log_output_init(KhLogOutput *self);

/* Prints @length bytes. Returns 0, or errno: EPIPE where nobody reads. */
int kh_log_output_write(KhLogOutput *self, const char *bytes, gsize length);

/* What it is given next is of another log. */
void kh_log_output_forget(KhLogOutput *self);

/* The log ends here: prints what was held back. Returns 0 or errno. */
int kh_log_output_end(KhLogOutput *self);

/*
 * Prints what @fd gives until its end, or until nobody reads what is printed, even when there is
 * nothing to print. Returns 0 or errno.
 */
int kh_log_output_copy(KhLogOutput *self, int fd);

/* Bytes of a log, of which the last as many as the tail has are compared with it. */
typedef struct {
    const KhLogOutput *output;
    gsize *borders; /* of each beginning of the tail (Knuth, Morris, Pratt) */
    gsize matched;
    guint64 seen;
    guint64 limit; /* where the tail ends at the latest, if its place is known */
    guint found;   /* how often it has appeared up to there */
    gint64 end;    /* of the tail's last appearance; -1: it has not appeared */
} KhLogSearch;

void kh_log_search_init(KhLogSearch *self, const KhLogOutput *output);
void kh_log_search_clear(KhLogSearch *self);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(KhLogSearch, kh_log_search_clear)

void kh_log_search_feed(KhLogSearch *self, const char *bytes, gsize length);

G_END_DECLS
