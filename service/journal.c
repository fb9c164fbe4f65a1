/* SPDX-License-Identifier: MIT */
/* Lines of the journal; see journal.h. */
#include "journal.h"

#define FIELDS_MAX 32

/* Names of the log levels as the journal numbers them (sd-daemon(3)). */
static const char *
priority_of(GLogLevelFlags level)
{
    switch (level & G_LOG_LEVEL_MASK) {
    case G_LOG_LEVEL_WARNING:
        return "4";
    case G_LOG_LEVEL_MESSAGE:
        return "5";
    case G_LOG_LEVEL_DEBUG:
        return "7";
    default:
        return "6";
    }
}

/* The journal would take the name of the process, of which the kernel keeps 15 characters. */
static GLogWriterOutput
write_line(GLogLevelFlags level, const GLogField *fields, gsize n, gpointer identifier)
{
    GLogField all[FIELDS_MAX];

    if (n >= FIELDS_MAX)
        return g_log_writer_default(level, fields, n, NULL);
    for (gsize i = 0; i < n; i++)
        all[i] = fields[i];
    all[n] = (GLogField){"SYSLOG_IDENTIFIER", identifier, -1};
    return g_log_writer_default(level, all, n + 1, NULL);
}

void
kh_journal_begin(const char *identifier)
{
    g_log_set_writer_func(write_line, g_strdup(identifier), g_free);
}

void
kh_journal_logv(GLogLevelFlags level, const KhSubject *subject, const char *format,
                va_list arguments)
{
    g_autofree char *text = g_strdup_vprintf(format, arguments);
    g_autofree char *caller = g_strdup_printf("%" G_GINT64_FORMAT, subject->caller);
    const GLogField known[] = {
        {"MESSAGE", text, -1},
        {"PRIORITY", priority_of(level), -1},
        {"KATANA_INSTANCE", subject->instance, -1},
        {"KATANA_INSTANCE_ID", subject->id, -1},
        {"KATANA_STATE", subject->state, -1},
        {"KATANA_CALLER_UID", subject->caller < 0 ? NULL : caller, -1},
    };
    GLogField fields[G_N_ELEMENTS(known)];
    gsize n = 0;

    for (gsize i = 0; i < G_N_ELEMENTS(known); i++)
        if (known[i].value != NULL)
            fields[n++] = known[i];
    g_log_structured_array(level, fields, n);
}

void
kh_journal_log(GLogLevelFlags level, const KhSubject *subject, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    kh_journal_logv(level, subject, format, arguments);
    va_end(arguments);
}
