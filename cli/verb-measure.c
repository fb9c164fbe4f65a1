/* SPDX-License-Identifier: MIT */
/*
 * katana-hypervisor measure: computed here, from files; without a service, unless it is an
 * instance's launch that is measured.
 */
#include <json-glib/json-glib.h>
#include <stdio.h>
#include <string.h>

#include "bytes.h"
#include "client.h"
#include "cpu-types.h"
#include "error.h"
#include "kernel-cmdline.h"
#include "launch-options.h"
#include "output.h"
#include "verbs.h"

static void
add_text(JsonBuilder *builder, const char *key, const char *value)
{
    json_builder_set_member_name(builder, key);
    json_builder_add_string_value(builder, value);
}

static void
add_hex(JsonBuilder *builder, const char *key, const guint8 *digest, gsize n)
{
    g_autofree char *hex = kh_bytes_to_hex(digest, n);

    add_text(builder, key, hex);
}

static void
add_number(JsonBuilder *builder, const char *key, guint64 number)
{
    g_autofree char *hex = g_strdup_printf("0x%" G_GINT64_MODIFIER "x", number);

    add_text(builder, key, hex);
}

static void
add_file(JsonBuilder *builder, const char *part, const char *path, guint64 size,
         const guint8 *sha256)
{
    g_autofree char *shown = g_filename_display_name(path);

    json_builder_begin_object(builder);
    add_text(builder, "part", part);
    add_text(builder, "path", shown);
    json_builder_set_member_name(builder, "size");
    json_builder_add_int_value(builder, (gint64)size);
    add_hex(builder, "sha256", sha256, KH_SHA256_SIZE);
    json_builder_end_object(builder);
}

/* The text where it is text, else its bytes in hexadecimal; the hash is of the bytes alone. */
static gboolean
add_cmdline(JsonBuilder *builder, const char *cmdline, GError **error)
{
    guint8 sha256[KH_SHA256_SIZE];

    if (!kh_sha256(cmdline, strlen(cmdline), sha256, error))
        return FALSE;
    json_builder_begin_object(builder);
    add_text(builder, "part", "cmdline");
    if (g_utf8_validate(cmdline, -1, NULL))
        add_text(builder, "text", cmdline);
    else
        add_hex(builder, "bytes", (const guint8 *)cmdline, strlen(cmdline));
    json_builder_set_member_name(builder, "size");
    json_builder_add_int_value(builder, (gint64)strlen(cmdline));
    add_hex(builder, "sha256", sha256, KH_SHA256_SIZE);
    json_builder_end_object(builder);
    return TRUE;
}

static gboolean
add_inputs(JsonBuilder *builder, const KhLaunch *launch, GError **error)
{
    const KhBootParts *parts = launch->parts;

    json_builder_set_member_name(builder, "inputs");
    json_builder_begin_array(builder);
    add_file(builder, "ovmf", parts->firmware->name, parts->firmware->size,
             parts->firmware->sha256);
    if (parts->has_kernel)
        add_file(builder, "kernel", parts->kernel.path, parts->kernel.size, parts->kernel.sha256);
    if (parts->has_initrd)
        add_file(builder, "initrd", parts->initrd.path, parts->initrd.size, parts->initrd.sha256);
    if (parts->has_kernel && !add_cmdline(builder, launch->cmdline, error))
        return FALSE;
    json_builder_end_array(builder);
    return TRUE;
}

static void
add_shape(JsonBuilder *builder, const KhLaunchShape *shape)
{
    g_autofree char *types = kh_cpu_type_names(shape->vcpu_signature);

    json_builder_set_member_name(builder, "vcpus");
    json_builder_add_int_value(builder, shape->vcpus);
    add_number(builder, "vcpu_signature", shape->vcpu_signature);
    add_text(builder, "vcpu_types", types);
    add_number(builder, "guest_features", shape->guest_features);
    add_text(builder, "vmm", kh_vmm_name(shape->vmm));
}

static gboolean
print_json(const KhLaunch *launch, const guint8 *measurement, GError **error)
{
    g_autoptr(JsonBuilder) builder = json_builder_new();

    json_builder_begin_object(builder);
    add_hex(builder, "measurement", measurement, KH_LAUNCH_DIGEST_SIZE);
    add_shape(builder, &launch->shape);
    if (!add_inputs(builder, launch, error))
        return FALSE;
    json_builder_end_object(builder);
    kh_output_json(json_builder_get_root(builder));
    return TRUE;
}

static void
print_hex(const guint8 *measurement)
{
    g_autofree char *hex = kh_bytes_to_hex(measurement, KH_LAUNCH_DIGEST_SIZE);

    puts(hex);
}

/* A number of processors that nobody gave is easily overlooked, and measured. */
static void
note_default(KhCli *cli, const KhLaunchOptions *options, const KhLaunchShape *shape)
{
    if (options->vcpus == NULL)
        kh_cli_note(cli, "measured for %u vCPUs; use --vcpus to give another number", shape->vcpus);
}

/* The path of a boot component; NULL: it has none. Owned by @properties. */
static const char *
component_of(GVariant *properties, const char *part)
{
    g_autoptr(GVariant) parts =
        g_variant_lookup_value(properties, "BootComponents", G_VARIANT_TYPE("a(sss)"));
    const char *found = NULL;

    for (gsize i = 0; parts != NULL && i < g_variant_n_children(parts); i++) {
        const char *name, *path;

        g_variant_get_child(parts, i, "(&s&s&s)", &name, &path, NULL);
        if (g_str_equal(name, part))
            found = path;
    }
    return found;
}

