/* SPDX-License-Identifier: MIT */
/* An instance on the bus; see instance-object.h. */
#include "instance-object.h"

#include <gio/gunixfdlist.h>
#include <unistd.h>

#include "descriptors.h"
#include "error.h"
#include "machine/preparation.h"
#include "launch/shim-protocol.h"
#include "operations.h"
#include "options.h"
#include "refusal.h"
#include "log/log-stream.h"

#define LINES_MAX 1000000u
#define STREAM_DESCRIPTORS 6 /* of one that is open */

struct _KhInstanceObject {
    KhDbusInstanceSkeleton parent_instance;
    KhInstance *instance;
    KhManager *manager;
    const KhMachines *machines;
    KhFolderWatcher *watcher;
    KhGate *gate;
    GCancellable *gone; /* cancelled when the instance has been deleted */
};

G_DEFINE_FINAL_TYPE(KhInstanceObject, kh_instance_object, KH_DBUS_TYPE_INSTANCE_SKELETON)

static void
kh_instance_object_dispose(GObject *object)
{
    KhInstanceObject *self = KH_INSTANCE_OBJECT(object);

    if (self->instance != NULL)
        g_signal_handlers_disconnect_by_data(self->instance, self);
    g_clear_object(&self->instance);
    g_clear_object(&self->manager);
    g_clear_object(&self->gate);
    g_clear_object(&self->watcher);
    g_clear_object(&self->gone);
    G_OBJECT_CLASS(kh_instance_object_parent_class)->dispose(object);
}

static void
kh_instance_object_class_init(KhInstanceObjectClass *class)
{
    G_OBJECT_CLASS(class)->dispose = kh_instance_object_dispose;
    kh_gate_guard_class(G_DBUS_INTERFACE_SKELETON_CLASS(class));
}

static void
kh_instance_object_init(KhInstanceObject *self)
{
}

/* What never changes after creation. */
static void
set_constants(KhInstanceObject *self)
{
    const KhRecord *record = kh_instance_get_record(self->instance);
    g_autofree char *folder = kh_preparation_state_folder(self->machines, record);
    KhDbusInstance *bus = KH_DBUS_INSTANCE(self);

    kh_dbus_instance_set_id(bus, record->id);
    kh_dbus_instance_set_name(bus, record->name);
    kh_dbus_instance_set_owner_uid(bus, record->owner_uid);
    kh_dbus_instance_set_created_usec(bus, (guint64)record->created_usec);
    kh_dbus_instance_set_data_directory(bus, folder);
}

static void
mirror_config(KhInstanceObject *self)
{
    const KhConfig *config = kh_instance_get_record(self->instance)->config;
    g_autofree char *url = g_strdup_printf("http://%s:%u", config->rpc_address, config->rpc_port);
    g_autoptr(GVariant) labels =
        g_variant_lookup_value(config->dict, "labels", G_VARIANT_TYPE("a{ss}"));
    KhDbusInstance *bus = KH_DBUS_INSTANCE(self);

    kh_dbus_instance_set_vcpus(bus, config->vcpus);
    kh_dbus_instance_set_memory_bytes(bus, config->memory_bytes);
    kh_dbus_instance_set_storage_bytes(bus, config->storage_bytes);
    kh_dbus_instance_set_rpc_address(bus, config->rpc_address);
    kh_dbus_instance_set_rpc_port(bus, config->rpc_port);
    kh_dbus_instance_set_rpc_url(bus, url);
    kh_dbus_instance_set_outbound(bus, config->outbound);
    kh_dbus_instance_set_dev(bus, config->dev);
    kh_dbus_instance_set_chain_id(bus, config->chain_id);
    kh_dbus_instance_set_block_time(bus, config->block_time);
    kh_dbus_instance_set_accounts(bus, config->accounts);
    kh_dbus_instance_set_no_fee(bus, config->no_fee);
    kh_dbus_instance_set_start_at_boot(bus, config->start_at_boot);
    kh_dbus_instance_set_restart_policy(bus, config->restart_policy);
    kh_dbus_instance_set_cpu_quota_percent(bus, config->cpu_quota);
    kh_dbus_instance_set_labels(bus, labels);
    kh_dbus_instance_set_description(bus, config->description);
    kh_dbus_instance_set_tee(bus, config->tee);
    kh_dbus_instance_set_vcpu_type(bus, config->tee ? config->vcpu_type : "");
}

