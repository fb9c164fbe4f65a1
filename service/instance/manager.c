/* SPDX-License-Identifier: MIT */
/* All instances; see manager.h. */
#include "manager.h"

#include <string.h>

#include "crash-point.h"
#include "error.h"
#include "expected-measurement.h"
#include "leaks.h"
#include "log.h"
#include "state/instance-dir.h"

#define PREFIX_MIN 4
#define SETTING_DEFAULT_IMAGE "default-image"

struct _KhManager {
    GObject parent_instance;
    const KhHost *host;
    GPtrArray *instances; /* oldest first */
    char *default_image;  /* as it stands in the store; NULL for none */
    guint importing;      /* imports under way, each for an instance to be */
    gboolean drop_later;  /* images, when they have ended */
};

G_DEFINE_FINAL_TYPE(KhManager, kh_manager, G_TYPE_OBJECT)

enum { SIGNAL_ADDED, SIGNAL_REMOVED, SIGNAL_CHANGED, N_SIGNALS };

static guint signals[N_SIGNALS];

static void
kh_manager_dispose(GObject *object)
{
    KhManager *self = KH_MANAGER(object);

    for (guint i = 0; i < self->instances->len; i++)
        g_signal_handlers_disconnect_by_data(self->instances->pdata[i], self);
    g_ptr_array_set_size(self->instances, 0);
    G_OBJECT_CLASS(kh_manager_parent_class)->dispose(object);
}

static void
kh_manager_finalize(GObject *object)
{
    g_ptr_array_unref(KH_MANAGER(object)->instances);
    g_free(KH_MANAGER(object)->default_image);
    G_OBJECT_CLASS(kh_manager_parent_class)->finalize(object);
}

static void
kh_manager_class_init(KhManagerClass *class)
{
    GType type = KH_TYPE_MANAGER;

    G_OBJECT_CLASS(class)->dispose = kh_manager_dispose;
    G_OBJECT_CLASS(class)->finalize = kh_manager_finalize;
    signals[SIGNAL_ADDED] = g_signal_new("added", type, G_SIGNAL_RUN_LAST, 0, NULL, NULL, NULL,
                                         G_TYPE_NONE, 1, KH_TYPE_INSTANCE);
    signals[SIGNAL_REMOVED] = g_signal_new("removed", type, G_SIGNAL_RUN_LAST, 0, NULL, NULL, NULL,
                                           G_TYPE_NONE, 1, KH_TYPE_INSTANCE);
    signals[SIGNAL_CHANGED] =
        g_signal_new("changed", type, G_SIGNAL_RUN_LAST, 0, NULL, NULL, NULL, G_TYPE_NONE, 0);
}

static void
kh_manager_init(KhManager *self)
{
    self->instances = g_ptr_array_new_with_free_func(g_object_unref);
}

KhManager *
kh_manager_new(const KhHost *host)
{
    KhManager *self = g_object_new(KH_TYPE_MANAGER, NULL);

    self->host = host;
    return self;
}

GPtrArray *
kh_manager_users_of_image(KhManager *self, const char *image)
{
    g_autoptr(GPtrArray) users = g_ptr_array_new();

    for (guint i = 0; i < self->instances->len; i++)
        if (kh_record_uses_image(kh_instance_get_record(self->instances->pdata[i]), image))
            g_ptr_array_add(users, self->instances->pdata[i]);
    return g_steal_pointer(&users);
}

const char *
kh_manager_get_default_image(KhManager *self)
{
    return self->default_image;
}

/*
 * Images that nobody uses and that are not the default go with their last instance. Which one
 * an import under way will come to is not known before its end.
 */
static void
drop_unused_image(KhManager *self, const char *image)
{
    g_autoptr(GPtrArray) users = kh_manager_users_of_image(self, image);

    if (users->len > 0 || g_strcmp0(image, self->default_image) == 0)
        return;
    if (self->importing > 0)
        self->drop_later = TRUE;
    else if (!kh_store_uses_image(self->host->store, image))
        kh_image_store_remove(self->host->images, image);
}

