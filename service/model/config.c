/* SPDX-License-Identifier: MIT */
/* Checks an instance's configuration; see config.h. The keys: config-keys.h. */
#include "config.h"

#include <arpa/inet.h>
#include <string.h>

#include "config-keys.h"
#include "error.h"
#include "names.h"
#include "sizes.h"
#include "tee/cpu-types.h"

#define KATANA_ARGS_MAX 64
#define KATANA_ARG_BYTES_MAX 4096
#define SECRET_MIN 8 /* shorter words are not secret, and are in other words */
#define REDACTED "[redacted]"
#define DESCRIPTION_MAX 256 /* characters */
#define LABELS_MAX 32
#define LABEL_KEY_MAX 63
#define LABEL_VALUE_MAX 256

/* What the guest's init sets itself. */
static const char *const reserved_args[] = {"--db-dir",    "--data-dir",  "--chain",
                                            "--http.addr", "--http.port", NULL};

static const char *const accelerators[] = {"auto", "kvm", "tcg", NULL};
static const char *const policies[] = {"no", "on-failure", "always", NULL};

static gboolean
refuse_size(const KhConfigKey *key, guint64 bytes, GError **error)
{
    g_autofree char *least = kh_size_format(key->min);
    g_autofree char *most = kh_size_format(key->max);
    g_autofree char *meant = kh_size_guess(bytes, key->min, key->max);

    return kh_error_set(error, KH_ERROR_INVALID_ARGUMENT,
                        "%s is %" G_GUINT64_FORMAT " bytes; it must be from %s to %s%s%s%s",
                        key->key, bytes, least, most, meant != NULL ? "; did you mean " : "",
                        meant != NULL ? meant : "", meant != NULL ? "?" : "");
}

static gboolean
check_range(const KhConfigKey *key, guint64 number, GError **error)
{
    if (number >= key->min && number <= key->max)
        return TRUE;
    /* A zero port or account count means "choose for me" on the bus. */
    if (number == 0 && g_str_equal(key->fallback, "0"))
        return TRUE;
    if (key->form == KH_CONFIG_SIZE)
        return refuse_size(key, number, error);
    return kh_error_set(error, KH_ERROR_INVALID_ARGUMENT,
                        "%s is %" G_GUINT64_FORMAT "; it must be from %" G_GUINT64_FORMAT
                        " to %" G_GUINT64_FORMAT,
                        key->key, number, key->min, key->max);
}

static guint64
number_of(GVariant *value)
{
    switch (g_variant_classify(value)) {
    case G_VARIANT_CLASS_UINT16:
        return g_variant_get_uint16(value);
    case G_VARIANT_CLASS_UINT32:
        return g_variant_get_uint32(value);
    default:
        return g_variant_get_uint64(value);
    }
}

static gboolean
check_value(const KhConfigKey *key, GVariant *value, GError **error)
{
    if (!g_variant_is_of_type(value, G_VARIANT_TYPE(key->type)))
        return kh_error_set(error, KH_ERROR_INVALID_ARGUMENT,
                            "%s has the D-Bus type '%s'; it must be '%s'", key->key,
                            g_variant_get_type_string(value), key->type);
    if (key->form == KH_CONFIG_NUMBER || key->form == KH_CONFIG_SIZE)
        return check_range(key, number_of(value), error);
    return TRUE;
}

static gboolean
refuse_unknown(const char *name, GError **error)
{
    const char *nearest = kh_config_key_nearest(name);
    g_autofree char *shown = g_strescape(name, NULL);

    return kh_error_set(error, KH_ERROR_INVALID_ARGUMENT,
                        "There is no configuration key \"%.64s\"%s%s%s", shown,
                        nearest != NULL ? "; did you mean \"" : "", nearest != NULL ? nearest : "",
                        nearest != NULL ? "\"?" : "");
}