static void
mirror_image(KhInstanceObject *self)
{
    const char *id = kh_instance_get_record(self->instance)->config->image;
    const KhImage *image = kh_image_store_find(self->machines->images, id);
    g_autofree char *path = kh_path_of_image(image == NULL ? NULL : id);
    g_autofree char *folder = kh_image_store_folder(self->machines->images, id);
    g_auto(GVariantBuilder) parts = G_VARIANT_BUILDER_INIT(G_VARIANT_TYPE("a(sss)"));

    for (guint i = 0; image != NULL && i < image->parts->len; i++) {
        const KhImagePart *part = image->parts->pdata[i];
        g_autofree char *file = g_build_filename(folder, part->name, NULL);

        g_variant_builder_add(&parts, "(sss)", part->name, file, part->sha256);
    }
    kh_dbus_instance_set_image(KH_DBUS_INSTANCE(self), path);
    kh_dbus_instance_set_boot_components(KH_DBUS_INSTANCE(self), g_variant_builder_end(&parts));
}

static void
mirror_state(KhInstanceObject *self)
{
    const KhRecord *record = kh_instance_get_record(self->instance);
    KhDbusInstance *bus = KH_DBUS_INSTANCE(self);
    g_auto(GStrv) pending = kh_record_list_pending(record);
    g_autofree char *reason = kh_instance_build_reason(self->instance);
    KhJob *job = kh_instance_get_job(self->instance);
    g_autofree char *job_path =
        job == NULL ? g_strdup("/") : kh_path_of_job(kh_job_get_number(job));
    g_autofree char *error_name = record->error_name[0] == '\0'
                                      ? g_strdup("")
                                      : g_strconcat(KH_ERROR_PREFIX_DBUS, record->error_name, NULL);

    kh_dbus_instance_set_state(bus, kh_state_name(record->state));
    kh_dbus_instance_set_job(bus, job_path);
    kh_dbus_instance_set_state_reason(bus, reason);
    kh_dbus_instance_set_state_changed_usec(bus, (guint64)record->state_changed_usec);
    kh_dbus_instance_set_exit_code(bus, record->exit_code);
    kh_dbus_instance_set_started_usec(bus, (guint64)record->started_usec);
    kh_dbus_instance_set_ready_usec(bus, (guint64)record->ready_usec);
    kh_dbus_instance_set_boot_time_usec(bus, (guint64)record->boot_time_usec);
    kh_dbus_instance_set_restart_count(bus, record->restart_count);
    kh_dbus_instance_set_next_restart_usec(
        bus, record->state == KH_STATE_FAILED ? (guint64)record->restart_usec : 0);
    kh_dbus_instance_set_stop_result(bus, record->stop_result);
    kh_dbus_instance_set_pending_changes(bus, (const char *const *)pending);
    kh_dbus_instance_set_last_error(bus, g_variant_new("(ss)", error_name, record->error_message));
}

/* Which limits are held is read from the machine's control group. */
static void
mirror_machine(KhInstanceObject *self)
{
    const KhRecord *record = kh_instance_get_record(self->instance);
    guint32 pid = kh_instance_get_main_pid(self->instance);
    KhDbusInstance *bus = KH_DBUS_INSTANCE(self);

    kh_dbus_instance_set_accelerator(bus, kh_instance_get_accelerator(self->instance));
    kh_dbus_instance_set_main_pid(bus, pid);
    kh_dbus_instance_set_memory_limit_bytes(bus, kh_instance_get_memory_limit(self->instance));
    kh_dbus_instance_set_limits_enforced(
        bus,
        kh_launcher_holds(self->machines->launcher, record->id, pid, record->config->cpu_quota));
}

/*
 * One PropertiesChanged per change of state, and before the replies that it causes: GDBus
 * would merge and delay them otherwise.
 */
static void
on_changed(KhInstance *instance, KhAspects aspects, KhInstanceObject *self)
{
    if (aspects & KH_ASPECT_CONFIG)
        mirror_config(self);
    if (aspects & KH_ASPECT_IMAGE)
        mirror_image(self);
    if (aspects & KH_ASPECT_MACHINE)
        mirror_machine(self);
    mirror_state(self);
    g_dbus_interface_skeleton_flush(G_DBUS_INTERFACE_SKELETON(self));
}

/* A change on its way; the skeleton is held for its reply. */
typedef struct {
    KhInstanceObject *object;
    GDBusMethodInvocation *invocation;
} Change;

