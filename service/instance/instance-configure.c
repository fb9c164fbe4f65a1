/* SPDX-License-Identifier: MIT */
/* Another configuration, as it was checked; see instance.h. */
#include "instance-private.h"

#include "config-keys.h"
#include "crash-point.h"

/*
 * The secret keys that were set for the next start, before and by @changes (a{sv}): whether
 * they differ from what the machine runs with is not to be told, as it would tell a caller
 * whether he has guessed it. Transfer full.
 */
static char *
list_secrets(const KhRecord *record, GVariant *changes)
{
    g_auto(GStrv) before = g_strsplit(record->pending_secrets, " ", -1);
    g_autoptr(GStrvBuilder) keys = g_strv_builder_new();
    g_auto(GStrv) all = NULL;

    for (const KhConfigKey *key = kh_config_keys(); key->key != NULL; key++) {
        g_autoptr(GVariant) value = g_variant_lookup_value(changes, key->key, NULL);

        if (kh_config_key_is_secret(key->key) &&
            (value != NULL || g_strv_contains((const char *const *)before, key->key)))
            g_strv_builder_add(keys, key->key);
    }
    all = g_strv_builder_end(keys);
    return g_strjoinv(" ", all);
}

/*
 * @config and @pending (both taken), for which @secrets were set, instead of what there was;
 * back again on failure. @measurement is expected of the later one.
 */
static gboolean
exchange(KhInstance *self, KhConfig *config, KhConfig *pending, const char *secrets,
         const char *measurement, GError **error)
{
    KhRecord *record = self->record;
    g_autofree char *old_measurement = g_strdup(record->measurement);
    g_autofree char *old_next = g_strdup(record->pending_measurement);
    g_autofree char *old_secrets = g_strdup(record->pending_secrets);
    g_autoptr(KhConfig) old_config = g_steal_pointer(&record->config);
    g_autoptr(KhConfig) old_pending = g_steal_pointer(&record->pending);

    record->config = config;
    record->pending = pending;
    if (pending == NULL)
        kh_instance_replace(&record->measurement, measurement);
    kh_instance_replace(&record->pending_measurement, pending == NULL ? "" : measurement);
    kh_instance_replace(&record->pending_secrets, secrets);
    kh_crash_point("set:checked");
    if (kh_store_reconfigure(self->store, record, error)) {
        kh_crash_point("set:written");
        return TRUE;
    }
    kh_config_unref(config);
    kh_config_unref(pending);
    record->config = g_steal_pointer(&old_config);
    record->pending = g_steal_pointer(&old_pending);
    kh_instance_replace(&record->measurement, old_measurement);
    kh_instance_replace(&record->pending_measurement, old_next);
    kh_instance_replace(&record->pending_secrets, old_secrets);
    return FALSE;
}

/* Those keys that a living machine, or a restart that is due, takes at once. */
static void
apply_live_keys(KhInstance *self, guint32 caller)
{
    const KhConfig *config = self->record->config;
    const gint64 before = self->record->caller_uid;

    if (self->run != NULL)
        kh_run_apply_cpu_quota(self->run);
    if (self->restart_timer != 0 && self->record->state == KH_STATE_FAILED &&
        g_str_equal(config->restart_policy, "no")) {
        kh_instance_forget_restart(self);
        self->record->caller_uid = caller;
        kh_instance_set_state(self, KH_STATE_FAILED, self->record->error_message);
        self->record->caller_uid = before;
    }
}

gboolean
kh_instance_configure(KhInstance *self, KhConfig *config, GVariant *changes,
                      const char *measurement, guint32 caller, GError **error)
{
    g_autoptr(KhConfig) wanted = config;
    g_autoptr(KhConfig) now = NULL;
    g_autofree char *secrets = NULL;
    g_auto(GStrv) differences = NULL;

    if (kh_instance_check(self, KH_OPERATION_CONFIGURE, error) == KH_ADMISSION_REFUSE)
        return FALSE;
    if (kh_instance_has_machine(self)) {
        now = kh_config_with_live_keys(self->record->config, wanted);
        differences = kh_config_differences(now, wanted);
        secrets = list_secrets(self->record, changes);
        if (differences[0] == NULL && secrets[0] == '\0')
            g_clear_pointer(&wanted, kh_config_unref);
    } else {
        now = g_steal_pointer(&wanted);
        secrets = g_strdup("");
    }
    if (!exchange(self, g_steal_pointer(&now), g_steal_pointer(&wanted), secrets, measurement,
                  error))
        return FALSE;
    kh_instance_touch(self,
                      KH_ASPECT_CONFIG | KH_ASPECT_IMAGE | KH_ASPECT_STATE | KH_ASPECT_MACHINE);
    apply_live_keys(self, caller);
    kh_instance_tell(self);
    return TRUE;
}
