/* SPDX-License-Identifier: MIT */
/* The kept part of an instance; see record.h. */
#include "record.h"

#include "config-keys.h"

KhRecord *
kh_record_new(void)
{
    KhRecord *record = g_rc_box_new0(KhRecord);

    record->vm_uid = record->caller_uid = -1;
    record->exit_code = -1;
    record->reason = g_strdup("");
    record->error_name = g_strdup("");
    record->error_message = g_strdup("");
    record->boot_id = g_strdup("");
    record->stop_result = g_strdup("");
    record->stopped_in = g_strdup("");
    record->measurement = g_strdup("");
    record->pending_measurement = g_strdup("");
    record->pending_secrets = g_strdup("");
    return record;
}

static void
record_clear(gpointer data)
{
    KhRecord *record = data;

    g_free(record->id);
    g_free(record->name);
    g_free(record->damage);
    kh_config_unref(record->config);
    kh_config_unref(record->pending);
    g_free(record->reason);
    g_free(record->error_name);
    g_free(record->error_message);
    g_free(record->boot_id);
    g_free(record->stop_result);
    g_free(record->stopped_in);
    g_free(record->measurement);
    g_free(record->pending_measurement);
    g_free(record->pending_secrets);
}

KhRecord *
kh_record_ref(KhRecord *record)
{
    return g_rc_box_acquire(record);
}

void
kh_record_unref(KhRecord *record)
{
    if (record != NULL)
        g_rc_box_release_full(record, record_clear);
}

void
kh_record_set_state(KhRecord *record, KhState state)
{
    if (record->state != state)
        record->state_changed_usec = g_get_real_time();
    record->state = state;
}

const KhConfig *
kh_record_get_wanted(const KhRecord *record)
{
    return record->pending != NULL ? record->pending : record->config;
}

char **
kh_record_list_pending(const KhRecord *record)
{
    g_auto(GStrv) differ = NULL;
    g_auto(GStrv) set = g_strsplit(record->pending_secrets, " ", -1);
    g_autoptr(GStrvBuilder) keys = g_strv_builder_new();

    if (record->pending == NULL)
        return g_strv_builder_end(keys);
    differ = kh_config_differences(record->config, record->pending);
    for (const KhConfigKey *key = kh_config_keys(); key->key != NULL; key++)
        if (g_strv_contains((const char *const *)differ, key->key) ||
            g_strv_contains((const char *const *)set, key->key))
            g_strv_builder_add(keys, key->key);
    return g_strv_builder_end(keys);
}