static void
on_configured(GObject *source, GAsyncResult *result, gpointer data)
{
    g_autofree Change *change = data;
    g_autoptr(KhInstanceObject) self = change->object;
    g_auto(GStrv) pending = kh_record_list_pending(kh_instance_get_record(self->instance));
    GError *error = NULL;

    if (kh_manager_configure_finish(KH_MANAGER(source), result, &error))
        kh_dbus_instance_complete_configure(KH_DBUS_INSTANCE(self), change->invocation,
                                            (const char *const *)pending);
    else
        kh_refuse_call(change->invocation, error);
}

static gboolean
on_configure(KhInstanceObject *self, GDBusMethodInvocation *invocation, GVariant *changes,
             GVariant *options)
{
    static const KhOption known[] = {{NULL, NULL}};
    GError *error = NULL;
    Change *change;

    if (!kh_options_check(options, known, &error)) {
        kh_refuse_call(invocation, error);
        return TRUE;
    }
    change = g_new0(Change, 1);
    change->object = g_object_ref(self);
    change->invocation = invocation;
    kh_manager_configure_async(self->manager, self->instance, changes,
                               kh_gate_may_expose(invocation), kh_gate_get_caller_uid(invocation),
                               on_configured, change);
    return TRUE;
}

static gboolean
on_get_configuration(KhInstanceObject *self, GDBusMethodInvocation *invocation, GVariant *options)
{
    static const KhOption known[] = {{"qemu-args", "b"}, {NULL, NULL}};
    const KhConfig *config = kh_record_get_wanted(kh_instance_get_record(self->instance));
    g_auto(GVariantDict) dict = G_VARIANT_DICT_INIT(config->dict);
    GError *error = NULL;

    if (!kh_options_check(options, known, &error)) {
        kh_refuse_call(invocation, error);
        return TRUE;
    }
    if (kh_options_get_boolean(options, "qemu-args")) {
        g_auto(GStrv) command = kh_instance_get_portable_command(self->instance);

        g_variant_dict_insert(&dict, "qemu-args", "^as", command);
    }
    kh_dbus_instance_complete_get_configuration(KH_DBUS_INSTANCE(self), invocation,
                                                g_variant_dict_end(&dict));
    return TRUE;
}

static gboolean
read_log_request(GVariant *options, KhLogRequest *request, GError **error)
{
    static const KhOption known[] = {
        {"source", "s"}, {"lines", "u"}, {"follow", "b"}, {"boot", "i"}, {NULL, NULL}};
    const char *source = "guest";

    if (!kh_options_check(options, known, error))
        return FALSE;
    g_variant_lookup(options, "source", "&s", &source);
    g_variant_lookup(options, "lines", "u", &request->lines);
    g_variant_lookup(options, "boot", "i", &request->boot);
    request->lines = MIN(request->lines, LINES_MAX);
    request->follow = kh_options_get_boolean(options, "follow");
    request->name = g_str_equal(source, "qemu") ? KH_FILE_QEMU_LOG : KH_FILE_SERIAL_LOG;
    if (g_str_equal(source, "guest") || g_str_equal(source, "qemu"))
        return TRUE;
    return kh_error_set(error, KH_ERROR_INVALID_ARGUMENT,
                        "The option \"source\" must be \"guest\" or \"qemu\"");
}

/* A stream counts against its opener, connection and user, until it is closed. */
typedef struct {
    KhLimits *limits;
    char *sender, *user;
} OpenStream;

static void
open_stream_free(gpointer data)
{
    OpenStream *stream = data;

    if (stream->sender != NULL)
        kh_limits_leave(stream->limits, stream->sender, KH_LIMIT_STREAMS);
    if (stream->user != NULL)
        kh_limits_leave(stream->limits, stream->user, KH_LIMIT_USER_STREAMS);
    kh_limits_unref(stream->limits);
    g_free(stream->sender);
    g_free(stream->user);
    g_free(stream);
}

static OpenStream *
count_stream(KhInstanceObject *self, GDBusMethodInvocation *invocation, GError **error)
{
    const char *sender = g_dbus_method_invocation_get_sender(invocation);
    g_autofree char *user = g_strdup_printf("uid %u", kh_gate_get_caller_uid(invocation));
    OpenStream *stream = g_new0(OpenStream, 1);

    stream->limits = kh_limits_ref(kh_gate_get_limits(self->gate));
    if (kh_limits_enter(stream->limits, sender, KH_LIMIT_STREAMS, error)) {
        stream->sender = g_strdup(sender);
        if (kh_limits_enter(stream->limits, user, KH_LIMIT_USER_STREAMS, error)) {
            stream->user = g_steal_pointer(&user);
            return stream;
        }
    }
    open_stream_free(stream);
    return NULL;
}

