/* SPDX-License-Identifier: MIT */
/* katana-hypervisor measure: computed here, from files, without a service. */
#include <json-glib/json-glib.h>
#include <stdio.h>
#include <string.h>

#include "cpu-types.h"
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
    g_autofree char *hex = kh_digest_to_hex(digest, n);

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
    g_autoptr(JsonNode) root = NULL;

    json_builder_begin_object(builder);
    add_hex(builder, "measurement", measurement, KH_LAUNCH_DIGEST_SIZE);
    add_shape(builder, &launch->shape);
    if (!add_inputs(builder, launch, error))
        return FALSE;
    json_builder_end_object(builder);
    root = json_builder_get_root(builder);
    kh_output_json(root);
    return TRUE;
}

static void
print_hex(const guint8 *measurement)
{
    g_autofree char *hex = kh_digest_to_hex(measurement, KH_LAUNCH_DIGEST_SIZE);

    puts(hex);
}

/* A number of processors that nobody gave is easily overlooked, and measured. */
static void
note_default(KhCli *cli, const KhLaunchOptions *options, const KhLaunchShape *shape)
{
    if (options->vcpus == NULL)
        kh_cli_note(cli, "measured for %u vCPUs; --vcpus says another number", shape->vcpus);
}

int
kh_verb_measure(KhCli *cli)
{
    g_auto(KhLaunchOptions) options = {NULL};
    g_autofree GOptionEntry *entries = kh_launch_options_entries(&options);
    GError *error = NULL;
    g_auto(GStrv) names =
        kh_cli_parse(cli, entries, "--ovmf FILE | --katana-repo DIR", 0, 0, &error);
    g_autoptr(KhBootParts) parts = NULL;
    guint8 measurement[KH_LAUNCH_DIGEST_SIZE];
    KhLaunch launch = {NULL};

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
