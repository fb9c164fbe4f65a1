/* SPDX-License-Identifier: MIT */
/*
 * Lines of the journal with fields: whose they are, which instance they are about, and who
 * asked for what they tell of. Called by whoever logs about an instance or a caller; main()
 * begins it. Without a journal only the text is written, to stderr.
 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* What a line is about; what is not known is NULL, or -1. */
typedef struct {
    const char *instance; /* KATANA_INSTANCE: its name */
    const char *id;       /* KATANA_INSTANCE_ID */
    const char *state;    /* KATANA_STATE */
    gint64 caller;        /* KATANA_CALLER_UID: who asked for it */
} KhSubject;

/* From now on every line of this process has its whole name, SYSLOG_IDENTIFIER=@identifier. */
void kh_journal_begin(const char *identifier);

/* Never give it Katana's arguments, nor a line of a log. */
void kh_journal_log(GLogLevelFlags level, const KhSubject *subject, const char *format, ...)
    G_GNUC_PRINTF(3, 4);
void kh_journal_logv(GLogLevelFlags level, const KhSubject *subject, const char *format,
                     va_list arguments) G_GNUC_PRINTF(3, 0);

G_END_DECLS
