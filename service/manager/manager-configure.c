/* SPDX-License-Identifier: MIT */
/*
 * How the configuration of an instance changes: all that was asked for, or nothing. Called by
 * the instance's bus object.
 */
#include "manager-private.h"

#include "crash-point.h"
#include "error.h"
#include "model/config-checks.h"
#include "port/registry.h"
#include "confidential/expected-measurement.h"

/* A change on its way; the instance may have been changed or deleted meanwhile. */
typedef struct {
    KhInstance *instance;
    GVariant *changes;
    gboolean may_expose;
    guint32 caller;
    gboolean wants_default; /* today's boot components */
    KhConfig *measured;     /* what is being measured; else NULL */
} Change;

static void
change_free(gpointer data)
{
    Change *change = data;

    g_object_unref(change->instance);
    g_variant_unref(change->changes);
    kh_config_unref(change->measured);
    g_free(change);
}

/* One that stays may be of a network that is not up now. */
static gboolean
check_new_address(const KhRecord *record, const KhConfig *config, GError **error)
{
    return g_str_equal(config->rpc_address, kh_record_get_wanted(record)->rpc_address) ||
           kh_port_check_address(config->rpc_address, error);
}

/* The port stays, or is chosen anew; @config is replaced. */
static gboolean
choose_new_port(KhManager *self, const KhRecord *record, KhConfig **config, GError **error)
{
    KhConfig *before = *config;
    guint16 port = before->rpc_port;

    if (port == record->config->rpc_port || port == kh_record_get_wanted(record)->rpc_port)
        return TRUE;
    port = kh_port_choose(self->store, &self->machines->settings->ports, before->rpc_address, port,
                          self->machines->settings->config_file, error);
    if (port == 0)
        return FALSE;
    *config = kh_config_with(before, "rpc-port", g_variant_new_uint16(port));
    kh_config_unref(before);
    return TRUE;
}

static gboolean
check_storage(const KhRecord *record, const KhConfig *config, GError **error)
{
    if (config->storage_bytes == kh_record_get_wanted(record)->storage_bytes ||
        (!record->formatted && kh_state_is_down(record->state)))
        return TRUE;
    return kh_error_set(
        error, KH_ERROR_NOT_SUPPORTED,
        "The data disk of \"%s\" was made at its first start, and its size (storage-bytes) "
        "can no longer be changed; create another instance for another size",
        record->name);
}

gboolean
kh_manager_change_is_exposed(KhInstance *instance, GVariant *changes)
{
    const KhRecord *record = kh_instance_get_record(instance);

    return kh_config_moves_endpoint(changes) &&
           (kh_config_exposes(record->config->dict) ||
            kh_config_exposes(kh_record_get_wanted(record)->dict));
}

/* It was asked for "expose" before, if it needed it then. */
static gboolean
check_exposure(const Change *change, GError **error)
{
    if (change->may_expose || !kh_manager_change_is_exposed(change->instance, change->changes))
        return TRUE;
    return kh_error_set(
        error, KH_ERROR_BUSY,
        "\"%s\" has just been opened to the network, so that this change needs the right "
        "to expose it; try again",
        kh_instance_get_record(change->instance)->name);
}

/* The whole configuration that @change asks for. */
static KhConfig *
check_change(KhManager *self, const Change *change, GError **error)
{
    const KhRecord *record = kh_instance_get_record(change->instance);
    g_autoptr(GVariant) merged = kh_config_merge(kh_record_get_wanted(record), change->changes);
    g_autoptr(KhConfig) config = kh_config_new(merged, &self->machines->facts->limits, error);

    if (config == NULL || !check_exposure(change, error) ||
        !kh_manager_check_labels(self, config, kh_record_get_wanted(record), error) ||
        !kh_manager_check_image(self, config, error) || !check_storage(record, config, error) ||
        !check_new_address(record, config, error) || !choose_new_port(self, record, &config, error))
        return NULL;
    return g_steal_pointer(&config);
}

/* @config, with what else a confidential instance asks of it. Takes @config, which may be NULL. */
static KhConfig *
check_confidential(KhManager *self, const Change *change, KhConfig *config, GError **error)
{
    g_autoptr(KhConfig) pinned = config;

    if (pinned == NULL ||
        !kh_confidential_check_change(kh_instance_get_record(change->instance), pinned, error) ||
        !kh_confidential_check_image(self->machines->images, pinned, error))
        return NULL;
    return g_steal_pointer(&pinned);
}

