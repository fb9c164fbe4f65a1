/* SPDX-License-Identifier: MIT */
/* All instances; see manager.h. */
#include "manager-private.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "error.h"
#include "journal.h"
#include "state/instance-dir-removal.h"
#include "uid/uid-processes.h"
#include "leftovers.h"
#include "log/instance-log.h"

#define PREFIX_MIN 4
/*
 * Of all labels and descriptions together, in bytes. An instance without any has 2 kB in
 * GetManagedObjects, so 10,000 have 20 MB of the 32 MiB that the bus takes in one message
 * (dbus-daemon(1)); what is left is for messages of errors.
 */
#define LABELS_BYTES_MAX (4u * 1024 * 1024)

G_DEFINE_FINAL_TYPE(KhManager, kh_manager, G_TYPE_OBJECT)

enum { SIGNAL_ADDED, SIGNAL_REMOVED, SIGNAL_CHANGED, SIGNAL_IMAGE_USERS, N_SIGNALS };

static guint signals[N_SIGNALS];

static void
kh_manager_dispose(GObject *object)
{
    KhManager *self = KH_MANAGER(object);

    for (guint i = 0; i < self->instances->len; i++)
        g_signal_handlers_disconnect_by_data(self->instances->pdata[i], self);
    g_hash_table_remove_all(self->by_name);
    g_tree_remove_all(self->by_id);
    g_ptr_array_set_size(self->instances, 0);
    G_OBJECT_CLASS(kh_manager_parent_class)->dispose(object);
}

static void
kh_manager_finalize(GObject *object)
{
    KhManager *self = KH_MANAGER(object);

    g_ptr_array_unref(self->instances);
    g_hash_table_unref(self->by_name);
    g_tree_unref(self->by_id);
    g_clear_pointer(&self->pins, kh_image_pins_free);
    g_hash_table_unref(self->shares);
    g_clear_pointer(&self->strangers, kh_strangers_free);
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
    signals[SIGNAL_IMAGE_USERS] = g_signal_new("image-users", type, G_SIGNAL_RUN_LAST, 0, NULL,
                                               NULL, NULL, G_TYPE_NONE, 1, G_TYPE_STRING);
}

static int
compare_ids(gconstpointer a, gconstpointer b, gpointer data)
{
    return strcmp(a, b);
}

static void
kh_manager_init(KhManager *self)
{
    self->instances = g_ptr_array_new_with_free_func(g_object_unref);
    self->by_name = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    self->by_id = g_tree_new_full(compare_ids, NULL, g_free, NULL);
    self->shares = g_hash_table_new_full(NULL, NULL, NULL, g_free);
}

KhManager *
kh_manager_new(const KhMachines *machines, KhStore *store, KhJobs *jobs, KhShutdown *shutdown)
{
    KhManager *self = g_object_new(KH_TYPE_MANAGER, NULL);

    self->machines = machines;
    self->store = store;
    self->jobs = jobs;
    self->shutdown = shutdown;
    self->pins = kh_image_pins_new(store, machines->images, machines->state_dir);
    return self;
}

const GPtrArray *
kh_manager_users_of_image(KhManager *self, const char *image)
{
    return kh_image_pins_list(self->pins, image);
}

const char *
kh_manager_get_default_image(KhManager *self)
{
    return kh_image_pins_get_default(self->pins);
}

void
kh_manager_import(KhManager *self, GAsyncReadyCallback callback, GTask *task)
{
    kh_image_pins_hold(self->pins);
    kh_image_store_import_async(self->machines->images, self->machines->settings->boot_components,
                                NULL, callback, g_object_ref(task));
}

/* What an instance adds to the sums of all, so that nobody has to visit them. */
typedef struct {
    guint running, labels_bytes;
} Share;

static void
take_share(KhManager *self, KhInstance *instance)
{
    const Share *share = g_hash_table_lookup(self->shares, instance);

    if (share == NULL)
        return;
    self->running -= share->running;
    self->labels_bytes -= share->labels_bytes;
    g_hash_table_remove(self->shares, instance);
}

