/* SPDX-License-Identifier: MIT */
/* A confidential instance on the bus; see tee-object.h. */
#include "tee-object.h"

#include "descriptors.h"
#include "error.h"
#include "guest/guest-evidence.h"
#include "confidential/expected-measurement.h"
#include "operations.h"
#include "options.h"
#include "qemu/command-line.h"
#include "refusal.h"
#include "tee/bytes.h"

#define CERTIFICATES "certificates"
/* At once of one machine: what each has got of the guest so far may be megabytes. */
#define EVIDENCE_DESCRIPTORS 4 /* a connection, a thread and what wakes it */
#define GATHERINGS_MAX 4

struct _KhTeeObject {
    KhDbusTeeSkeleton parent_instance;
    KhInstance *instance;
    KhStateDir *state_dir;
    guint gatherings; /* under way */
};

G_DEFINE_FINAL_TYPE(KhTeeObject, kh_tee_object, KH_DBUS_TYPE_TEE_SKELETON)

static void
kh_tee_object_dispose(GObject *object)
{
    KhTeeObject *self = KH_TEE_OBJECT(object);

    if (self->instance != NULL)
        g_signal_handlers_disconnect_by_data(self->instance, self);
    g_clear_object(&self->instance);
    G_OBJECT_CLASS(kh_tee_object_parent_class)->dispose(object);
}

static void
kh_tee_object_class_init(KhTeeObjectClass *class)
{
    G_OBJECT_CLASS(class)->dispose = kh_tee_object_dispose;
    kh_gate_guard_class(G_DBUS_INTERFACE_SKELETON_CLASS(class));
}

static void
kh_tee_object_init(KhTeeObject *self)
{
}

/* Empty where the row was damaged. */
static GVariant *
bytes_of_hex(const char *hex)
{
    guint8 bytes[KH_MEASUREMENT_BYTES];
    gboolean good = kh_bytes_from_hex(hex, "measurement", bytes, sizeof bytes, NULL);

    return g_variant_new_fixed_array(G_VARIANT_TYPE_BYTE, bytes, good ? sizeof bytes : 0, 1);
}

static void
on_changed(KhInstance *instance, KhAspects aspects, KhTeeObject *self)
{
    const KhRecord *record = kh_instance_get_record(instance);
    KhDbusTee *bus = KH_DBUS_TEE(self);

    kh_dbus_tee_set_expected_measurement(bus, bytes_of_hex(record->measurement));
    kh_dbus_tee_set_sealed(bus, record->config->sealed);
    kh_dbus_tee_set_simulated(bus, kh_instance_is_simulated(instance));
    g_dbus_interface_skeleton_flush(G_DBUS_INTERFACE_SKELETON(self));
}

/* Evidence on its way. */
typedef struct {
    KhTeeObject *object;
    GDBusMethodInvocation *invocation;
} Call;

static void
on_gathered(GObject *source, GAsyncResult *result, gpointer data)
{
    g_autofree Call *call = data;
    g_autoptr(KhTeeObject) self = call->object;
    GError *error = NULL;
    g_autoptr(GVariant) evidence = kh_evidence_gather_finish(result, &error);
    g_auto(GVariantDict) dict = G_VARIANT_DICT_INIT(evidence);

    self->gatherings--;
    if (evidence == NULL) {
        kh_refuse_call(call->invocation, error);
        return;
    }
    g_variant_dict_insert(&dict, "simulated", "b", kh_instance_is_simulated(self->instance));
    kh_dbus_tee_complete_get_evidence(KH_DBUS_TEE(self), call->invocation,
                                      g_variant_dict_end(&dict));
}

static gboolean
read_request(GVariant *options, KhEvidenceRequest *request, GError **error)
{
    static const KhOption known[] = {{"block", "t"}, {"prev", "t"}, {"genesis", "b"}, {NULL, NULL}};

    if (!kh_options_check(options, known, error))
        return FALSE;
    request->latest = !g_variant_lookup(options, "block", "t", &request->block);
    request->genesis = kh_options_get_boolean(options, "genesis");
    request->before = !g_variant_lookup(options, "prev", "t", &request->prev) && !request->genesis;
    if (request->before || request->genesis != g_variant_lookup(options, "prev", "t", NULL))
        return TRUE;
    return kh_error_set(error, KH_ERROR_INVALID_ARGUMENT,
                        "The options prev and genesis cannot be combined");
}

static gboolean
check_guest(KhTeeObject *self, GError **error)
{
    const KhRecord *record = kh_instance_get_record(self->instance);

    if (record->state != KH_STATE_RUNNING)
        g_set_error(error, KH_ERROR, KH_ERROR_INVALID_STATE,
                    "\"%s\" is %s, and only a running guest gives evidence; start it", record->name,
                    kh_state_name(record->state));
    else if (self->gatherings == GATHERINGS_MAX)
        g_set_error(error, KH_ERROR, KH_ERROR_LIMIT_EXCEEDED,
                    "\"%s\" is already giving evidence %u times at once; wait for one to end",
                    record->name, GATHERINGS_MAX);
    else
        return kh_descriptors_check(EVIDENCE_DESCRIPTORS, error);
    return FALSE;
}

static gboolean
on_get_evidence(KhTeeObject *self, GDBusMethodInvocation *invocation, GVariant *options)
{
    const KhConfig *config = kh_instance_get_record(self->instance)->config;
    g_autofree char *certificates = kh_state_dir_build(self->state_dir, CERTIFICATES);
    KhEvidenceRequest request = {
        .address = config->rpc_address, .port = config->rpc_port, .certificates = certificates};
    GError *error = NULL;
    Call *call;

    if (!read_request(options, &request, &error) || !check_guest(self, &error)) {
        kh_refuse_call(invocation, error);
        return TRUE;
    }
    call = g_new0(Call, 1);
    call->object = g_object_ref(self);
    call->invocation = invocation;
    self->gatherings++;
    kh_evidence_gather_async(&request, on_gathered, call);
    return TRUE;
}

static void
describe(GDBusInterfaceSkeleton *skeleton, const char *method, GVariant *parameters,
         GHashTable *details)
{
    kh_operations_describe(KH_TEE_OBJECT(skeleton)->instance, details);
}

KhTeeObject *
kh_tee_object_new(KhInstance *instance, KhStateDir *state_dir, KhGate *gate)
{
    KhTeeObject *self = g_object_new(KH_TYPE_TEE_OBJECT, NULL);

    self->instance = g_object_ref(instance);
    self->state_dir = state_dir;
    kh_gate_attach(gate, G_DBUS_INTERFACE_SKELETON(self), describe);
    kh_dbus_tee_set_guest_policy(KH_DBUS_TEE(self), KH_GUEST_POLICY);
    kh_dbus_tee_set_guest_features(KH_DBUS_TEE(self), KH_GUEST_FEATURES);
    on_changed(instance, 0, self);
    g_signal_connect(instance, "changed", G_CALLBACK(on_changed), self);
    g_signal_connect(self, "handle-get-evidence", G_CALLBACK(on_get_evidence), NULL);
    return self;
}