static void
drop_unused_images(KhManager *self)
{
    g_autoptr(GPtrArray) images = kh_image_store_list(self->host->images);

    for (guint i = 0; i < images->len; i++)
        drop_unused_image(self, images->pdata[i]);
}

static void
import_boot_components(KhManager *self, GAsyncReadyCallback callback, GTask *task)
{
    self->importing++;
    kh_image_store_import_async(self->host->images, self->host->boot_components, NULL, callback,
                                g_object_ref(task));
}

/* After what came of it has been pinned to an instance, or has come to nothing. */
static void
import_is_over(KhManager *self)
{
    self->importing--;
    if (self->importing > 0 || !self->drop_later)
        return;
    self->drop_later = FALSE;
    drop_unused_images(self);
}

/* A machine that has ended may have been the last to use an image that was configured away. */
static void
on_instance_changed(KhInstance *instance, KhManager *self)
{
    KhState state = kh_instance_get_record(instance)->state;

    if (state == KH_STATE_STOPPED || state == KH_STATE_FAILED)
        drop_unused_images(self);
    g_signal_emit(self, signals[SIGNAL_CHANGED], 0);
}

static void
on_instance_gone(KhInstance *instance, KhManager *self)
{
    g_autoptr(KhInstance) held = g_object_ref(instance);

    g_signal_handlers_disconnect_by_data(instance, self);
    g_ptr_array_remove(self->instances, instance);
    g_signal_emit(self, signals[SIGNAL_REMOVED], 0, instance);
    drop_unused_images(self);
    g_signal_emit(self, signals[SIGNAL_CHANGED], 0);
}

static KhInstance *
add(KhManager *self, KhRecord *record)
{
    KhInstance *instance = kh_instance_new(self->host, record);

    g_ptr_array_add(self->instances, instance);
    g_signal_connect(instance, "changed", G_CALLBACK(on_instance_changed), self);
    g_signal_connect(instance, "gone", G_CALLBACK(on_instance_gone), self);
    g_signal_emit(self, signals[SIGNAL_ADDED], 0, instance);
    return instance;
}

/* A create that was cut off has a row, no whole folder, and nobody who knows of it. */
static gboolean
is_half_made(KhManager *self, const KhRecord *record)
{
    int instances = kh_state_dir_instances_fd(self->host->state_dir);

    return record->state == KH_STATE_CREATED &&
           kh_instance_dir_drop_half_made(instances, record->id, record->vm_uid);
}

static void
load_one(KhManager *self, KhRecord *record)
{
    if (!is_half_made(self, record)) {
        add(self, record);
        return;
    }
    kh_log_instance(record, G_LOG_LEVEL_MESSAGE, "its creation was cut off, and is taken back");
    kh_store_remove(self->host->store, record->id, NULL);
    kh_record_free(record);
}

gboolean
kh_manager_load(KhManager *self, GError **error)
{
    g_autoptr(GPtrArray) records = kh_store_load(self->host->store, error);

    if (records == NULL)
        return FALSE;
    self->default_image = kh_store_get_setting(self->host->store, SETTING_DEFAULT_IMAGE);
    g_ptr_array_set_free_func(records, NULL);
    for (guint i = 0; i < records->len; i++)
        load_one(self, records->pdata[i]);
    kh_leaks_drop(self->host);
    drop_unused_images(self);
    return TRUE;
}

GPtrArray *
kh_manager_list(KhManager *self)
{
    return self->instances;
}

guint
kh_manager_count_running(KhManager *self)
{
    guint running = 0;

    for (guint i = 0; i < self->instances->len; i++)
        if (kh_instance_get_record(self->instances->pdata[i])->state == KH_STATE_RUNNING)
            running++;
    return running;
}

static KhInstance *
find_exactly(KhManager *self, const char *name_or_id)
{
    KhInstance *by_id = NULL;

    for (guint i = 0; i < self->instances->len; i++) {
        const KhRecord *record = kh_instance_get_record(self->instances->pdata[i]);

        if (g_str_equal(record->name, name_or_id))
            return self->instances->pdata[i];
        if (g_str_equal(record->id, name_or_id))
            by_id = self->instances->pdata[i];
    }
    return by_id;
}

