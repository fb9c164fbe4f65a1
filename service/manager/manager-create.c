/* SPDX-License-Identifier: MIT */
/*
 * How an instance comes to be: checked, its boot components imported, measured where it is
 * confidential, checked for what has changed meanwhile, then claimed with all that is its own; or
 * nothing of it. Called by the manager's bus object.
 */
#include "manager-private.h"

#include "crash-point.h"
#include "descriptors.h"
#include "error.h"
#include "machine/host-context.h"
#include "confidential/expected-measurement.h"
#include "log/instance-log.h"
#include "model/config-checks.h"
#include "port/registry.h"
#include "state/instance-dir-making.h"
#include "state/instance-dir-removal.h"

/* For a while: the parts of an image, a port, what asks QEMU for its processors. */
#define CREATE_DESCRIPTORS 8

static gboolean
check_name_is_free(KhManager *self, const char *name, GError **error)
{
    if (kh_manager_find_name(self, name) == NULL)
        return TRUE;
    return kh_error_set(error, KH_ERROR_ALREADY_EXISTS,
                        "There is already an instance \"%s\"; choose another name", name);
}

static gboolean
check_count(KhManager *self, GError **error)
{
    if (self->instances->len < self->machines->settings->max_instances)
        return TRUE;
    return kh_error_set(
        error, KH_ERROR_LIMIT_EXCEEDED,
        "There are %u instances, as many as max-instances allows; delete one, or set more "
        "in %s and restart the service (10000 at most)",
        self->instances->len, self->machines->settings->config_file);
}

/* What other calls change while an image is read; the rest of a request is checked once. */
static gboolean
check_room(KhManager *self, const char *name, const KhConfig *config, GError **error)
{
    return (name[0] == '\0' || check_name_is_free(self, name, error)) && check_count(self, error) &&
           kh_manager_check_labels(self, config, NULL, error);
}

/* @config with its port; that changes, too. */
static KhConfig *
with_port(KhManager *self, const KhConfig *config, GError **error)
{
    const KhSettings *settings = self->machines->settings;
    guint16 port = kh_port_choose(self->store, &settings->ports, config->rpc_address,
                                  config->rpc_port, settings->config_file, error);

    return port == 0 ? NULL : kh_config_with(config, "rpc-port", g_variant_new_uint16(port));
}

/* The host is described only for who needs that: it is looked at for it. */
static gboolean
check_host(KhManager *self, const KhConfig *config, const KhOverrides *overrides, GError **error)
{
    g_autoptr(KhCheckContext) context = NULL;

    if (!config->tee)
        return TRUE;
    context = kh_host_context_new(self->machines);
    return kh_confidential_check_host(context, self->machines->settings, config, overrides, error);
}

/* The configuration that is asked for; what create and validate have in common. */
static KhConfig *
check_request(KhManager *self, const char *name, GVariant *dict, const KhOverrides *overrides,
              GError **error)
{
    g_autoptr(KhConfig) config = kh_config_new(dict, &self->machines->facts->limits, error);

    if (config == NULL || !kh_descriptors_check(CREATE_DESCRIPTORS, error) ||
        !kh_manager_check_database(self, error) || !check_room(self, name, config, error) ||
        !kh_manager_check_image(self, config, error) || !check_host(self, config, overrides, error))
        return NULL;
    return g_steal_pointer(&config);
}

GVariant *
kh_manager_validate(KhManager *self, const char *name, GVariant *dict, GError **error)
{
    const KhOverrides none = {FALSE, FALSE};
    g_autoptr(KhConfig) config = NULL;
    g_autoptr(KhConfig) placed = NULL;

    if (name[0] != '\0' && !kh_name_check(name, error))
        return NULL;
    config = check_request(self, name, dict, &none, error);
    if (config != NULL)
        placed = with_port(self, config, error);
    return placed == NULL ? NULL : g_variant_ref(placed->dict);
}

