/* SPDX-License-Identifier: MIT */
/*
 * katana-hypervisor set: changes configuration keys, called by the long options of create, all
 * of them or none.
 */
#include <stdio.h>

#include "client.h"
#include "error.h"
#include "lasting.h"
#include "names.h"
#include "values.h"
#include "verbs.h"

#define ARGS_FILE "katana-args-file"

/* What the command line wants changed. */
typedef struct {
    GPtrArray *keys;   /* const KhConfigKey, each once, as they were given */
    GPtrArray *values; /* GVariant, NULL for the labels */
    GPtrArray *labels; /* "K=V" sets one, "K" removes one */
} Changes;

static void
changes_clear(Changes *changes)
{
    g_ptr_array_unref(changes->keys);
    g_ptr_array_unref(changes->values);
    g_ptr_array_unref(changes->labels);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Changes, changes_clear)

static void
unref_value(gpointer value)
{
    if (value != NULL)
        g_variant_unref(value);
}

/* How @key is called here. */
static const char *
word_of(const KhConfigKey *key)
{
    return key->option != NULL ? key->option : ARGS_FILE;
}

static gboolean
refuse_unknown(const char *word, GError **error)
{
    g_autofree const char **known = g_new0(const char *, kh_config_n_keys() + 1);
    const KhConfigKey *keys = kh_config_keys();
    const KhConfigKey *of_the_bus = kh_config_key_find(word);
    const char *nearest;

    for (guint i = 0; keys[i].key != NULL; i++)
        known[i] = word_of(&keys[i]);
    nearest = of_the_bus != NULL ? word_of(of_the_bus) : kh_nearest_word(word, known);
    if (nearest != NULL)
        return kh_error_set(error, KH_ERROR_INVALID_ARGUMENT,
                            "There is no key \"%s\"; did you mean \"%s\"?", word, nearest);
    return kh_error_set(
        error, KH_ERROR_INVALID_ARGUMENT,
        "There is no key \"%s\"; the keys are the options of create, see create --help", word);
}

static const KhConfigKey *
find_key(const char *word)
{
    for (const KhConfigKey *key = kh_config_keys(); key->key != NULL; key++)
        if (g_str_equal(word_of(key), word))
            return key;
    return NULL;
}

static gboolean
add_label(Changes *changes, const KhConfigKey *key, const char *text, GError **error)
{
    if (!g_utf8_validate(text, -1, NULL))
        return kh_error_set(error, KH_ERROR_INVALID_ARGUMENT, "%s is not UTF-8", word_of(key));
    if (text[0] == '\0' || text[0] == '=')
        return kh_error_set(error, KH_ERROR_INVALID_ARGUMENT,
                            "Write label=K=V to set a label, label=K to remove it");
    g_ptr_array_add(changes->labels, g_strdup(text));
    if (!g_ptr_array_find(changes->keys, key, NULL)) {
        g_ptr_array_add(changes->keys, (gpointer)key);
        g_ptr_array_add(changes->values, NULL);
    }
    return TRUE;
}

static gboolean
add_value(Changes *changes, const KhConfigKey *key, const char *text, GError **error)
{
    GVariant *value;

    if (g_ptr_array_find(changes->keys, key, NULL))
        return kh_error_set(error, KH_ERROR_INVALID_ARGUMENT, "%s is given twice", word_of(key));
    value = key->form == KH_CONFIG_LIST ? kh_value_katana_args(text, NULL, error)
                                        : kh_value_parse_change(key, text, error);
    if (value == NULL)
        return FALSE;
    g_ptr_array_add(changes->keys, (gpointer)key);
    g_ptr_array_add(changes->values, value);
    return TRUE;
}

static gboolean
add_change(Changes *changes, const char *text, GError **error)
{
    g_auto(GStrv) parts = g_strsplit(text, "=", 2);
    const KhConfigKey *key;

    if (g_strv_length(parts) != 2)
        return kh_error_set(error, KH_ERROR_INVALID_ARGUMENT,
                            "\"%s\" has no value; write KEY=VALUE", text);
    key = find_key(parts[0]);
    if (key == NULL)
        return refuse_unknown(parts[0], error);
    return key->form == KH_CONFIG_LABELS ? add_label(changes, key, parts[1], error)
                                         : add_value(changes, key, parts[1], error);
}

static gboolean
parse(Changes *changes, char **texts, GError **error)
{
    for (; *texts != NULL; texts++)
        if (!add_change(changes, *texts, error))
            return FALSE;
    return TRUE;
}

static void
change_label(GHashTable *labels, const char *text)
{
    g_auto(GStrv) parts = g_strsplit(text, "=", 2);

    if (parts[1] == NULL)
        g_hash_table_remove(labels, parts[0]);
    else
        g_hash_table_insert(labels, g_strdup(parts[0]), g_strdup(parts[1]));
}

static GHashTable *
get_labels(KhCli *cli, const char *path, GError **error)
{
    g_autoptr(GHashTable) labels = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    g_autoptr(GVariant) properties = kh_client_get_all(cli, path, KH_INTERFACE_INSTANCE, error);
    g_autoptr(GVariantIter) iter = NULL;
    char *key, *value;

    if (properties == NULL)
        return NULL;
    if (g_variant_lookup(properties, "Labels", "a{ss}", &iter))
        while (g_variant_iter_next(iter, "{ss}", &key, &value))
            g_hash_table_insert(labels, key, value);
    return g_steal_pointer(&labels);
}

