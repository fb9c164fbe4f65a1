/* SPDX-License-Identifier: MIT */
/* From the bus to claims; see evidence.h. */
#include "evidence.h"

#include <string.h>

#include "bytes.h"
#include "cpu-types.h"
#include "error.h"
#include "measurement.h"
#include "names.h"

#define NAME_MAX_SHOWN 64
#define TEXT_MAX 256
#define QUOTE_FILE_MAX (4 * 1024 * 1024) /* what the parser takes */

void
kh_evidence_free(KhEvidence *self)
{
    g_free(self->name);
    g_free(self->id);
    g_clear_pointer(&self->quote, kh_quote_free);
    g_free(self->quote_fault);
    g_clear_pointer(&self->measurement, g_bytes_unref);
    g_free(self->vcpu_type);
    g_clear_pointer(&self->certificates, kh_certificates_free);
    g_free(self);
}

KhEvidence *
kh_evidence_read(const char *path, GError **error)
{
    g_autoptr(GBytes) bytes = kh_bytes_read_file(path, QUOTE_FILE_MAX, FALSE, error);
    g_autoptr(GError) failure = NULL;
    g_autofree char *shown = NULL;
    KhEvidence *self;
    gsize length;
    const char *text;

    if (bytes == NULL)
        return NULL;
    self = g_new0(KhEvidence, 1);
    self->certificates = kh_certificates_new();
    shown = g_filename_display_basename(path);
    self->name = kh_text_sanitize(shown, NAME_MAX_SHOWN);
    text = g_bytes_get_data(bytes, &length);
    text = text == NULL ? "" : text;
    self->quote = kh_quote_parse_answer(text, length, &failure);
    if (self->quote == NULL)
        self->quote = kh_quote_parse(text, length, NULL);
    if (self->quote == NULL)
        self->quote_fault = kh_text_sanitize(failure->message, TEXT_MAX);
    return self;
}

static void
read_quote(KhEvidence *self, GVariant *evidence)
{
    g_autoptr(GError) failure = NULL;
    const char *text;

    if (!g_variant_lookup(evidence, "quote", "&s", &text)) {
        self->quote_fault = g_strdup("the service gives none");
        return;
    }
    self->quote = kh_quote_parse(text, strlen(text), &failure);
    if (self->quote == NULL)
        self->quote_fault = kh_text_sanitize(failure->message, TEXT_MAX);
}

/* What is no certificate is left out: the checks miss it if it was needed. */
static void
read_certificates(KhEvidence *self, GVariant *evidence)
{
    g_autoptr(GVariant) files =
        g_variant_lookup_value(evidence, "certificates", G_VARIANT_TYPE("a{say}"));
    gsize n = files == NULL ? 0 : MIN(g_variant_n_children(files), KH_CERTIFICATE_FILES_MAX);

    for (gsize i = 0; i < n; i++) {
        g_autoptr(GVariant) file = g_variant_get_child_value(files, i);
        g_autoptr(GVariant) name = g_variant_get_child_value(file, 0);
        g_autoptr(GVariant) bytes = g_variant_get_child_value(file, 1);
        g_autofree char *shown = kh_text_sanitize(g_variant_get_string(name, NULL), NAME_MAX_SHOWN);
        g_autofree char *origin = g_strconcat("the host's ", shown, NULL);
        gsize length;
        const guint8 *data = g_variant_get_fixed_array(bytes, &length, 1);

        if (length > 0 && length <= KH_CERTIFICATE_FILE_MAX)
            kh_certificates_add(self->certificates, data, length, origin, NULL);
    }
}

static void
read_facts(KhEvidence *self, GVariant *evidence)
{
    self->has_block_time = g_variant_lookup(evidence, "timestamp", "t", &self->block_time);
    g_variant_lookup(evidence, "old-form", "b", &self->old_form);
    g_variant_lookup(evidence, "simulated", "b", &self->simulated);
}

static void
read_tee(KhEvidence *self, GVariant *properties)
{
    g_autoptr(GVariant) value =
        g_variant_lookup_value(properties, "ExpectedMeasurement", G_VARIANT_TYPE("ay"));
    gsize length = 0;
    gconstpointer data = value == NULL ? NULL : g_variant_get_fixed_array(value, &length, 1);

    if (length == KH_LAUNCH_DIGEST_SIZE)
        self->measurement = g_bytes_new(data, length);
    self->has_features = g_variant_lookup(properties, "GuestFeatures", "t", &self->features);
}

/* What no machine can have is not said: the usual default is measured, and V9 tells. */
static void
drop_impossible(KhEvidence *self)
{
    if (self->vcpus > KH_MEASURED_VCPUS_MAX)
        self->vcpus = 0;
    if (self->vcpu_type != NULL && kh_cpu_type_parse(self->vcpu_type, NULL) == NULL)
        g_clear_pointer(&self->vcpu_type, g_free);
}

/* Properties that nobody has checked: one of another type is none. */
static GVariant *
get_claims(KhCli *cli, const char *path, const char *interface, GError **error)
{
    return kh_client_ask(cli, path, "org.freedesktop.DBus.Properties", "GetAll",
                         g_variant_new("(s)", interface), "(a{sv})", error);
}

/* What the machine is made of; what the host does not say has the usual default. */
static gboolean
read_shape(KhEvidence *self, KhCli *cli, const char *name, const char *path, GError **error)
{
    g_autoptr(GVariant) instance = get_claims(cli, path, KH_INTERFACE_INSTANCE, error);
    const char *text;
    gboolean tee;

    if (instance == NULL)
        return FALSE;
    if (g_variant_lookup(instance, "Tee", "b", &tee) && !tee)
        return kh_error_set(
            error, KH_ERROR_NOT_SUPPORTED,
            "\"%s\" is not confidential and gives no evidence; that takes an instance "
            "created with --tee",
            name);
    g_variant_lookup(instance, "Vcpus", "u", &self->vcpus);
    if (g_variant_lookup(instance, "Id", "&s", &text) && g_uuid_string_is_valid(text))
        self->id = g_strdup(text);
    if (g_variant_lookup(instance, "VcpuType", "&s", &text))
        self->vcpu_type = kh_text_sanitize(text, NAME_MAX_SHOWN);
    drop_impossible(self);
    return TRUE;
}

KhEvidence *
kh_evidence_fetch(KhCli *cli, const char *name, GVariant *options, GError **error)
{
    g_autoptr(GVariant) held = g_variant_ref_sink(options);
    g_autoptr(KhEvidence) self = g_new0(KhEvidence, 1);
    g_autofree char *path = kh_client_find(cli, name, error);
    g_autoptr(GVariant) properties = NULL;
    g_autoptr(GVariant) evidence = NULL;

    self->certificates = kh_certificates_new();
    if (path == NULL || !read_shape(self, cli, name, path, error))
        return NULL;
    properties = get_claims(cli, path, KH_INTERFACE_TEE, error);
    if (properties == NULL)
        return NULL;
    evidence = kh_client_ask(cli, path, KH_INTERFACE_TEE, "GetEvidence",
                             g_variant_new("(@a{sv})", held), "(a{sv})", error);
    if (evidence == NULL)
        return NULL;
    read_tee(self, properties);
    read_quote(self, evidence);
    read_facts(self, evidence);
    read_certificates(self, evidence);
    self->name = kh_text_sanitize(name, NAME_MAX_SHOWN);
    return g_steal_pointer(&self);
}
