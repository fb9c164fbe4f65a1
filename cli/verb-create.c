/* SPDX-License-Identifier: MIT */
/*
 * katana-hypervisor create: its options are the list of configuration keys in
 * dbus-interfaces/config-keys.c, besides the few that are no keys.
 */
#include <stdio.h>

#include "client.h"
#include "config-keys.h"
#include "error.h"
#include "lasting.h"
#include "names.h"
#include "operation.h"
#include "output.h"
#include "values.h"
#include "verbs.h"

#define LINE_SHOWN_MAX 4096

/* What the command line said about one key. */
typedef struct {
    char *text;
    gboolean flag;
} Said;

typedef struct {
    Said *keys; /* by their places in the list */
    guint n_keys;
    char **labels;
    char *args_file;
    gboolean auto_start;
    gboolean force;
    gboolean allow_dev;
} Options;

static void
options_clear(Options *options)
{
    for (guint i = 0; i < options->n_keys; i++)
        g_free(options->keys[i].text);
    g_free(options->keys);
    g_strfreev(options->labels);
    g_free(options->args_file);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Options, options_clear)

static GOptionEntry
entry_of(const KhConfigKey *key, Said *said, Options *options)
{
    GOptionEntry entry = {key->option,     0, 0, G_OPTION_ARG_STRING, &said->text, key->help,
                          key->placeholder};

    if (key->form == KH_CONFIG_FLAG) {
        entry.arg = G_OPTION_ARG_NONE;
        entry.arg_data = &said->flag;
    } else if (key->form == KH_CONFIG_LABELS) {
        entry.arg = G_OPTION_ARG_STRING_ARRAY;
        entry.arg_data = &options->labels;
    }
    return entry;
}

static GOptionEntry *
build_entries(Options *options)
{
    const GOptionEntry own[] = {
        {"katana-args-file", 0, 0, G_OPTION_ARG_FILENAME, &options->args_file,
         "Further arguments of Katana, one per line; - for stdin", "FILE"},
        {"force", 0, 0, G_OPTION_ARG_NONE, &options->force,
         "With --tee: create it even if this host cannot start it", NULL},
        {"allow-dev", 0, 0, G_OPTION_ARG_NONE, &options->allow_dev,
         "With --tee: allow --dev, whose keys are known to everybody", NULL},
        {"auto-start", 0, 0, G_OPTION_ARG_NONE, &options->auto_start, "Start it as well", NULL},
    };
    GOptionEntry *entries = g_new0(GOptionEntry, options->n_keys + G_N_ELEMENTS(own) + 1);
    const KhConfigKey *keys = kh_config_keys();
    guint n = 0;

    for (guint i = 0; i < options->n_keys; i++)
        if (keys[i].option != NULL)
            entries[n++] = entry_of(&keys[i], &options->keys[i], options);
    for (guint i = 0; i < G_N_ELEMENTS(own); i++)
        entries[n++] = own[i];
    return entries;
}

static gboolean
add_text(GVariantDict *dict, const KhConfigKey *key, const char *text, GError **error)
{
    g_autofree char *what = g_strconcat("--", key->option, NULL);
    g_autoptr(GVariant) value = kh_value_parse(key, what, text, error);

    if (value != NULL)
        g_variant_dict_insert_value(dict, key->key, value);
    return value != NULL;
}

static gboolean
add_labels(GVariantDict *dict, char **labels, GError **error)
{
    g_auto(GVariantBuilder) builder = G_VARIANT_BUILDER_INIT(G_VARIANT_TYPE("a{ss}"));

    for (; labels != NULL && *labels != NULL; labels++) {
        g_auto(GStrv) parts = g_strsplit(*labels, "=", 2);

        if (g_strv_length(parts) != 2)
            return kh_error_set(error, KH_ERROR_INVALID_ARGUMENT, "--label must be KEY=VALUE");
        g_variant_builder_add(&builder, "{ss}", parts[0], parts[1]);
    }
    g_variant_dict_insert_value(dict, "labels", g_variant_builder_end(&builder));
    return TRUE;
}

