/* SPDX-License-Identifier: MIT */
/* The list of configuration keys; see config-keys.h. */
#include "config-keys.h"

#include "names.h"

#define MIB (G_GUINT64_CONSTANT(1) << 20)
#define TIB (G_GUINT64_CONSTANT(1) << 40)

static const KhConfigKey keys[] = {
    {"vcpus", "u", "4", KH_CONFIG_NUMBER, 1, 255, "vcpus", "N", "Virtual processors"},
    {"memory-bytes", "t", "4294967296", KH_CONFIG_SIZE, 128 * MIB, 16 * TIB, "memory", "SIZE",
     "Memory of the machine, such as 4G"},
    {"storage-bytes", "t", "10737418240", KH_CONFIG_SIZE, 50 * MIB, 8 * TIB, "storage", "SIZE",
     "Size of the data disk (sparse)"},
    {"rpc-port", "q", "0", KH_CONFIG_NUMBER, 1024, 65535, "port", "PORT",
     "TCP port of the RPC endpoint (default: the lowest free)"},
    {"rpc-address", "s", "'127.0.0.1'", KH_CONFIG_TEXT, 0, 0, "bind", "ADDR",
     "IPv4 address of the RPC endpoint (default: 127.0.0.1)"},
    {"dev", "b", "false", KH_CONFIG_FLAG, 0, 0, "dev", NULL, "Katana's development mode"},
    {"chain-id", "s", "''", KH_CONFIG_TEXT, 0, 0, "chain-id", "ID", "Chain id"},
    {"block-time", "t", "0", KH_CONFIG_NUMBER, 0, 86400000, "block-time", "MS",
     "Time from block to block, in milliseconds"},
    {"accounts", "q", "0", KH_CONFIG_NUMBER, 0, 1000, "accounts", "N",
     "Number of prefunded accounts (with --dev)"},
    {"no-fee", "b", "false", KH_CONFIG_FLAG, 0, 0, "no-fee", NULL, "Charge no fee (with --dev)"},
    {"katana-args", "as", "[]", KH_CONFIG_LIST, 0, 0, NULL, NULL, "Further arguments of Katana"},
    {"accelerator", "s", "'auto'", KH_CONFIG_TEXT, 0, 0, "accelerator", "NAME",
     "What the machine runs with: auto, kvm or tcg"},
    {"labels", "a{ss}", "{}", KH_CONFIG_LABELS, 0, 0, "label", "K=V",
     "Labels of your own; may be given several times"},
    {"description", "s", "''", KH_CONFIG_TEXT, 0, 0, "description", "TEXT",
     "What it is for: at most 256 characters"},
    {"outbound", "b", "false", KH_CONFIG_FLAG, 0, 0, "outbound", NULL,
     "Let the guest open connections to the outside"},
    {"image", "s", "'default'", KH_CONFIG_TEXT, 0, 0, "image", "ID",
     "Boot components: the id of an image, or default for today's"},
    {"start-at-boot", "b", "false", KH_CONFIG_FLAG, 0, 0, "start-at-boot", NULL,
     "Start it with the service"},
    {"restart-policy", "s", "'no'", KH_CONFIG_TEXT, 0, 0, "restart", "POLICY",
     "Whether to restart it when it ends by itself: no, on-failure or always"},
    {"cpu-quota-percent", "u", "0", KH_CONFIG_NUMBER, 1, 25500, "cpu-quota-percent", "N",
     "Limit of processor time, in percent of one processor (default: none)"},
    {"tee", "b", "false", KH_CONFIG_FLAG, 0, 0, "tee", NULL,
     "Make it a confidential machine (AMD SEV-SNP)"},
    {"vcpu-type", "s", "'EPYC-v4'", KH_CONFIG_TEXT, 0, 0, "vcpu-type", "TYPE",
     "With --tee: the type of processor, which is measured (default: EPYC-v4)"},
    {"sealed", "b", "false", KH_CONFIG_FLAG, 0, 0, "sealed", NULL,
     "With --tee: a disk that opens for the measured machine only"},
    {NULL, NULL, NULL, KH_CONFIG_TEXT, 0, 0, NULL, NULL, NULL},
};

static const char *const live_keys[] = {"labels",         "description",       "start-at-boot",
                                        "restart-policy", "cpu-quota-percent", NULL};

/* Where an instance is reached, and all that its Katana's command line is made of. */
static const char *const endpoint_keys[] = {"rpc-port",    "rpc-address", "outbound", "dev",
                                            "chain-id",    "block-time",  "accounts", "no-fee",
                                            "katana-args", NULL};

/* What GetConfiguration gives and nobody else may learn; all others are no secret. */
static const char *const secret_keys[] = {"katana-args", NULL};

const KhConfigKey *
kh_config_keys(void)
{
    return keys;
}

guint
kh_config_n_keys(void)
{
    return G_N_ELEMENTS(keys) - 1;
}

const KhConfigKey *
kh_config_key_find(const char *key)
{
    for (const KhConfigKey *known = keys; known->key != NULL; known++)
        if (g_str_equal(known->key, key))
            return known;
    return NULL;
}

gboolean
kh_config_key_is_live(const char *key)
{
    return g_strv_contains(live_keys, key);
}

gboolean
kh_config_key_is_endpoint(const char *key)
{
    return g_strv_contains(endpoint_keys, key);
}

gboolean
kh_config_key_is_secret(const char *key)
{
    return g_strv_contains(secret_keys, key);
}

/* "RpcPort" and "rpc_port" as "rpc-port". */
static char *
spell_as_key(const char *word)
{
    GString *key = g_string_new(NULL);

    for (const char *c = word; *c != '\0'; c++) {
        if (g_ascii_isupper(*c) && c != word)
            g_string_append_c(key, '-');
        g_string_append_c(key, *c == '_' ? '-' : g_ascii_tolower(*c));
    }
    return g_string_free(key, FALSE);
}

static const char *
key_of_option(const char *option)
{
    for (const KhConfigKey *known = keys; known->key != NULL; known++)
        if (g_strcmp0(known->option, option) == 0)
            return known->key;
    return NULL;
}

const char *
kh_config_key_nearest(const char *key)
{
    const char *names[2 * G_N_ELEMENTS(keys)] = {NULL};
    g_autofree char *spelt = spell_as_key(key);
    const char *nearest;
    gsize n = 0;

    for (const KhConfigKey *known = keys; known->key != NULL; known++)
        names[n++] = known->key;
    for (const KhConfigKey *known = keys; known->key != NULL; known++)
        if (known->option != NULL)
            names[n++] = known->option;
    nearest = kh_nearest_word(spelt, names);
    if (nearest == NULL || kh_config_key_find(nearest) != NULL)
        return nearest;
    return key_of_option(nearest);
}