/* An OpenLog on its way. */
typedef struct {
    GDBusMethodInvocation *invocation;
    OpenStream *stream; /* until the log is open */
} Opening;

static void
on_log_opened(GObject *source, GAsyncResult *result, gpointer data)
{
    g_autofree Opening *opening = data;
    g_autoptr(GUnixFDList) reply = NULL;
    GError *error = NULL;
    int fd = kh_log_stream_open_finish(result, &error);

    if (fd < 0) {
        open_stream_free(opening->stream);
        kh_refuse_call(opening->invocation, error);
        return;
    }
    reply = g_unix_fd_list_new_from_array(&fd, 1);
    g_dbus_method_invocation_return_value_with_unix_fd_list(opening->invocation,
                                                            g_variant_new("(h)", 0), reply);
}

/* Takes @stream. */
static gboolean
open_log(KhInstanceObject *self, GDBusMethodInvocation *invocation, const KhLogRequest *request,
         OpenStream *stream, GError **error)
{
    int folder = kh_instance_open_folder(self->instance, error);
    Opening *opening;

    if (folder < 0) {
        open_stream_free(stream);
        return FALSE;
    }
    opening = g_new0(Opening, 1);
    opening->invocation = invocation;
    opening->stream = stream;
    kh_log_stream_open_async(folder, request, self->watcher, open_stream_free, stream, self->gone,
                             on_log_opened, opening);
    close(folder);
    return TRUE;
}

static gboolean
on_open_log(KhInstanceObject *self, GDBusMethodInvocation *invocation, GUnixFDList *fds,
            GVariant *options)
{
    KhLogRequest request = {.uid = kh_instance_get_record(self->instance)->vm_uid,
                            .file_size = self->machines->settings->log_size,
                            .files_max = self->machines->settings->log_files};
    OpenStream *stream;
    GError *error = NULL;

    if (!read_log_request(options, &request, &error) ||
        !kh_descriptors_check(STREAM_DESCRIPTORS, &error) ||
        (stream = count_stream(self, invocation, &error)) == NULL ||
        !open_log(self, invocation, &request, stream, &error))
        kh_refuse_call(invocation, error);
    return TRUE;
}

static void
describe(GDBusInterfaceSkeleton *skeleton, const char *method, GVariant *parameters,
         GHashTable *details)
{
    kh_operations_describe(KH_INSTANCE_OBJECT(skeleton)->instance, details);
}

static gboolean
reaches(GDBusInterfaceSkeleton *skeleton, GVariant *config)
{
    return kh_manager_change_is_exposed(KH_INSTANCE_OBJECT(skeleton)->instance, config);
}

KhInstanceObject *
kh_instance_object_new(KhInstance *instance, KhManager *manager, KhJobs *jobs,
                       const KhMachines *machines, KhFolderWatcher *watcher, KhGate *gate)
{
    KhInstanceObject *self = g_object_new(KH_TYPE_INSTANCE_OBJECT, NULL);

    self->instance = g_object_ref(instance);
    self->manager = g_object_ref(manager);
    self->machines = machines;
    self->watcher = g_object_ref(watcher);
    self->gate = g_object_ref(gate);
    kh_gate_attach(gate, G_DBUS_INTERFACE_SKELETON(self), describe);
    kh_gate_set_reaches(G_DBUS_INTERFACE_SKELETON(self), reaches);
    set_constants(self);
    mirror_config(self);
    mirror_image(self);
    mirror_state(self);
    mirror_machine(self);
    g_signal_connect(instance, "changed", G_CALLBACK(on_changed), self);
    /* Streams hold it for longer than this object is on the bus. */
    self->gone = g_cancellable_new();
    g_signal_connect_object(instance, "gone", G_CALLBACK(g_cancellable_cancel), self->gone,
                            G_CONNECT_SWAPPED);
    g_signal_connect(self, "handle-configure", G_CALLBACK(on_configure), NULL);
    g_signal_connect(self, "handle-get-configuration", G_CALLBACK(on_get_configuration), NULL);
    g_signal_connect(self, "handle-open-log", G_CALLBACK(on_open_log), NULL);
    kh_operations_serve(KH_DBUS_INSTANCE(self), instance, jobs, machines->settings, gate);
    return self;
}