/* The labels that there are, with the changes: the bus knows them only as a whole. */
static GVariant *
labels_value(KhCli *cli, const char *path, const Changes *changes, GError **error)
{
    g_auto(GVariantBuilder) builder = G_VARIANT_BUILDER_INIT(G_VARIANT_TYPE("a{ss}"));
    g_autoptr(GHashTable) labels = get_labels(cli, path, error);
    GHashTableIter iter;
    gpointer key, value;

    if (labels == NULL)
        return NULL;
    for (guint i = 0; i < changes->labels->len; i++)
        change_label(labels, changes->labels->pdata[i]);
    g_hash_table_iter_init(&iter, labels);
    while (g_hash_table_iter_next(&iter, &key, &value))
        g_variant_builder_add(&builder, "{ss}", key, value);
    return g_variant_ref_sink(g_variant_builder_end(&builder));
}

static GVariant *
build(KhCli *cli, const char *path, const Changes *changes, GError **error)
{
    g_auto(GVariantDict) dict = G_VARIANT_DICT_INIT(NULL);

    for (guint i = 0; i < changes->keys->len; i++) {
        const KhConfigKey *key = changes->keys->pdata[i];
        g_autoptr(GVariant) labels = NULL;
        GVariant *value = changes->values->pdata[i];

        if (value == NULL)
            value = labels = labels_value(cli, path, changes, error);
        if (value == NULL)
            return NULL;
        g_variant_dict_insert_value(&dict, key->key, value);
    }
    return g_variant_ref_sink(g_variant_dict_end(&dict));
}

/* The keys that wait for the next start; NULL with @error. */
static char **
configure(KhCli *cli, const char *path, const Changes *changes, GError **error)
{
    g_autoptr(GVariant) values = build(cli, path, changes, error);
    g_autoptr(GVariant) pending = NULL;

    if (values != NULL)
        pending = kh_client_ask(cli, path, KH_INTERFACE_INSTANCE, "Configure",
                                g_variant_new("(@a{sv}a{sv})", values, NULL), "(as)", error);
    if (pending == NULL)
        kh_value_name_option("", error);
    return pending == NULL ? NULL : g_variant_dup_strv(pending, NULL);
}

static gboolean
print(KhCli *cli, const char *path, const Changes *changes, char **pending, GError **error)
{
    for (guint i = 0; !cli->json && i < changes->keys->len; i++) {
        const KhConfigKey *key = changes->keys->pdata[i];
        gboolean waits = g_strv_contains((const char *const *)pending, key->key);

        printf("%s: %s\n", word_of(key), waits ? "at next start" : "now");
    }
    return !cli->json || kh_verb_print_json(cli, path, error);
}

/* Only when the call itself wants it: whoever changes the memory need not hear of it again. */
static void
warn(KhCli *cli, const Changes *changes)
{
    for (guint i = 0; i < changes->keys->len; i++) {
        const KhConfigKey *key = changes->keys->pdata[i];

        if (g_str_equal(key->key, "start-at-boot") &&
            g_variant_get_boolean(changes->values->pdata[i]))
            kh_lasting_warn_of_boot(cli);
    }
}

/* The keys for --help. */
static char *
describe_keys(void)
{
    g_autoptr(GString) text = g_string_new("Keys:\n");

    for (const KhConfigKey *key = kh_config_keys(); key->key != NULL; key++) {
        const char *value = key->form == KH_CONFIG_FLAG   ? "true|false"
                            : key->form == KH_CONFIG_LIST ? "FILE"
                                                          : key->placeholder;
        g_autofree char *change = g_strdup_printf("%s=%s", word_of(key), value);

        g_string_append_printf(text, "  %-24s %s\n", change, key->help);
    }
    g_string_append(text, "\nlabel=K=V sets one label and leaves the others, label=K removes it.");
    return g_string_free(g_steal_pointer(&text), FALSE);
}

int
kh_verb_set(KhCli *cli)
{
    g_auto(Changes) changes = {.keys = g_ptr_array_new(),
                               .values = g_ptr_array_new_with_free_func(unref_value),
                               .labels = g_ptr_array_new_with_free_func(g_free)};
    GError *error = NULL;
    g_auto(GStrv) words = NULL;
    g_autofree char *path = NULL;
    g_auto(GStrv) pending = NULL;

    cli->details = describe_keys();
    cli->paths_from = 1; /* katana-args-file=FILE; the values of other keys are looked at below */
    words = kh_cli_parse(cli, NULL, "NAME KEY=VALUE...", 2, G_MAXUINT, &error);
    if (words != NULL && parse(&changes, words + 1, &error))
        path = kh_client_find(cli, words[0], &error);
    if (path != NULL)
        pending = configure(cli, path, &changes, &error);
    if (pending == NULL || !print(cli, path, &changes, pending, &error))
        return kh_cli_fail(cli, error);
    warn(cli, &changes);
    return 0;
}
