/* SPDX-License-Identifier: MIT */
/* An instance's configuration; see config.h. The keys: config-keys.h. */
#include "config.h"

#include <string.h>

#include "config-keys.h"

/* Each is a dict entry, aligned to 8 bytes, of two strings, each with a length and a NUL. */
static guint
count_labels(GVariant *dict)
{
    g_autoptr(GVariantIter) iter = NULL;
    const char *key, *value;
    gsize bytes = 0;

    g_variant_lookup(dict, "labels", "a{ss}", &iter);
    while (g_variant_iter_next(iter, "{&s&s}", &key, &value))
        bytes += strlen(key) + strlen(value) + 24;
    return (guint)bytes;
}

/* Every key in the list's order, so that equal configurations have equal text. */
static GVariant *
fill_defaults(GVariant *dict)
{
    g_auto(GVariantBuilder) all = G_VARIANT_BUILDER_INIT(G_VARIANT_TYPE_VARDICT);

    for (const KhConfigKey *key = kh_config_keys(); key->key != NULL; key++) {
        g_autoptr(GVariant) value =
            g_variant_lookup_value(dict, key->key, G_VARIANT_TYPE(key->type));

        if (value == NULL)
            value = g_variant_parse(G_VARIANT_TYPE(key->type), key->fallback, NULL, NULL, NULL);
        g_variant_builder_add(&all, "{sv}", key->key, value);
    }
    return g_variant_ref_sink(g_variant_builder_end(&all));
}

KhConfig *
kh_config_fill(GVariant *dict)
{
    g_autoptr(GVariant) given = g_variant_ref_sink(dict);
    g_autoptr(GVariant) full = fill_defaults(given);
    KhConfig *config = g_atomic_rc_box_new0(KhConfig);

    config->dict = g_variant_get_normal_form(full);
    g_variant_lookup(config->dict, "vcpus", "u", &config->vcpus);
    g_variant_lookup(config->dict, "memory-bytes", "t", &config->memory_bytes);
    g_variant_lookup(config->dict, "storage-bytes", "t", &config->storage_bytes);
    g_variant_lookup(config->dict, "rpc-port", "q", &config->rpc_port);
    g_variant_lookup(config->dict, "rpc-address", "&s", &config->rpc_address);
    g_variant_lookup(config->dict, "dev", "b", &config->dev);
    g_variant_lookup(config->dict, "chain-id", "&s", &config->chain_id);
    g_variant_lookup(config->dict, "block-time", "t", &config->block_time);
    g_variant_lookup(config->dict, "accounts", "q", &config->accounts);
    g_variant_lookup(config->dict, "no-fee", "b", &config->no_fee);
    g_variant_lookup(config->dict, "katana-args", "^a&s", &config->katana_args);
    g_variant_lookup(config->dict, "accelerator", "&s", &config->accelerator);
    g_variant_lookup(config->dict, "outbound", "b", &config->outbound);
    g_variant_lookup(config->dict, "image", "&s", &config->image);
    g_variant_lookup(config->dict, "start-at-boot", "b", &config->start_at_boot);
    g_variant_lookup(config->dict, "restart-policy", "&s", &config->restart_policy);
    g_variant_lookup(config->dict, "cpu-quota-percent", "u", &config->cpu_quota);
    g_variant_lookup(config->dict, "tee", "b", &config->tee);
    g_variant_lookup(config->dict, "vcpu-type", "&s", &config->vcpu_type);
    g_variant_lookup(config->dict, "sealed", "b", &config->sealed);
    g_variant_lookup(config->dict, "description", "&s", &config->description);
    config->labels_bytes = count_labels(config->dict) + (guint)strlen(config->description);
    return config;
}

static void
config_clear(gpointer data)
{
    KhConfig *config = data;

    g_free(config->katana_args);
    g_variant_unref(config->dict);
}

KhConfig *
kh_config_ref(const KhConfig *config)
{
    return g_atomic_rc_box_acquire((gpointer)config);
}