/* What is counted of @instance; the images that others are pinned to by that. */
static char **
count(KhManager *self, KhInstance *instance)
{
    const KhRecord *record = kh_instance_get_record(instance);
    const KhConfig *wanted = kh_record_get_wanted(record);
    Share share = {record->state == KH_STATE_RUNNING ? 1 : 0, wanted->labels_bytes};

    take_share(self, instance);
    self->running += share.running;
    self->labels_bytes += share.labels_bytes;
    g_hash_table_insert(self->shares, instance, g_memdup2(&share, sizeof share));
    return kh_image_pins_note(self->pins, instance, record->config->image, wanted->image);
}

static void
tell_of_image_users(KhManager *self, char **images)
{
    for (; *images != NULL; images++)
        g_signal_emit(self, signals[SIGNAL_IMAGE_USERS], 0, *images);
}

/* It may have been the last to use an image that was configured away. */
static void
on_instance_changed(KhInstance *instance, KhAspects aspects, KhManager *self)
{
    g_auto(GStrv) images = count(self, instance);

    kh_image_pins_drop_unused(self->pins);
    tell_of_image_users(self, images);
    g_signal_emit(self, signals[SIGNAL_CHANGED], 0);
}

static void
note_name(KhManager *self, KhInstance *instance)
{
    const char *name = kh_instance_get_record(instance)->name;

    if (!g_hash_table_contains(self->by_name, name))
        g_hash_table_insert(self->by_name, g_strdup(name), instance);
    else
        self->namesakes = TRUE;
}

/* It is in the list no more; who else has its name is found by that from now on. */
static void
forget_name(KhManager *self, KhInstance *instance)
{
    const KhRecord *record = kh_instance_get_record(instance);

    g_tree_remove(self->by_id, record->id);
    if (kh_manager_find_name(self, record->name) != instance)
        return;
    g_hash_table_remove(self->by_name, record->name);
    for (guint i = 0; self->namesakes && i < self->instances->len; i++)
        if (g_str_equal(kh_instance_get_record(self->instances->pdata[i])->name, record->name))
            note_name(self, self->instances->pdata[i]);
}

static void
forget(KhManager *self, KhInstance *instance)
{
    g_autoptr(KhInstance) held = g_object_ref(instance);
    g_auto(GStrv) images = kh_image_pins_note(self->pins, instance, NULL, NULL);

    g_signal_handlers_disconnect_by_data(instance, self);
    take_share(self, instance);
    g_ptr_array_remove(self->instances, instance);
    forget_name(self, instance);
    g_signal_emit(self, signals[SIGNAL_REMOVED], 0, instance);
    tell_of_image_users(self, images);
}

static void
on_instance_gone(KhInstance *instance, KhManager *self)
{
    const KhRecord *record = kh_instance_get_record(instance);
    gboolean kept = record->keep_data;

    kh_manager_forget_missing(self, record->id);
    forget(self, instance);
    if (kept)
        kh_manager_find_strangers(self);
    kh_image_pins_drop_unused(self->pins);
    g_signal_emit(self, signals[SIGNAL_CHANGED], 0);
}

KhInstance *
kh_manager_add(KhManager *self, KhRecord *record)
{
    KhInstance *instance =
        kh_instance_new(self->machines, self->store, self->jobs, self->shutdown, record);
    g_auto(GStrv) images = count(self, instance);

    g_ptr_array_add(self->instances, instance);
    note_name(self, instance);
    g_tree_insert(self->by_id, g_strdup(record->id), instance);
    /* After its own object has told the bus: an image that it has left may go by this. */
    g_signal_connect_after(instance, "changed", G_CALLBACK(on_instance_changed), self);
    g_signal_connect(instance, "gone", G_CALLBACK(on_instance_gone), self);
    g_signal_emit(self, signals[SIGNAL_ADDED], 0, instance);
    tell_of_image_users(self, images);
    g_signal_emit(self, signals[SIGNAL_CHANGED], 0);
    return instance;
}