typedef struct {
    char *id; /* never used again */
    char *name;
    KhConfig *config; /* checked, and pinned to its image once that is known */
    guint32 owner_uid;
    char *measurement;      /* of a confidential one, then; else "" */
    GHashTable *running;    /* a look at all processes, where it gets a uid of its own */
    gboolean wants_default; /* today's boot components */
} Request;

static void
request_free(gpointer data)
{
    Request *request = data;

    g_free(request->id);
    g_free(request->name);
    g_free(request->measurement);
    g_clear_pointer(&request->config, kh_config_unref);
    g_clear_pointer(&request->running, g_hash_table_unref);
    g_free(request);
}

static KhRecord *
new_record(KhManager *self, const Request *request, GError **error)
{
    g_autoptr(KhConfig) config = NULL;
    KhRecord *record;

    if (!check_room(self, request->name, request->config, error) ||
        (config = with_port(self, request->config, error)) == NULL)
        return NULL;
    record = kh_record_new();
    record->id = g_strdup(request->id);
    record->name = g_strdup(request->name);
    record->config = g_steal_pointer(&config);
    g_free(record->measurement);
    record->measurement = g_strdup(request->measurement);
    record->owner_uid = request->owner_uid;
    record->caller_uid = request->owner_uid;
    record->created_usec = record->state_changed_usec = g_get_real_time();
    return record;
}

/* Where the row cannot be removed either, it is taken back by the next service. */
static void
take_back(KhManager *self, const KhRecord *record)
{
    kh_instance_dir_remove(kh_state_dir_instances_fd(self->machines->state_dir), record->id, NULL,
                           NULL);
    kh_store_remove(self->store, record->id, NULL);
}

/* The marked row with its claims, then the folder, then the mark goes; all or nothing. */
static gboolean
claim(KhManager *self, KhRecord *record, GError **error)
{
    int instances = kh_state_dir_instances_fd(self->machines->state_dir);

    if (!kh_store_insert(self->store, record, error))
        return FALSE;
    kh_crash_point("create:row-inserted");
    if (kh_instance_dir_create(instances, record->id, record->vm_uid, error)) {
        kh_crash_point("create:folder-made");
        if (kh_store_finish_making(self->store, record->id, error)) {
            kh_crash_point("create:finished");
            return TRUE;
        }
    }
    take_back(self, record);
    return FALSE;
}

/* Port and uid are chosen, then claimed with the row: nothing runs in between. */
static KhInstance *
create_now(KhManager *self, const Request *request, GError **error)
{
    g_autoptr(KhRecord) record = new_record(self, request, error);
    KhUidPool *uids = self->machines->uids;

    if (record == NULL)
        return NULL;
    if (uids != NULL && (record->vm_uid = kh_uid_pool_claim(uids, request->running, error)) < 0)
        return NULL;
    kh_crash_point("create:uid-claimed");
    if (!claim(self, record, error)) {
        if (uids != NULL)
            kh_uid_pool_release(uids, (guint32)record->vm_uid);
        return NULL;
    }
    kh_log_instance(record, G_LOG_LEVEL_MESSAGE, "created for uid %u, port %u", record->owner_uid,
                    record->config->rpc_port);
    record->caller_uid = -1;
    return kh_manager_add(self, g_steal_pointer(&record));
}

static void
finish_creation(KhManager *self, GTask *task)
{
    const Request *request = g_task_get_task_data(task);
    GError *error = NULL;
    KhInstance *instance = create_now(self, request, &error);

    if (instance == NULL) {
        g_task_return_error(task, error);
        return;
    }
    if (request->wants_default)
        kh_manager_set_default_image(self, request->config->image);
    kh_crash_point("create:default-noted");
    g_task_return_pointer(task, g_object_ref(instance), g_object_unref);
}

static gboolean
on_next_creation(gpointer data)
{
    KhManager *self = data;
    g_autoptr(GTask) task = g_queue_peek_head(&self->creations);

    finish_creation(self, task);
    kh_image_pins_release(self->pins);
    g_queue_pop_head(&self->creations);
    return !g_queue_is_empty(&self->creations);
}