static KhInstance *
find_by_prefix(KhManager *self, const char *prefix, GError **error)
{
    KhInstance *found = NULL;

    for (guint i = 0; strlen(prefix) >= PREFIX_MIN && i < self->instances->len; i++) {
        const KhRecord *record = kh_instance_get_record(self->instances->pdata[i]);

        if (!g_str_has_prefix(record->id, prefix))
            continue;
        if (found != NULL) {
            g_set_error(error, KH_ERROR, KH_ERROR_ALREADY_EXISTS,
                        "\"%s\" begins the id of several instances; give more of it", prefix);
            return NULL;
        }
        found = self->instances->pdata[i];
    }
    if (found == NULL) {
        g_autofree char *shown = kh_text_sanitize(prefix, 80);

        g_set_error(error, KH_ERROR, KH_ERROR_NOT_FOUND,
                    "There is no instance \"%s\"; see the list", shown);
    }
    return found;
}

KhInstance *
kh_manager_find(KhManager *self, const char *name_or_id, GError **error)
{
    KhInstance *found = find_exactly(self, name_or_id);

    return found != NULL ? found : find_by_prefix(self, name_or_id, error);
}

static gboolean
check_name_is_free(KhManager *self, const char *name, GError **error)
{
    for (guint i = 0; i < self->instances->len; i++)
        if (g_str_equal(kh_instance_get_record(self->instances->pdata[i])->name, name)) {
            g_set_error(error, KH_ERROR, KH_ERROR_ALREADY_EXISTS,
                        "There is an instance \"%s\" already; choose another name", name);
            return FALSE;
        }
    return TRUE;
}

static gboolean
check_count(KhManager *self, GError **error)
{
    if (self->instances->len < self->host->max_instances)
        return TRUE;
    g_set_error(error, KH_ERROR, KH_ERROR_LIMIT_EXCEEDED,
                "There are %u instances, as many as max-instances allows; delete one",
                self->instances->len);
    return FALSE;
}

static gboolean
is_default_image(const KhConfig *config)
{
    return g_str_equal(config->image, KH_CONFIG_IMAGE_DEFAULT);
}

static gboolean
check_image(KhManager *self, const KhConfig *config, GError **error)
{
    if (is_default_image(config) || kh_image_store_find(self->host->images, config->image) != NULL)
        return TRUE;
    g_set_error(error, KH_ERROR, KH_ERROR_NOT_FOUND, "There is no image %s", config->image);
    return FALSE;
}

/* The configuration with its port; what create and validate have in common. */
static KhConfig *
check_request(KhManager *self, const char *name, GVariant *dict, const KhOverrides *overrides,
              GError **error)
{
    g_autoptr(KhConfig) config = kh_config_new(dict, &self->host->limits, error);
    guint16 port;

    if (config == NULL || (name[0] != '\0' && !check_name_is_free(self, name, error)) ||
        !check_image(self, config, error) || !check_count(self, error) ||
        !kh_confidential_check_host(self->host, config, overrides, error))
        return NULL;
    port = kh_port_choose(self->host->store, &self->host->ports, config->rpc_address,
                          config->rpc_port, error);
    return port == 0 ? NULL : kh_config_with(config, "rpc-port", g_variant_new_uint16(port));
}

GVariant *
kh_manager_validate(KhManager *self, const char *name, GVariant *dict, GError **error)
{
    const KhOverrides none = {FALSE, FALSE};
    g_autoptr(KhConfig) config = NULL;

    if (name[0] != '\0' && !kh_name_check(name, error))
        return NULL;
    config = check_request(self, name, dict, &none, error);
    return config == NULL ? NULL : g_variant_ref(config->dict);
}

typedef struct {
    char *id; /* never used again */
    char *name;
    GVariant *config;
    KhOverrides overrides;
    guint32 owner_uid;
    char *image;            /* once it is known */
    gboolean wants_default; /* today's boot components */
} Request;

static void
request_free(gpointer data)
{
    Request *request = data;

    g_free(request->id);
    g_free(request->name);
    g_free(request->image);
    g_variant_unref(request->config);
    g_free(request);
}

