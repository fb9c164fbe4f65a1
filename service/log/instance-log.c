/* SPDX-License-Identifier: MIT */
/* Messages about one instance; see instance-log.h. */
#include "instance-log.h"

#include "journal.h"

void
kh_log_instance(const KhRecord *record, GLogLevelFlags level, const char *format, ...)
{
    const KhSubject subject = {.instance = record->name,
                               .id = record->id,
                               .state = kh_state_name(record->state),
                               .caller = record->caller_uid};
    g_autofree char *text = NULL;
    va_list arguments;

    va_start(arguments, format);
    text = g_strdup_vprintf(format, arguments);
    va_end(arguments);
    kh_journal_log(level, &subject, "%s: %s", record->name, text);
}