/* The files and the shape that start would boot; only these count, whatever the service says. */
static KhBootParts *
load_instance(GVariant *properties, KhLaunch *launch, GError **error)
{
    const char *type_name = "", *name = "";
    const KhCpuType *type;
    gboolean tee = FALSE;

    g_variant_lookup(properties, "Name", "&s", &name);
    g_variant_lookup(properties, "Tee", "b", &tee);
    g_variant_lookup(properties, "VcpuType", "&s", &type_name);
    if (!tee) {
        g_set_error(error, KH_ERROR, KH_ERROR_NOT_SUPPORTED,
                    "\"%s\" is not confidential, so nothing of it is measured; that takes an "
                    "instance created with --tee",
                    name);
        return NULL;
    }
    type = kh_cpu_type_parse(type_name, error);
    if (type == NULL)
        return NULL;
    if (component_of(properties, "ovmf.fd") == NULL ||
        component_of(properties, "vmlinuz") == NULL) {
        g_set_error(error, KH_ERROR, KH_ERROR_NOT_FOUND,
                    "The service does not say where the firmware and the kernel of \"%s\" are",
                    name);
        return NULL;
    }
    launch->shape = (KhLaunchShape){.vcpu_signature = type->signature, .vmm = KH_VMM_QEMU};
    g_variant_lookup(properties, "Vcpus", "u", &launch->shape.vcpus);
    g_variant_lookup(properties, "GuestFeatures", "t", &launch->shape.guest_features);
    launch->parts =
        kh_boot_parts_load(component_of(properties, "ovmf.fd"), component_of(properties, "vmlinuz"),
                           component_of(properties, "initrd.img"), error);
    return (KhBootParts *)launch->parts;
}

static char *
cmdline_of(GVariant *properties)
{
    gboolean sealed = FALSE;
    const char *id = "";

    g_variant_lookup(properties, "Id", "&s", &id);
    g_variant_lookup(properties, "Sealed", "b", &sealed);
    return kh_kernel_cmdline(sealed ? id : NULL);
}

static gboolean
is_expected(GVariant *properties, const guint8 *measurement, GError **error)
{
    g_autoptr(GVariant) expected =
        g_variant_lookup_value(properties, "ExpectedMeasurement", G_VARIANT_TYPE_BYTESTRING);
    gsize n = 0;
    const guint8 *bytes = expected == NULL ? NULL : g_variant_get_fixed_array(expected, &n, 1);

    if (n == KH_LAUNCH_DIGEST_SIZE && memcmp(bytes, measurement, n) == 0)
        return TRUE;
    return kh_error_set(
        error, KH_ERROR_INTEGRITY_MISMATCH,
        "The service expects another measurement; the instance's boot components may have "
        "been changed since it was created");
}

/* What it would boot; the digest is printed before the service's is compared with it. */
static int
measure_instance(KhCli *cli, const char *name)
{
    GError *error = NULL;
    g_autofree char *path = kh_client_find(cli, name, &error);
    g_autoptr(GVariant) properties =
        path == NULL ? NULL : kh_client_get_instance(cli, path, &error);
    g_autoptr(KhBootParts) parts = NULL;
    g_autofree char *cmdline = NULL;
    guint8 measurement[KH_LAUNCH_DIGEST_SIZE];
    KhLaunch launch = {NULL};

    if (properties == NULL || (parts = load_instance(properties, &launch, &error)) == NULL)
        return kh_cli_fail(cli, error);
    launch.cmdline = cmdline = cmdline_of(properties);
    if (!kh_launch_measure(&launch, measurement, &error))
        return kh_cli_fail(cli, error);
    if (!cli->json)
        print_hex(measurement);
    else if (!print_json(&launch, measurement, &error))
        return kh_cli_fail(cli, error);
    fflush(stdout);
    return is_expected(properties, measurement, &error) ? 0 : kh_cli_fail(cli, error);
}

/* They describe a launch of their own. */
static gboolean
has_options(const KhLaunchOptions *o)
{
    return o->ovmf != NULL || o->kernel != NULL || o->initrd != NULL || o->cmdline != NULL ||
           o->katana_repo != NULL || o->vcpus != NULL || o->vcpu_type != NULL ||
           o->vcpu_sig != NULL || o->vmm != NULL || o->guest_features != NULL;
}

static int
measure_named(KhCli *cli, const char *name, const KhLaunchOptions *options)
{
    if (!has_options(options))
        return measure_instance(cli, name);
    return kh_cli_fail(cli, g_error_new(KH_ERROR, KH_ERROR_INVALID_ARGUMENT,
                                        "NAME is measured as it would start; give either NAME or "
                                        "options that describe a launch"));
}

int
kh_verb_measure(KhCli *cli)
{
    g_auto(KhLaunchOptions) options = {NULL};
    g_autofree GOptionEntry *entries = kh_launch_options_entries(&options);
    GError *error = NULL;
    g_auto(GStrv) names =
        kh_cli_parse(cli, entries, "NAME | --ovmf FILE | --katana-repo DIR", 0, 1, &error);
    g_autoptr(KhBootParts) parts = NULL;
    guint8 measurement[KH_LAUNCH_DIGEST_SIZE];
    KhLaunch launch = {NULL};

    if (names != NULL && names[0] != NULL)
        return measure_named(cli, names[0], &options);
    if (names == NULL || !kh_launch_options_shape(&options, &launch.shape, &error))
        return kh_cli_fail(cli, error);
    parts = kh_launch_options_load(&options, cli, &launch.cmdline, &error);
    launch.parts = parts;
    if (parts == NULL || !kh_launch_measure(&launch, measurement, &error))
        return kh_cli_fail(cli, error);
    note_default(cli, &options, &launch.shape);
    if (!cli->json)
        print_hex(measurement);
    else if (!print_json(&launch, measurement, &error))
        return kh_cli_fail(cli, error);
    return 0;
}