static KhRecord *
new_record(KhManager *self, const Request *request, const char *measurement, GError **error)
{
    g_autoptr(KhConfig) config =
        check_request(self, request->name, request->config, &request->overrides, error);
    KhRecord *record;

    if (config == NULL)
        return NULL;
    record = kh_record_new();
    record->id = g_strdup(request->id);
    record->name = g_strdup(request->name);
    record->config = kh_config_with(config, "image", g_variant_new_string(request->image));
    g_free(record->measurement);
    record->measurement = g_strdup(measurement);
    record->owner_uid = request->owner_uid;
    record->created_usec = g_get_real_time();
    return record;
}

/* The row with its claims, then the folder; both or none. */
static gboolean
claim(KhManager *self, const KhRecord *record, GError **error)
{
    int instances = kh_state_dir_instances_fd(self->host->state_dir);

    if (!kh_store_insert(self->host->store, record, error))
        return FALSE;
    kh_crash_point("create:row-inserted");
    if (kh_instance_dir_create(instances, record->id, record->vm_uid, error)) {
        kh_crash_point("create:folder-made");
        return TRUE;
    }
    kh_store_remove(self->host->store, record->id, NULL);
    return FALSE;
}

/* Port and uid are looked for, then claimed with the row: nothing runs in between. */
static KhInstance *
create_now(KhManager *self, const Request *request, const char *measurement, GError **error)
{
    g_autoptr(KhRecord) record = new_record(self, request, measurement, error);
    KhUidPool *uids = self->host->uids;

    if (record == NULL)
        return NULL;
    if (uids != NULL && (record->vm_uid = kh_uid_pool_claim(uids, error)) < 0)
        return NULL;
    kh_crash_point("create:uid-claimed");
    if (!claim(self, record, error)) {
        if (uids != NULL)
            kh_uid_pool_release(uids, (guint32)record->vm_uid);
        return NULL;
    }
    kh_log_instance(record, G_LOG_LEVEL_MESSAGE, "created for uid %u, port %u", record->owner_uid,
                    record->config->rpc_port);
    return add(self, g_steal_pointer(&record));
}

static void
set_default_image(KhManager *self, const char *image)
{
    g_autofree char *before = NULL;
    g_autoptr(GError) error = NULL;

    if (g_strcmp0(self->default_image, image) == 0)
        return;
    if (!kh_store_set_setting(self->host->store, SETTING_DEFAULT_IMAGE, image, &error)) {
        g_warning("The default image was not saved: %s", error->message);
        return;
    }
    before = g_steal_pointer(&self->default_image);
    self->default_image = g_strdup(image);
    if (before != NULL)
        drop_unused_image(self, before);
    g_signal_emit(self, signals[SIGNAL_CHANGED], 0);
}

/* Creates the instance of @task's request, pinned to its image. */
static void
finish_creation(KhManager *self, GTask *task, const char *measurement)
{
    const Request *request = g_task_get_task_data(task);
    const char *image = request->image;
    GError *error = NULL;
    KhInstance *instance = create_now(self, request, measurement, &error);

    if (instance == NULL) {
        drop_unused_image(self, image);
        g_task_return_error(task, error);
        return;
    }
    if (request->wants_default)
        set_default_image(self, image);
    kh_crash_point("create:default-noted");
    g_task_return_pointer(task, g_object_ref(instance), g_object_unref);
}

static void
on_measured(GObject *source, GAsyncResult *result, gpointer data)
{
    g_autoptr(GTask) task = data;
    KhManager *self = g_task_get_source_object(task);
    const Request *request = g_task_get_task_data(task);
    GError *error = NULL;
    g_autofree char *measurement = kh_expected_measurement_finish(result, &error);

    if (measurement != NULL) {
        finish_creation(self, task, measurement);
    } else {
        drop_unused_image(self, request->image);
        g_task_return_error(task, error);
    }
    import_is_over(self);
}

