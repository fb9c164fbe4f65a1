/* SPDX-License-Identifier: MIT */
/* The kept part of an instance; see record.h. */
#include "record.h"

#include <stddef.h>

#include "config-keys.h"

#define OF(field) offsetof(KhRecord, field)

/* The id is the first. In the order in which they are read, which matters where one says so. */
const KhColumn kh_record_columns[] = {
    {"id", KH_COLUMN_NAME, OF(id), TRUE},
    {"name", KH_COLUMN_NAME, OF(name), FALSE},
    {"owner_uid", KH_COLUMN_UINT, OF(owner_uid), TRUE},
    {"reason", KH_COLUMN_TEXT, OF(reason), FALSE},
    {"error_name", KH_COLUMN_TEXT, OF(error_name), FALSE},
    {"error_message", KH_COLUMN_TEXT, OF(error_message), FALSE},
    {"formatted", KH_COLUMN_INT, OF(formatted), FALSE},
    {"created_usec", KH_COLUMN_INT64, OF(created_usec), TRUE},
    {"started_usec", KH_COLUMN_INT64, OF(started_usec), FALSE},
    {"ready_usec", KH_COLUMN_INT64, OF(ready_usec), FALSE},
    {"boot_time_usec", KH_COLUMN_INT64, OF(boot_time_usec), FALSE},
    {"boot_id", KH_COLUMN_TEXT, OF(boot_id), FALSE},
    {"shim_pid", KH_COLUMN_INT64, OF(shim.pid), FALSE},
    {"shim_start", KH_COLUMN_INT64, OF(shim.start_time), FALSE},
    {"qemu_pid", KH_COLUMN_INT64, OF(qemu.pid), FALSE},
    {"qemu_start", KH_COLUMN_INT64, OF(qemu.start_time), FALSE},
    {"keep_data", KH_COLUMN_INT, OF(keep_data), FALSE},
    {"stop_result", KH_COLUMN_TEXT, OF(stop_result), FALSE},
    {"stopped_in", KH_COLUMN_TEXT, OF(stopped_in), FALSE},
    {"restart_count", KH_COLUMN_UINT, OF(restart_count), FALSE},
    {"restart_usec", KH_COLUMN_INT64, OF(restart_usec), FALSE},
    {"measurement", KH_COLUMN_TEXT, OF(measurement), FALSE},
    {"pending_measurement", KH_COLUMN_TEXT, OF(pending_measurement), FALSE},
    {"simulated", KH_COLUMN_INT, OF(simulated), FALSE},
    {"making", KH_COLUMN_MARK, OF(making), TRUE},
    {"pending_secrets", KH_COLUMN_TEXT, OF(pending_secrets), FALSE},
    {"state_changed_usec", KH_COLUMN_INT64, OF(state_changed_usec), FALSE},
    {"exit_code", KH_COLUMN_INT, OF(exit_code), FALSE},
    /* After the shim, which tells what a state may be that is not known. */
    {"state", KH_COLUMN_STATE, OF(state), FALSE},
    {"config", KH_COLUMN_CONFIG, OF(config), FALSE},
    /* A reference, which holds what the key of that name does, and is older than that. */
    {"image", KH_COLUMN_IMAGE, OF(config), FALSE},
    {"pending", KH_COLUMN_CONFIG, OF(pending), FALSE},
    {"pending_image", KH_COLUMN_IMAGE, OF(pending), FALSE},
};

const guint kh_record_n_columns = G_N_ELEMENTS(kh_record_columns);

/* That of the column @i. */
static char **
text_of(KhRecord *record, guint i)
{
    return (char **)((char *)record + kh_record_columns[i].offset);
}

KhRecord *
kh_record_new(void)
{
    KhRecord *record = g_rc_box_new0(KhRecord);

    record->vm_uid = record->caller_uid = -1;
    record->exit_code = -1;
    for (guint i = 0; i < kh_record_n_columns; i++)
        if (kh_record_columns[i].kind == KH_COLUMN_TEXT)
            *text_of(record, i) = g_strdup("");
    return record;
}

static void
record_clear(gpointer data)
{
    KhRecord *record = data;

    for (guint i = 0; i < kh_record_n_columns; i++)
        if (kh_record_columns[i].kind == KH_COLUMN_NAME ||
            kh_record_columns[i].kind == KH_COLUMN_TEXT)
            g_free(*text_of(record, i));
    g_free(record->damage);
    kh_config_unref(record->config);
    kh_config_unref(record->pending);
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