static GVariant *
build_config(const Options *options, char **rest, GError **error)
{
    g_auto(GVariantDict) dict = G_VARIANT_DICT_INIT(NULL);
    const KhConfigKey *keys = kh_config_keys();
    g_autoptr(GVariant) args = NULL;

    for (guint i = 0; i < options->n_keys; i++) {
        const Said *said = &options->keys[i];

        if (said->text != NULL && !add_text(&dict, &keys[i], said->text, error))
            return NULL;
        if (said->flag)
            g_variant_dict_insert(&dict, keys[i].key, "b", TRUE);
    }
    args = kh_value_katana_args(options->args_file, rest, error);
    if (args == NULL || !add_labels(&dict, options->labels, error))
        return NULL;
    g_variant_dict_insert_value(&dict, "katana-args", args);
    return g_variant_ref_sink(g_variant_dict_end(&dict));
}

static GVariant *
overrides_of(const Options *options)
{
    g_auto(GVariantDict) dict = G_VARIANT_DICT_INIT(NULL);

    if (options->force)
        g_variant_dict_insert(&dict, "force", "b", TRUE);
    if (options->allow_dev)
        g_variant_dict_insert(&dict, "allow-dev", "b", TRUE);
    return g_variant_dict_end(&dict);
}

/* Nobody is asked to authenticate for a name that can be none. */
static char *
create(KhCli *cli, const char *name, GVariant *config, GVariant *overrides, GError **error)
{
    g_autoptr(GVariant) held = g_variant_ref_sink(overrides);
    g_autoptr(GVariant) path = NULL;

    if (kh_name_check(name, error))
        path = kh_client_ask(cli, KH_PATH_MANAGER, KH_INTERFACE_MANAGER, "CreateInstance",
                             g_variant_new("(s@a{sv}@a{sv})", name, config, held), "(o)", error);
    if (path == NULL)
        kh_value_name_option("--", error);
    return path == NULL ? NULL : g_variant_dup_string(path, NULL);
}

static gboolean
start(KhCli *cli, const char *name, const char *path, GError **error)
{
    g_autofree char *job = NULL;

    return kh_operation_run(cli, &kh_operation_start, name, path, g_variant_new("a{sv}", NULL),
                            &job, error);
}

/* More vCPUs than processors are allowed and slow. */
static void
warn_of_vcpus(KhCli *cli, GVariant *properties)
{
    guint32 vcpus = 0;

    g_variant_lookup(properties, "Vcpus", "u", &vcpus);
    if (vcpus > g_get_num_processors())
        g_printerr("katana-hypervisor: warning: the instance has %u vCPUs, and this machine only "
                   "%u processors\n",
                   vcpus, g_get_num_processors());
}

static gboolean
print(KhCli *cli, const char *path, GError **error)
{
    g_autoptr(GVariant) properties = kh_client_get_instance(cli, path, error);
    const char *name = "", *url = "", *state = "";
    gboolean at_boot = FALSE;
    g_autofree char *line = NULL, *harmless = NULL;

    if (properties == NULL)
        return FALSE;
    warn_of_vcpus(cli, properties);
    g_variant_lookup(properties, "StartAtBoot", "b", &at_boot);
    if (at_boot)
        kh_lasting_warn_of_boot(cli);
    kh_lasting_warn_of_logout(cli);
    if (cli->json) {
        kh_output_json(kh_output_properties(properties));
        return TRUE;
    }
    g_variant_lookup(properties, "Name", "&s", &name);
    g_variant_lookup(properties, "RpcUrl", "&s", &url);
    g_variant_lookup(properties, "State", "&s", &state);
    line = g_strdup_printf("%s %s %s", name, state, url);
    harmless = kh_text_sanitize(line, LINE_SHOWN_MAX);
    puts(harmless);
    return TRUE;
}

int
kh_verb_create(KhCli *cli)
{
    const guint n = kh_config_n_keys();
    g_auto(Options) options = {.keys = g_new0(Said, n), .n_keys = n};
    g_autofree GOptionEntry *entries = build_entries(&options);
    GError *error = NULL;
    g_auto(GStrv) names = NULL;
    g_autoptr(GVariant) config = NULL;
    g_autofree char *path = NULL;

    cli->keeps_rest = TRUE;
    names = kh_cli_parse(cli, entries, "NAME [-- KATANA-ARGS...]", 1, 1, &error);
    if (names != NULL)
        config = build_config(&options, cli->rest, &error);
    if (config != NULL)
        path = create(cli, names[0], config, overrides_of(&options), &error);
    if (path == NULL || (options.auto_start && !start(cli, names[0], path, &error)) ||
        !print(cli, path, &error))
        return kh_cli_fail(cli, error);
    return 0;
}