/* The image counts as being imported until it is pinned: nobody else uses it yet. */
static void
measure(KhManager *self, const KhConfig *config, const char *id, GAsyncReadyCallback callback,
        GTask *task)
{
    self->importing++;
    kh_confidential_measure_async(self->host, config, id, callback, g_object_ref(task));
}

/* Goes on with @image: at once, or once a confidential one's measurement is known. */
static void
pin(KhManager *self, GTask *task, const char *image)
{
    Request *request = g_task_get_task_data(task);
    g_autoptr(KhConfig) config = NULL;
    g_autoptr(KhConfig) pinned = NULL;
    GError *error = NULL;

    request->image = g_strdup(image);
    config = check_request(self, request->name, request->config, &request->overrides, &error);
    if (config != NULL)
        pinned = kh_config_with(config, "image", g_variant_new_string(image));
    if (pinned == NULL || !kh_confidential_check_image(self->host, pinned, &error)) {
        drop_unused_image(self, image);
        g_task_return_error(task, error);
    } else if (pinned->tee) {
        measure(self, pinned, request->id, on_measured, task);
    } else {
        finish_creation(self, task, "");
    }
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
    import_is_over(self);
}

void
kh_manager_create_async(KhManager *self, const char *name, GVariant *config,
                        const KhOverrides *overrides, guint32 owner_uid,
                        GAsyncReadyCallback callback, gpointer user_data)
{
    g_autoptr(GTask) task = g_task_new(self, NULL, callback, user_data);
    Request *request = g_new0(Request, 1);
    g_autoptr(KhConfig) checked = NULL;
    GError *error = NULL;

    request->id = g_uuid_string_random();
    request->name = g_strdup(name);
    request->overrides = *overrides;
    request->config = g_variant_ref(config);
    request->owner_uid = owner_uid;
    g_task_set_source_tag(task, kh_manager_create_async);
    g_task_set_task_data(task, request, request_free);
    /* Before the image is read; once more after it, when things may have changed. */
    if (!kh_name_check(name, &error) ||
        (checked = check_request(self, name, config, overrides, &error)) == NULL) {
        g_task_return_error(task, error);
        return;
    }
    request->wants_default = is_default_image(checked);
    if (request->wants_default)
        import_boot_components(self, on_imported, task);
    else
        pin(self, task, checked->image);
}

KhInstance *
kh_manager_create_finish(KhManager *self, GAsyncResult *result, GError **error)
{
    return g_task_propagate_pointer(G_TASK(result), error);
}

/* A change on its way; the instance may have been changed or deleted meanwhile. */
typedef struct {
    KhInstance *instance;
    GVariant *changes;
    KhConfig *measured; /* what is being measured; else NULL */
} Change;

static void
change_free(gpointer data)
{
    Change *change = data;

    g_object_unref(change->instance);
    g_variant_unref(change->changes);
    kh_config_free(change->measured);
    g_free(change);
}

/* The port stays, or is chosen anew; @config is replaced. */
static gboolean
choose_new_port(KhManager *self, const KhRecord *record, KhConfig **config, GError **error)
{
    KhConfig *before = *config;
    guint16 port = before->rpc_port;

    if (port == record->config->rpc_port || port == kh_record_get_wanted(record)->rpc_port)
        return TRUE;
    port = kh_port_choose(self->host->store, &self->host->ports, before->rpc_address, port, error);
    if (port == 0)
        return FALSE;
    *config = kh_config_with(before, "rpc-port", g_variant_new_uint16(port));
    kh_config_free(before);
    return TRUE;
}

static gboolean
check_storage(const KhRecord *record, const KhConfig *config, GError **error)
{
    gboolean down = record->state == KH_STATE_CREATED || record->state == KH_STATE_STOPPED ||
                    record->state == KH_STATE_FAILED;

    if (config->storage_bytes == kh_record_get_wanted(record)->storage_bytes ||
        (!record->formatted && down))
        return TRUE;
    g_set_error(error, KH_ERROR, KH_ERROR_NOT_SUPPORTED,
                "The data disk of \"%s\" has its size since its first start; storage-bytes cannot "
                "be changed any more",
                record->name);
    return FALSE;
}