/* Those whose row says that they were not finished: nobody knows of them. */
static void
take_back_half_made(KhManager *self)
{
    for (guint i = 0; i < self->instances->len; i++) {
        const KhRecord *record = kh_instance_get_record(self->instances->pdata[i]);

        if (!record->making)
            continue;
        kh_log_instance(record, G_LOG_LEVEL_MESSAGE, "its creation was interrupted and is undone");
        kh_instance_note_deleted(self->instances->pdata[i]);
    }
}

static void
remove_in_thread(GTask *task, gpointer source, gpointer data, GCancellable *cancellable)
{
    int instances = kh_state_dir_instances_fd(source);
    g_autoptr(GError) error = NULL;

    if (!kh_instance_dir_remove(instances, data, NULL, &error))
        g_warning("What is left of earlier deletions cannot be removed: %s", error->message);
    g_task_return_boolean(task, TRUE);
}

KhInstance *
kh_manager_find_id(KhManager *self, const char *id)
{
    return g_tree_lookup(self->by_id, id);
}

/* A mark beside a folder that is there was not made by this program. */
static void
note_deleted(KhManager *self, KhInstance *instance)
{
    const KhRecord *record = kh_instance_get_record(instance);
    int instances = kh_state_dir_instances_fd(self->machines->state_dir);

    if (faccessat(instances, record->id, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
        kh_log_instance(record, G_LOG_LEVEL_WARNING,
                        "There is another folder of the same id, which is marked as deleted; both "
                        "are left alone");
    else
        kh_instance_note_deleted(instance);
}

/* Those marked as deleted: with a row it goes on with the deletion, else this is all of it. */
static void
finish_deletions(KhManager *self)
{
    for (guint i = 0; i < self->strangers->deleted->len; i++) {
        const char *id = self->strangers->deleted->pdata[i];
        KhInstance *instance = kh_manager_find_id(self, id);
        g_autoptr(GTask) task = NULL;

        if (instance != NULL) {
            note_deleted(self, instance);
            continue;
        }
        kh_journal_log(G_LOG_LEVEL_MESSAGE, &(KhSubject){.id = id, .caller = -1},
                       "The folder of %s is marked as deleted, and is removed", id);
        task = g_task_new(self->machines->state_dir, NULL, NULL, NULL);
        g_task_set_task_data(task, g_strconcat(id, KH_DIR_DELETED_SUFFIX, NULL), g_free);
        g_task_run_in_thread(task, remove_in_thread);
    }
}

gboolean
kh_manager_load(KhManager *self, KhStartProgress *progress, GError **error)
{
    g_autoptr(GPtrArray) records = NULL;

    kh_start_progress_note(progress, "Reading the database", 0, 0);
    records = kh_store_load(self->store, error);
    if (records == NULL)
        return FALSE;
    g_ptr_array_set_free_func(records, NULL);
    for (guint i = 0; i < records->len; i++) {
        kh_start_progress_note(progress, "Loading instances", i, records->len);
        kh_manager_add(self, records->pdata[i]);
    }
    return TRUE;
}

/* By its folder, which a shim holds; or by its user, which only it should have. */
static gboolean
seems_to_live(KhManager *self, const KhRecord *record, GHashTable *living)
{
    return g_hash_table_contains(self->strangers->held, record->id) ||
           (self->machines->uids != NULL && record->vm_uid >= 0 &&
            kh_uids_include(living, (guint32)record->vm_uid));
}

/* One look at all processes for all of them. */
static void
take_over_all(KhManager *self, KhStartProgress *progress)
{
    g_autoptr(GHashTable) living = self->machines->uids != NULL ? kh_uids_of_processes() : NULL;

    for (guint i = 0; i < self->instances->len; i++) {
        KhInstance *instance = self->instances->pdata[i];

        kh_start_progress_note(progress, "Taking over instances", i, self->instances->len);
        kh_instance_take_over(instance,
                              seems_to_live(self, kh_instance_get_record(instance), living));
    }
}

void
kh_manager_take_over(KhManager *self, KhStartProgress *progress)
{
    kh_manager_find_strangers(self);
    kh_strangers_log(self->strangers, self->machines->state_dir);
    take_back_half_made(self);
    finish_deletions(self);
    kh_leftovers_drop(self->machines, self->store, self->strangers);
    take_over_all(self, progress);
    kh_image_pins_drop_unused(self->pins);
    g_signal_emit(self, signals[SIGNAL_CHANGED], 0);
}

GPtrArray *
kh_manager_list(KhManager *self)
{
    return self->instances;
}

guint
kh_manager_count_running(KhManager *self)
{
    return self->running;
}

KhInstance *
kh_manager_find_name(KhManager *self, const char *name)
{
    return g_hash_table_lookup(self->by_name, name);
}

static KhInstance *
find_exactly(KhManager *self, const char *name_or_id)
{
    KhInstance *found = kh_manager_find_name(self, name_or_id);

    return found != NULL ? found : kh_manager_find_id(self, name_or_id);
}

static KhInstance *
find_by_prefix(KhManager *self, const char *prefix, GError **error)
{
    GTreeNode *node = strlen(prefix) < PREFIX_MIN ? NULL : g_tree_lower_bound(self->by_id, prefix);
    GTreeNode *next = node == NULL ? NULL : g_tree_node_next(node);

    if (node == NULL || !g_str_has_prefix(g_tree_node_key(node), prefix)) {
        g_autofree char *shown = kh_text_sanitize(prefix, 80);

        g_set_error(error, KH_ERROR, KH_ERROR_NOT_FOUND,
                    "There is no instance \"%s\"; list the instances to see their names", shown);
        return NULL;
    }
    if (next == NULL || !g_str_has_prefix(g_tree_node_key(next), prefix))
        return g_tree_node_value(node);
    g_set_error(error, KH_ERROR, KH_ERROR_ALREADY_EXISTS,
                "The ids of several instances begin with \"%s\"; give more of the id", prefix);
    return NULL;
}

KhInstance *
kh_manager_find(KhManager *self, const char *name_or_id, GError **error)
{
    KhInstance *found = find_exactly(self, name_or_id);

    return found != NULL ? found : find_by_prefix(self, name_or_id, error);
}

gboolean
kh_manager_wants_default_image(const KhConfig *config)
{
    return g_str_equal(config->image, KH_CONFIG_IMAGE_DEFAULT);
}

gboolean
kh_manager_check_image(KhManager *self, const KhConfig *config, GError **error)
{
    if (kh_manager_wants_default_image(config) ||
        kh_image_store_find(self->machines->images, config->image) != NULL)
        return TRUE;
    return kh_error_set(error, KH_ERROR_NOT_FOUND, "There is no image %s", config->image);
}

gboolean
kh_manager_check_labels(KhManager *self, const KhConfig *config, const KhConfig *before,
                        GError **error)
{
    guint old = before == NULL ? 0 : before->labels_bytes;
    guint64 sum = self->labels_bytes - old + config->labels_bytes;

    if (config->labels_bytes <= old || sum <= LABELS_BYTES_MAX)
        return TRUE;
    return kh_error_set(error, KH_ERROR_LIMIT_EXCEEDED,
                        "The labels and descriptions of all instances would have %" G_GUINT64_FORMAT
                        " bytes, more than the %u there is room for; use fewer or shorter ones",
                        sum, LABELS_BYTES_MAX);
}

void
kh_manager_set_default_image(KhManager *self, const char *image)
{
    if (kh_image_pins_set_default(self->pins, image))
        g_signal_emit(self, signals[SIGNAL_CHANGED], 0);
}

/* Its image is nobody's yet: it counts as being imported until it is pinned. */
void
kh_manager_measure(KhManager *self, const KhConfig *config, const char *id,
                   GAsyncReadyCallback callback, GTask *task)
{
    kh_image_pins_hold(self->pins);
    kh_confidential_measure_async(self->machines->images, self->machines->settings->qemu, config,
                                  id, callback, g_object_ref(task));
}
