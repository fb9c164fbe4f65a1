/* SPDX-License-Identifier: MIT */
/* Messages about one instance; see log.h. */
#include "log.h"

/* Names of the log levels as the journal numbers them (sd-daemon(3)). */
static const char *
priority_of(GLogLevelFlags level)
{
    switch (level & G_LOG_LEVEL_MASK) {
    case G_LOG_LEVEL_WARNING:
        return "4";
    case G_LOG_LEVEL_MESSAGE:
        return "5";
    default:
        return "6";
    }
}

void
kh_log_instance(const KhRecord *record, GLogLevelFlags level, const char *format, ...)
{
    g_autofree char *text = NULL, *message = NULL;
    va_list args;

    va_start(args, format);
    text = g_strdup_vprintf(format, args);
    va_end(args);
    message = g_strdup_printf("%s: %s", record->name, text);

    const GLogField fields[] = {
        {"MESSAGE", message, -1},
        {"PRIORITY", priority_of(level), -1},
        {"KATANA_INSTANCE", record->name, -1},
        {"KATANA_INSTANCE_ID", record->id, -1},
        {"KATANA_STATE", kh_state_name(record->state), -1},
    };
    g_log_structured_array(level, fields, G_N_ELEMENTS(fields));
}