/* The whole configuration that @change asks for. */
static KhConfig *
check_change(KhManager *self, const Change *change, GError **error)
{
    const KhRecord *record = kh_instance_get_record(change->instance);
    g_autoptr(GVariant) merged = kh_config_merge(kh_record_get_wanted(record), change->changes);
    g_autoptr(KhConfig) config = kh_config_new(merged, &self->host->limits, error);

    if (config == NULL || !check_image(self, config, error) ||
        !check_storage(record, config, error) || !choose_new_port(self, record, &config, error))
        return NULL;
    return g_steal_pointer(&config);
}

/* The same, pinned to @image, with what else a confidential instance asks for. */
static KhConfig *
check_pinned_change(KhManager *self, const Change *change, const char *image, GError **error)
{
    const KhRecord *record = kh_instance_get_record(change->instance);
    g_autoptr(KhConfig) config = check_change(self, change, error);
    g_autoptr(KhConfig) pinned = NULL;

    if (config != NULL)
        pinned = kh_config_with(config, "image", g_variant_new_string(image));
    if (pinned == NULL || !kh_confidential_check_change(record, pinned, error) ||
        !kh_confidential_check_image(self->host, pinned, error))
        return NULL;
    return g_steal_pointer(&pinned);
}

/* Takes @pinned. */
static void
configure(KhManager *self, GTask *task, KhConfig *pinned, const char *measurement)
{
    const Change *change = g_task_get_task_data(task);
    const KhRecord *record = kh_instance_get_record(change->instance);
    g_autofree char *before = g_strdup(record->config->image);
    GError *error = NULL;

    if (kh_instance_configure(change->instance, pinned, measurement, &error))
        g_task_return_boolean(task, TRUE);
    else
        g_task_return_error(task, error);
    drop_unused_image(self, before);
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
                                "Another change of \"%s\" came in between; try again",
                                kh_instance_get_record(change->instance)->name);
    else
        configure(self, task, g_steal_pointer(&pinned), measurement);
    import_is_over(self);
}

static void
apply_change(KhManager *self, GTask *task, const char *image)
{
    Change *change = g_task_get_task_data(task);
    const KhRecord *record = kh_instance_get_record(change->instance);
    GError *error = NULL;
    g_autoptr(KhConfig) pinned = check_pinned_change(self, change, image, &error);
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
    measure(self, change->measured, record->id, on_change_measured, task);
}

static void
on_image_for_change(GObject *source, GAsyncResult *result, gpointer data)
{
    g_autoptr(GTask) task = data;
    KhManager *self = g_task_get_source_object(task);
    GError *error = NULL;
    g_autofree char *image = kh_image_store_import_finish(KH_IMAGE_STORE(source), result, &error);

    if (image != NULL) {
        kh_crash_point("set:image-imported");
        set_default_image(self, image);
        kh_crash_point("set:default-noted");
        apply_change(self, task, image);
    } else {
        g_task_return_error(task, error);
    }
    import_is_over(self);
}

void
kh_manager_configure_async(KhManager *self, KhInstance *instance, GVariant *changes,
                           GAsyncReadyCallback callback, gpointer user_data)
{
    g_autoptr(GTask) task = g_task_new(self, NULL, callback, user_data);
    Change *change = g_new0(Change, 1);
    g_autoptr(KhConfig) config = NULL;
    GError *error = NULL;

    change->instance = g_object_ref(instance);
    change->changes = g_variant_ref(changes);
    g_task_set_source_tag(task, kh_manager_configure_async);
    g_task_set_task_data(task, change, change_free);
    if (kh_instance_check(instance, KH_OPERATION_CONFIGURE, &error) == KH_ADMISSION_REFUSE ||
        (config = check_change(self, change, &error)) == NULL)
        g_task_return_error(task, error);
    else if (is_default_image(config))
        import_boot_components(self, on_image_for_change, task);
    else
        apply_change(self, task, config->image);
}

gboolean
kh_manager_configure_finish(KhManager *self, GAsyncResult *result, GError **error)
{
    return g_task_propagate_boolean(G_TASK(result), error);
}