void
kh_config_unref(KhConfig *config)
{
    if (config != NULL)
        g_atomic_rc_box_release_full(config, config_clear);
}

KhConfig *
kh_config_with(const KhConfig *config, const char *key, GVariant *value)
{
    g_auto(GVariantDict) dict = G_VARIANT_DICT_INIT(config->dict);

    g_variant_dict_insert_value(&dict, key, value);
    return kh_config_fill(g_variant_dict_end(&dict));
}

/* A key given twice stays twice, so that it is refused. */
GVariant *
kh_config_merge(const KhConfig *config, GVariant *changes)
{
    g_auto(GVariantBuilder) merged = G_VARIANT_BUILDER_INIT(G_VARIANT_TYPE_VARDICT);
    GVariantIter iter;
    const char *key;
    GVariant *value;

    g_variant_iter_init(&iter, config->dict);
    while (g_variant_iter_loop(&iter, "{&sv}", &key, &value)) {
        g_autoptr(GVariant) replaced = g_variant_lookup_value(changes, key, NULL);

        if (replaced == NULL)
            g_variant_builder_add(&merged, "{sv}", key, value);
    }
    g_variant_iter_init(&iter, changes);
    while (g_variant_iter_loop(&iter, "{&sv}", &key, &value))
        g_variant_builder_add(&merged, "{sv}", key, value);
    return g_variant_ref_sink(g_variant_builder_end(&merged));
}

KhConfig *
kh_config_with_live_keys(const KhConfig *config, const KhConfig *wanted)
{
    g_auto(GVariantDict) dict = G_VARIANT_DICT_INIT(config->dict);

    for (const KhConfigKey *key = kh_config_keys(); key->key != NULL; key++) {
        g_autoptr(GVariant) value = g_variant_lookup_value(wanted->dict, key->key, NULL);

        if (kh_config_key_is_live(key->key))
            g_variant_dict_insert_value(&dict, key->key, value);
    }
    return kh_config_fill(g_variant_dict_end(&dict));
}

char **
kh_config_differences(const KhConfig *a, const KhConfig *b)
{
    g_autoptr(GStrvBuilder) keys = g_strv_builder_new();

    for (const KhConfigKey *key = kh_config_keys(); key->key != NULL; key++) {
        g_autoptr(GVariant) first = g_variant_lookup_value(a->dict, key->key, NULL);
        g_autoptr(GVariant) second = g_variant_lookup_value(b->dict, key->key, NULL);

        if (!g_variant_equal(first, second))
            g_strv_builder_add(keys, key->key);
    }
    return g_strv_builder_end(keys);
}

char *
kh_config_to_text(const KhConfig *config)
{
    return g_variant_print(config->dict, TRUE);
}

gboolean
kh_config_exposes(GVariant *dict)
{
    const char *address = NULL;
    gboolean outbound = FALSE;

    /* Every entry is looked at: of a key given twice, a lookup sees only one. */
    for (gsize i = 0; i < g_variant_n_children(dict); i++) {
        g_autoptr(GVariant) value = NULL;
        const char *key;

        g_variant_get_child(dict, i, "{&sv}", &key, &value);
        if (g_str_equal(key, "outbound") && g_variant_is_of_type(value, G_VARIANT_TYPE_BOOLEAN))
            outbound |= g_variant_get_boolean(value);
        if (g_str_equal(key, "rpc-address") && g_variant_is_of_type(value, G_VARIANT_TYPE_STRING))
            address = g_variant_get_string(value, NULL);
        if (outbound || (address != NULL && !g_str_equal(address, "127.0.0.1")))
            return TRUE;
    }
    return FALSE;
}

gboolean
kh_config_moves_endpoint(GVariant *dict)
{
    GVariantIter iter;
    const char *key;

    g_variant_iter_init(&iter, dict);
    while (g_variant_iter_next(&iter, "{&sv}", &key, NULL))
        if (kh_config_key_is_endpoint(key))
            return TRUE;
    return FALSE;
}