static gboolean
check_keys(GVariant *dict, GError **error)
{
    g_autoptr(GHashTable) seen = g_hash_table_new(g_str_hash, g_str_equal);
    GVariantIter iter;
    const char *name;
    GVariant *item;

    g_variant_iter_init(&iter, dict);
    while (g_variant_iter_next(&iter, "{&sv}", &name, &item)) {
        g_autoptr(GVariant) value = item;
        const KhConfigKey *key = kh_config_key_find(name);

        if (key == NULL)
            return refuse_unknown(name, error);
        if (!g_hash_table_add(seen, (gpointer)key->key))
            return kh_error_set(error, KH_ERROR_INVALID_ARGUMENT, "%s is given twice", name);
        if (!check_value(key, value, error))
            return FALSE;
    }
    return TRUE;
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

static KhConfig *
config_of_dict(GVariant *full)
{
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

static gboolean
check_limits(const KhConfig *config, const KhConfigLimits *limits, GError **error)
{
    g_autofree char *memory = kh_size_format(config->memory_bytes);
    g_autofree char *memory_max = kh_size_format(limits->memory_max);
    g_autofree char *storage = kh_size_format(config->storage_bytes);
    g_autofree char *storage_max = kh_size_format(limits->storage_max);

    if (config->memory_bytes > limits->memory_max)
        return kh_error_set(error, KH_ERROR_INVALID_ARGUMENT,
                            "memory-bytes is %" G_GUINT64_FORMAT
                            " (%s), more than the %" G_GUINT64_FORMAT " (%s) of this host",
                            config->memory_bytes, memory, limits->memory_max, memory_max);
    if (config->storage_bytes > limits->storage_max)
        return kh_error_set(
            error, KH_ERROR_INVALID_ARGUMENT,
            "storage-bytes is %s, and a file on the file system of the state folder can "
            "have at most %s",
            storage, storage_max);
    return TRUE;
}

static gboolean
check_address(const KhConfig *config, GError **error)
{
    g_autofree char *shown = kh_text_sanitize(config->rpc_address, 64);
    struct in_addr address;

    if (inet_pton(AF_INET, config->rpc_address, &address) == 1)
        return TRUE;
    return kh_error_set(error, KH_ERROR_INVALID_ARGUMENT,
                        "rpc-address is \"%s\"; it must be an IPv4 address in dotted form, such as "
                        "127.0.0.1",
                        shown);
}

/* The guest splits its arguments at white space, without quoting. */
static gboolean
has_blank_or_control(const char *text)
{
    for (const char *c = text; *c != '\0'; c++)
        if (g_ascii_isspace(*c) || g_ascii_iscntrl(*c))
            return TRUE;
    return FALSE;
}

static gboolean
check_choice(const char *key, const char *value, const char *const *choices, GError **error)
{
    g_autofree char *list = NULL;
    g_autofree char *shown = NULL;

    if (g_strv_contains(choices, value))
        return TRUE;
    list = g_strjoinv(", ", (char **)choices);
    shown = kh_text_sanitize(value, 64);
    return kh_error_set(error, KH_ERROR_INVALID_ARGUMENT, "%s is \"%s\"; it must be one of: %s",
                        key, shown, list);
}

static gboolean
check_words(const KhConfig *config, GError **error)
{
    if (strlen(config->chain_id) > 31 || has_blank_or_control(config->chain_id) ||
        config->chain_id[0] == '-')
        return kh_error_set(error, KH_ERROR_INVALID_ARGUMENT,
                            "chain-id must have at most 31 characters, none of them blank, and not "
                            "start with '-'");
    return check_choice("accelerator", config->accelerator, accelerators, error) &&
           check_choice("restart-policy", config->restart_policy, policies, error);
}

static gboolean
check_image(const KhConfig *config, GError **error)
{
    if (g_str_equal(config->image, KH_CONFIG_IMAGE_DEFAULT) ||
        (strlen(config->image) == 64 && strspn(config->image, "0123456789abcdef") == 64))
        return TRUE;
    return kh_error_set(error, KH_ERROR_INVALID_ARGUMENT,
                        "image must be \"default\" or the id of an image, 64 hexadecimal digits");
}

static gboolean
is_reserved(const char *arg, const char **reserved)
{
    for (guint i = 0; reserved_args[i] != NULL; i++) {
        gsize length = strlen(reserved_args[i]);

        if (strncmp(arg, reserved_args[i], length) == 0 &&
            (arg[length] == '\0' || arg[length] == '=')) {
            *reserved = reserved_args[i];
            return TRUE;
        }
    }
    return FALSE;
}

/* Arguments can hold keys: errors give their place, never their text. */
static gboolean
check_katana_arg(const char *arg, guint number, GError **error)
{
    const char *reserved = NULL;

    if (strlen(arg) > KATANA_ARG_BYTES_MAX)
        return kh_error_set(error, KH_ERROR_INVALID_ARGUMENT,
                            "Katana argument %u is longer than %d bytes", number,
                            KATANA_ARG_BYTES_MAX);
    if (arg[0] == '\0' || has_blank_or_control(arg))
        return kh_error_set(
            error, KH_ERROR_INVALID_ARGUMENT,
            "Katana argument %u is empty or has a blank in it, and the guest splits "
            "arguments at blanks; leave it out, or write it without",
            number);
    if (is_reserved(arg, &reserved))
        return kh_error_set(error, KH_ERROR_INVALID_ARGUMENT,
                            "Katana argument %u is %s, which the machine sets itself; leave it out",
                            number, reserved);
    return TRUE;
}

static gboolean
check_katana_args(const KhConfig *config, GError **error)
{
    guint n = g_strv_length((char **)config->katana_args);

    if (n > KATANA_ARGS_MAX)
        return kh_error_set(error, KH_ERROR_INVALID_ARGUMENT,
                            "katana-args has %u arguments, at most %d are allowed", n,
                            KATANA_ARGS_MAX);
    for (guint i = 0; i < n; i++)
        if (!check_katana_arg(config->katana_args[i], i + 1, error))
            return FALSE;
    return TRUE;
}

static gboolean
check_dev_only(const KhConfig *config, GError **error)
{
    if (config->dev || (!config->no_fee && config->accounts == 0))
        return TRUE;
    return kh_error_set(error, KH_ERROR_INVALID_ARGUMENT, "%s can only be used with dev",
                        config->no_fee ? "no-fee" : "accounts");
}

static gboolean
check_labels(const KhConfig *config, GError **error)
{
    g_autoptr(GVariant) labels =
        g_variant_lookup_value(config->dict, "labels", G_VARIANT_TYPE("a{ss}"));
    const char *key, *value;
    GVariantIter iter;

    if (g_variant_n_children(labels) > LABELS_MAX)
        return kh_error_set(error, KH_ERROR_INVALID_ARGUMENT,
                            "There are more than %d labels; use fewer", LABELS_MAX);
    g_variant_iter_init(&iter, labels);
    while (g_variant_iter_next(&iter, "{&s&s}", &key, &value)) {
        if (key[0] != '\0' && strlen(key) <= LABEL_KEY_MAX && strlen(value) <= LABEL_VALUE_MAX)
            continue;
        return kh_error_set(error, KH_ERROR_INVALID_ARGUMENT,
                            "The key of a label must have 1 to %d bytes, and its value at most %d",
                            LABEL_KEY_MAX, LABEL_VALUE_MAX);
    }
    return TRUE;
}

/* Of one line, and nothing that a terminal takes for anything but text. */
static gboolean
check_description(const KhConfig *config, GError **error)
{
    const char *c = config->description;

    while (*c != '\0' && g_unichar_isprint(g_utf8_get_char(c)))
        c = g_utf8_next_char(c);
    if (*c == '\0' && g_utf8_strlen(config->description, -1) <= DESCRIPTION_MAX)
        return TRUE;
    return kh_error_set(error, KH_ERROR_INVALID_ARGUMENT,
                        "description has %s; it must be a line of at most %d characters",
                        *c != '\0' ? "a character that cannot be printed"
                                   : "more characters than that",
                        DESCRIPTION_MAX);
}

static gboolean
check_tee_only(const KhConfig *config, GError **error)
{
    gboolean typed = !g_str_equal(config->vcpu_type, KH_CONFIG_VCPU_TYPE_DEFAULT);

    if (config->tee || (!config->sealed && !typed))
        return TRUE;
    return kh_error_set(error, KH_ERROR_INVALID_ARGUMENT, "%s can only be used with tee",
                        config->sealed ? "sealed" : "vcpu-type");
}

/* What the measurement holds of the processor must be the same on every host. */
static gboolean
check_tee(const KhConfig *config, GError **error)
{
    if (!config->tee)
        return check_tee_only(config, error);
    if (g_str_equal(config->accelerator, "tcg"))
        return kh_error_set(
            error, KH_ERROR_INVALID_ARGUMENT,
            "accelerator is tcg, but a confidential machine only runs with kvm; use kvm or auto");
    if (g_str_equal(config->vcpu_type, "host") || g_str_equal(config->vcpu_type, "max"))
        return kh_error_set(
            error, KH_ERROR_INVALID_ARGUMENT,
            "vcpu-type is %s, which differs from host to host, so that no measurement "
            "can be expected of it; give a model such as " KH_CONFIG_VCPU_TYPE_DEFAULT,
            config->vcpu_type);
    return kh_cpu_type_parse(config->vcpu_type, error) != NULL;
}

static gboolean
check_rules(const KhConfig *config, const KhConfigLimits *limits, GError **error)
{
    return check_limits(config, limits, error) && check_address(config, error) &&
           check_words(config, error) && check_image(config, error) &&
           check_katana_args(config, error) && check_dev_only(config, error) &&
           check_labels(config, error) && check_description(config, error) &&
           check_tee(config, error);
}

KhConfig *
kh_config_new(GVariant *dict, const KhConfigLimits *limits, GError **error)
{
    g_autoptr(GVariant) full = NULL;
    g_autoptr(KhConfig) config = NULL;

    if (!check_keys(dict, error))
        return NULL;
    full = fill_defaults(dict);
    config = config_of_dict(full);
    if (!check_rules(config, limits, error))
        return NULL;
    return g_steal_pointer(&config);
}

KhConfig *
kh_config_with(const KhConfig *config, const char *key, GVariant *value)
{
    g_auto(GVariantDict) dict = G_VARIANT_DICT_INIT(config->dict);
    g_autoptr(GVariant) changed = NULL;
    g_autoptr(GVariant) full = NULL;

    g_variant_dict_insert_value(&dict, key, value);
    changed = g_variant_ref_sink(g_variant_dict_end(&dict));
    full = fill_defaults(changed);
    return config_of_dict(full);
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
    g_autoptr(GVariant) changed = NULL;
    g_autoptr(GVariant) full = NULL;

    for (const KhConfigKey *key = kh_config_keys(); key->key != NULL; key++) {
        g_autoptr(GVariant) value = g_variant_lookup_value(wanted->dict, key->key, NULL);

        if (kh_config_key_is_live(key->key))
            g_variant_dict_insert_value(&dict, key->key, value);
    }
    changed = g_variant_ref_sink(g_variant_dict_end(&dict));
    full = fill_defaults(changed);
    return config_of_dict(full);
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

KhConfig *
kh_config_from_text(const char *text, GError **error)
{
    g_autoptr(GVariant) dict = g_variant_parse(G_VARIANT_TYPE_VARDICT, text, NULL, NULL, error);
    g_autoptr(GVariant) full = NULL;

    if (dict == NULL || !check_keys(dict, error))
        return NULL;
    full = fill_defaults(dict);
    return config_of_dict(full);
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

/* What an argument tells besides its option's name; NULL for nothing that is secret. */
static const char *
secret_of(const char *arg)
{
    const char *equals = strchr(arg, '=');
    const char *value = arg[0] != '-' ? arg : equals != NULL ? equals + 1 : "";

    return strlen(value) >= SECRET_MIN ? value : NULL;
}

static int
compare_lengths_down(gconstpointer a, gconstpointer b)
{
    gsize first = strlen(*(const char *const *)a), second = strlen(*(const char *const *)b);

    return first < second ? 1 : first > second ? -1 : 0;
}

/* The longest first: one can be the beginning of another, whose end would be left. */
static GPtrArray *
secrets_of(const KhConfig *config)
{
    GPtrArray *secrets = g_ptr_array_new();

    for (guint i = 0; config->katana_args[i] != NULL; i++)
        if (secret_of(config->katana_args[i]) != NULL)
            g_ptr_array_add(secrets, (gpointer)secret_of(config->katana_args[i]));
    g_ptr_array_sort(secrets, compare_lengths_down);
    return secrets;
}

/* @text was cut off, perhaps within the secret; takes off what it has of it. */
static void
redact_end(GString *text, const char *secret)
{
    for (gsize n = MIN(strlen(secret), text->len); n >= SECRET_MIN; n--)
        if (memcmp(text->str + text->len - n, secret, n) == 0) {
            g_string_truncate(text, text->len - n);
            g_string_append(text, REDACTED);
            return;
        }
}

char *
kh_config_redact(const KhConfig *config, const char *text)
{
    g_autoptr(GPtrArray) secrets = secrets_of(config);
    GString *redacted = g_string_new(text);

    for (guint i = 0; i < secrets->len; i++) {
        g_string_replace(redacted, secrets->pdata[i], REDACTED, 0);
        redact_end(redacted, secrets->pdata[i]);
    }
    return g_string_free(redacted, FALSE);
}

/* Katana's option --tee, by itself or with its value. */
static gboolean
names_attester(const KhConfig *config)
{
    for (guint i = 0; config->katana_args[i] != NULL; i++)
        if (g_str_equal(config->katana_args[i], "--tee") ||
            g_str_has_prefix(config->katana_args[i], "--tee="))
            return TRUE;
    return FALSE;
}

char **
kh_config_guest_args(const KhConfig *config)
{
    g_autoptr(GStrvBuilder) args = g_strv_builder_new();
    g_autofree char *accounts = g_strdup_printf("%u", config->accounts);
    g_autofree char *block_time = g_strdup_printf("%" G_GUINT64_FORMAT, config->block_time);

    if (config->dev)
        g_strv_builder_add(args, "--dev");
    if (config->accounts > 0)
        g_strv_builder_add_many(args, "--dev.accounts", accounts, NULL);
    if (config->no_fee)
        g_strv_builder_add(args, "--dev.no-fee");
    if (config->block_time > 0)
        g_strv_builder_add_many(args, "--block-time", block_time, NULL);
    if (config->chain_id[0] != '\0')
        g_strv_builder_add_many(args, "--chain-id", config->chain_id, NULL);
    if (config->tee && !names_attester(config))
        g_strv_builder_add(args, "--tee=sev-snp");
    g_strv_builder_addv(args, config->katana_args);
    return g_strv_builder_end(args);
}
