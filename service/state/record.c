/* SPDX-License-Identifier: MIT */
/* The kept part of an instance; see record.h. */
#include "record.h"

KhRecord *
kh_record_new(void)
{
    KhRecord *record = g_new0(KhRecord, 1);

    record->vm_uid = -1;
    record->reason = g_strdup("");
    record->error_name = g_strdup("");
    record->error_message = g_strdup("");
    record->boot_id = g_strdup("");
    return record;
}

void
kh_record_free(KhRecord *record)
{
    if (record == NULL)
        return;
    g_free(record->id);
    g_free(record->name);
    kh_config_free(record->config);
    g_free(record->image);
    g_free(record->reason);
    g_free(record->error_name);
    g_free(record->error_message);
    g_free(record->boot_id);
    g_free(record);
}
