/* SPDX-License-Identifier: MIT */
/* What a configuration may hold; see config-checks.h. The keys: config-keys.h. */
#include "config-checks.h"

#include <arpa/inet.h>
#include <string.h>

#include "config-keys.h"
#include "error.h"
#include "names.h"
#include "sizes.h"
#include "tee/cpu-types.h"

#define KATANA_ARGS_MAX 64
#define KATANA_ARG_BYTES_MAX 4096
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
    g_autoptr(KhConfig) config = check_keys(dict, error) ? kh_config_fill(dict) : NULL;

    if (config == NULL || !check_rules(config, limits, error))
        return NULL;
    return g_steal_pointer(&config);
}

KhConfig *
kh_config_from_text(const char *text, GError **error)
{
    g_autoptr(GVariant) dict = g_variant_parse(G_VARIANT_TYPE_VARDICT, text, NULL, NULL, error);

    return dict != NULL && check_keys(dict, error) ? kh_config_fill(dict) : NULL;
}