/* After an await everything once more, pinned to @image. */
static KhConfig *
check_pinned_change(KhManager *self, const Change *change, const char *image, GError **error)
{
    g_autoptr(KhConfig) config = check_change(self, change, error);
    KhConfig *pinned = NULL;

    if (config != NULL)
        pinned = kh_config_with(config, "image", g_variant_new_string(image));
    return check_confidential(self, change, pinned, error);
}

/* Takes @pinned. What is refused changes nothing: the default moves after it was not. */
static void
configure(KhManager *self, GTask *task, KhConfig *pinned, const char *measurement)
{
    const Change *change = g_task_get_task_data(task);
    const KhRecord *record = kh_instance_get_record(change->instance);
    GError *error = NULL;

    if (!kh_instance_configure(change->instance, pinned, change->changes, measurement,
                               change->caller, &error)) {
        g_task_return_error(task, error);
        return;
    }
    if (change->wants_default)
        kh_manager_set_default_image(self, kh_record_get_wanted(record)->image);
    kh_crash_point("set:default-noted");
    g_task_return_boolean(task, TRUE);
}

static void
on_change_measured(GObject *source, GAsyncResult *result, gpointer data)
{
    g_autoptr(GTask) task = data;
    KhManager *self = g_task_get_source_object(task);
    const Change *change = g_task_get_task_data(task);
    GError *error = NULL;
    g_autofree char *measurement = kh_expected_measurement_finish(result, &error);
    g_autoptr(KhConfig) pinned = NULL;

    if (measurement != NULL)
        pinned = check_pinned_change(self, change, change->measured->image, &error);
    if (pinned == NULL)
        g_task_return_error(task, error);
    else if (kh_config_measures_differently(pinned, change->measured))
        g_task_return_new_error(task, KH_ERROR, KH_ERROR_BUSY,
                                "\"%s\" was changed by another call at the same time; try again",
                                kh_instance_get_record(change->instance)->name);
    else
        configure(self, task, g_steal_pointer(&pinned), measurement);
    kh_image_pins_release(self->pins);
}

/* Takes @config, which has been checked: NULL, and @error, where it was refused. */
static void
apply_change(KhManager *self, GTask *task, KhConfig *config, GError *error)
{
    Change *change = g_task_get_task_data(task);
    const KhRecord *record = kh_instance_get_record(change->instance);
    g_autoptr(KhConfig) pinned = config;
    g_autofree char *measurement = NULL;

    if (pinned == NULL) {
        g_task_return_error(task, error);
        return;
    }
    measurement = g_strdup(pinned->tee ? kh_confidential_known_measurement(record, pinned) : "");
    if (measurement != NULL) {
        configure(self, task, g_steal_pointer(&pinned), measurement);
        return;
    }
    change->measured = g_steal_pointer(&pinned);
    kh_manager_measure(self, change->measured, record->id, on_change_measured, task);
}

static void
on_image_for_change(GObject *source, GAsyncResult *result, gpointer data)
{
    g_autoptr(GTask) task = data;
    KhManager *self = g_task_get_source_object(task);
    KhConfig *config = NULL;
    GError *error = NULL;
    g_autofree char *image = kh_image_store_import_finish(KH_IMAGE_STORE(source), result, &error);

    if (image != NULL) {
        kh_crash_point("set:image-imported");
        config = check_pinned_change(self, g_task_get_task_data(task), image, &error);
    }
    apply_change(self, task, config, error);
    kh_image_pins_release(self->pins);
}

void
kh_manager_configure_async(KhManager *self, KhInstance *instance, GVariant *changes,
                           gboolean may_expose, guint32 caller, GAsyncReadyCallback callback,
                           gpointer user_data)
{
    g_autoptr(GTask) task = g_task_new(self, NULL, callback, user_data);
    Change *change = g_new0(Change, 1);
    KhConfig *config = NULL;
    GError *error = NULL;

    change->instance = g_object_ref(instance);
    change->changes = g_variant_ref(changes);
    change->may_expose = may_expose;
    change->caller = caller;
    g_task_set_source_tag(task, kh_manager_configure_async);
    g_task_set_task_data(task, change, change_free);
    if (kh_instance_check(instance, KH_OPERATION_CONFIGURE, &error) != KH_ADMISSION_REFUSE)
        config = check_change(self, change, &error);
    change->wants_default = config != NULL && kh_manager_wants_default_image(config);
    if (change->wants_default) {
        kh_config_unref(config);
        kh_manager_import(self, on_image_for_change, task);
    } else {
        config = check_confidential(self, change, config, &error);
        apply_change(self, task, config, error);
    }
}

gboolean
kh_manager_configure_finish(KhManager *self, GAsyncResult *result, GError **error)
{
    return g_task_propagate_boolean(G_TASK(result), error);
}