/*
 * Each waits for the disk four times: others are answered between one and the next, however many
 * are created at once. Takes @task.
 */
static void
finish_in_turn(KhManager *self, GTask *task)
{
    g_queue_push_tail(&self->creations, task);
    if (self->creations.length == 1)
        g_idle_add_full(G_PRIORITY_DEFAULT, on_next_creation, self, NULL);
}

static void
on_looked(GObject *source, GAsyncResult *result, gpointer data)
{
    GTask *task = data;
    Request *request = g_task_get_task_data(task);

    request->running = kh_uid_pool_look_finish(KH_UID_POOL(source), result);
    finish_in_turn(g_task_get_source_object(task), task);
}

/* Takes @measurement. */
static void
look_for_uid(KhManager *self, GTask *task, char *measurement)
{
    Request *request = g_task_get_task_data(task);

    request->measurement = measurement;
    kh_image_pins_hold(self->pins);
    if (self->machines->uids != NULL)
        kh_uid_pool_look_async(self->machines->uids, on_looked, g_object_ref(task));
    else
        finish_in_turn(self, g_object_ref(task));
}

static void
on_measured(GObject *source, GAsyncResult *result, gpointer data)
{
    g_autoptr(GTask) task = data;
    KhManager *self = g_task_get_source_object(task);
    GError *error = NULL;
    char *measurement = kh_expected_measurement_finish(result, &error);

    if (measurement != NULL)
        look_for_uid(self, task, measurement);
    else
        g_task_return_error(task, error);
    kh_image_pins_release(self->pins);
}

/* Goes on with @image: at once, or once a confidential one's measurement is known. */
static void
pin(KhManager *self, GTask *task, const char *image)
{
    Request *request = g_task_get_task_data(task);
    g_autoptr(KhConfig) config = request->config;
    GError *error = NULL;

    request->config = kh_config_with(config, "image", g_variant_new_string(image));
    if (!kh_confidential_check_image(self->machines->images, request->config, &error))
        g_task_return_error(task, error);
    else if (request->config->tee)
        kh_manager_measure(self, request->config, request->id, on_measured, task);
    else
        look_for_uid(self, task, g_strdup(""));
}

static void
on_imported(GObject *source, GAsyncResult *result, gpointer data)
{
    g_autoptr(GTask) task = data;
    KhManager *self = g_task_get_source_object(task);
    g_autofree char *image = NULL;
    GError *error = NULL;

    image = kh_image_store_import_finish(KH_IMAGE_STORE(source), result, &error);
    kh_crash_point("create:image-imported");
    if (image != NULL)
        pin(self, task, image);
    else
        g_task_return_error(task, error);
    kh_image_pins_release(self->pins);
}

void
kh_manager_create_async(KhManager *self, const char *name, GVariant *config,
                        const KhOverrides *overrides, guint32 owner_uid,
                        GAsyncReadyCallback callback, gpointer user_data)
{
    g_autoptr(GTask) task = g_task_new(self, NULL, callback, user_data);
    Request *request = g_new0(Request, 1);
    g_autoptr(KhConfig) placed = NULL;
    GError *error = NULL;

    request->id = g_uuid_string_random();
    request->name = g_strdup(name);
    request->owner_uid = owner_uid;
    g_task_set_source_tag(task, kh_manager_create_async);
    g_task_set_task_data(task, request, request_free);
    if (!kh_name_check(name, &error) ||
        !kh_state_dir_check_writable(self->machines->state_dir, &error) ||
        (request->config = check_request(self, name, config, overrides, &error)) == NULL ||
        (placed = with_port(self, request->config, &error)) == NULL) {
        g_task_return_error(task, error);
        return;
    }
    request->wants_default = kh_manager_wants_default_image(request->config);
    if (request->wants_default)
        kh_manager_import(self, on_imported, task);
    else
        pin(self, task, placed->image);
}

KhInstance *
kh_manager_create_finish(KhManager *self, GAsyncResult *result, GError **error)
{
    return g_task_propagate_pointer(G_TASK(result), error);
}
