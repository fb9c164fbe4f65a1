/* SPDX-License-Identifier: MIT */
/* Expectations and the policy file; see policy.h. */
#include "policy.h"

#include <string.h>

#include "bytes.h"
#include "error.h"
#include "names.h"
#include "report.h"
#include "sizes.h"

#define SHOWN_MAX 80
#define VALUES_MAX 64
#define DAYS_MAX 366

struct _KhPolicy {
    KhExpectation expectations[KH_N_POLICY_KEYS];
};

typedef gboolean (*ParseFunction)(KhExpectation *self, const char *name, const char *value,
                                  GError **error);

static gboolean
refuse(const char *name, const char *value, const char *must, GError **error)
{
    g_autofree char *shown = kh_text_sanitize(value, SHOWN_MAX);

    return kh_error_set(error, KH_ERROR_INVALID_ARGUMENT, "%s is \"%s\"; it must be %s", name,
                        shown, must);
}

static gboolean
parse_number32(KhExpectation *self, const char *name, const char *value, GError **error)
{
    return kh_number_parse(value, name, 0, G_MAXUINT32, &self->number, error);
}

static gboolean
parse_days(KhExpectation *self, const char *name, const char *value, GError **error)
{
    return kh_number_parse(value, name, 0, DAYS_MAX, &self->number, error);
}

static gboolean
parse_vmpl(KhExpectation *self, const char *name, const char *value, GError **error)
{
    return kh_number_parse(value, name, 0, 3, &self->number, error);
}

/* A vector of bits. */
static gboolean
parse_hex64(KhExpectation *self, const char *name, const char *value, GError **error)
{
    if (g_str_has_prefix(value, "0x") && value[2] != '\0' && strlen(value) <= 18 &&
        strspn(value + 2, "0123456789abcdefABCDEF") == strlen(value + 2)) {
        self->number = g_ascii_strtoull(value + 2, NULL, 16);
        return TRUE;
    }
    return refuse(name, value, "0x and 1 to 16 hex digits", error);
}

static gboolean
parse_flag(KhExpectation *self, const char *name, const char *value, GError **error)
{
    self->number = g_str_equal(value, "true");
    return self->number || g_str_equal(value, "false") ||
           refuse(name, value, "true or false", error);
}

static gboolean
parse_comparison(KhExpectation *self, const char *name, const char *value, GError **error)
{
    self->number = g_str_equal(value, "at-most-current");
    return self->number || g_str_equal(value, "equal") ||
           refuse(name, value, "equal or at-most-current", error);
}

static gboolean
parse_product(KhExpectation *self, const char *name, const char *value, GError **error)
{
    self->number = kh_product_from_name(value);
    return (self->number != KH_PRODUCT_UNKNOWN && self->number != KH_PRODUCT_VENICE) ||
           refuse(name, value, "Milan, Genoa or Turin", error);
}

/* Of two or three numbers, each a byte. */
static gboolean
parse_dotted(KhExpectation *self, const char *name, const char *value, guint parts, GError **error)
{
    g_auto(GStrv) items = g_strsplit(value, ".", (int)parts + 1);
    guint64 number;

    self->number = 0;
    if (g_strv_length(items) != parts)
        return refuse(name, value, parts == 2 ? "MAJOR.MINOR" : "MAJOR.MINOR.BUILD", error);
    for (guint i = 0; i < parts; i++) {
        if (!kh_number_parse(items[i], name, 0, 255, &number, error))
            return FALSE;
        self->number = self->number << 8 | number;
    }
    return TRUE;
}

static gboolean
parse_abi(KhExpectation *self, const char *name, const char *value, GError **error)
{
    return parse_dotted(self, name, value, 2, error);
}

static gboolean
parse_version(KhExpectation *self, const char *name, const char *value, GError **error)
{
    return parse_dotted(self, name, value, 3, error);
}

static gboolean
parse_tcb(KhExpectation *self, const char *name, const char *value, GError **error)
{
    return kh_tcb_parse(value, name, &self->tcb, error);
}

static gboolean
parse_text(KhExpectation *self, const char *name, const char *value, GError **error)
{
    if (strlen(value) > 127)
        return refuse(name, value, "at most 127 characters", error);
    self->text = g_strdup(value);
    return TRUE;
}

/* Names of bits, separated by ';'. */
static gboolean
parse_bits(KhExpectation *self, const char *name, const char *value, int (*bit_of)(const char *),
           GError **error)
{
    g_auto(GStrv) items = g_strsplit(value, ";", 65);

    self->number = 0;
    for (guint i = 0; items[i] != NULL; i++) {
        int bit = bit_of(g_strstrip(items[i]));

        if (bit < 0)
            return refuse(name, items[i], "names of bits, separated by \";\"", error);
        if (self->number >> bit & 1)
            return refuse(name, items[i], "there once", error);
        self->number |= G_GUINT64_CONSTANT(1) << bit;
    }
    return TRUE;
}

static gboolean
parse_policy_bits(KhExpectation *self, const char *name, const char *value, GError **error)
{
    return parse_bits(self, name, value, kh_report_policy_bit, error);
}

static gboolean
parse_platform_bits(KhExpectation *self, const char *name, const char *value, GError **error)
{
    return parse_bits(self, name, value, kh_report_platform_bit, error);
}

/* One or several, separated by ';', each of @size bytes. */
static gboolean
parse_byte_strings(KhExpectation *self, const char *name, const char *value, gsize size,
                   GError **error)
{
    g_auto(GStrv) items = g_strsplit(value, ";", VALUES_MAX + 2);

    if (g_strv_length(items) > VALUES_MAX)
        return kh_error_set(error, KH_ERROR_INVALID_ARGUMENT, "%s has more than %d values", name,
                            VALUES_MAX);
    self->values = g_ptr_array_new_with_free_func((GDestroyNotify)g_bytes_unref);
    for (guint i = 0; items[i] != NULL; i++) {
        g_autofree guint8 *data = g_malloc(size);
        g_autofree char *shown = kh_text_sanitize(g_strstrip(items[i]), 2 * size + 4);

        if (!kh_bytes_from_hex(shown, name, data, size, error))
            return FALSE;
        g_ptr_array_add(self->values, g_bytes_new_take(g_steal_pointer(&data), size));
    }
    return TRUE;
}

static gboolean
parse_16_bytes(KhExpectation *self, const char *name, const char *value, GError **error)
{
    return parse_byte_strings(self, name, value, 16, error);
}

static gboolean
parse_32_bytes(KhExpectation *self, const char *name, const char *value, GError **error)
{
    return parse_byte_strings(self, name, value, 32, error);
}

static gboolean
parse_48_bytes(KhExpectation *self, const char *name, const char *value, GError **error)
{
    return parse_byte_strings(self, name, value, 48, error);
}

static gboolean
parse_64_bytes(KhExpectation *self, const char *name, const char *value, GError **error)
{
    return parse_byte_strings(self, name, value, 64, error);
}

/* Turin's are written with their 8 bytes, too. */
static gboolean
parse_chip_id(KhExpectation *self, const char *name, const char *value, GError **error)
{
    guint8 id[KH_REPORT_CHIP_ID_SIZE] = {0};

    if (!kh_bytes_from_hex(value, name, id, KH_REPORT_TURIN_ID_SIZE, NULL) &&
        !kh_bytes_from_hex(value, name, id, sizeof id, error))
        return FALSE;
    self->values = g_ptr_array_new_with_free_func((GDestroyNotify)g_bytes_unref);
    g_ptr_array_add(self->values, g_bytes_new(id, sizeof id));
    return TRUE;
}

/* The one list of keys. */
static const struct {
    const char *name;
    ParseFunction parse;
} keys[KH_N_POLICY_KEYS] = {
    [KH_POLICY_PRODUCT] = {"product", parse_product},
    [KH_POLICY_CRL_GRACE_DAYS] = {"crl-grace-days", parse_days},
    [KH_POLICY_REQUIRE_CRL] = {"require-crl", parse_flag},
    [KH_POLICY_ALLOW_MASKED_CHIP] = {"allow-masked-chip", parse_flag},
    [KH_POLICY_MIN_GUEST_SVN] = {"min-guest-svn", parse_number32},
    [KH_POLICY_MAX_ABI] = {"max-abi", parse_abi},
    [KH_POLICY_POLICY_REQUIRE] = {"policy-require", parse_policy_bits},
    [KH_POLICY_POLICY_FORBID] = {"policy-forbid", parse_policy_bits},
    [KH_POLICY_REPORT_DATA] = {"report-data", parse_64_bytes},
    [KH_POLICY_HOST_DATA] = {"host-data", parse_32_bytes},
    [KH_POLICY_FAMILY_ID] = {"family-id", parse_16_bytes},
    [KH_POLICY_IMAGE_ID] = {"image-id", parse_16_bytes},
    [KH_POLICY_REPORT_ID] = {"report-id", parse_32_bytes},
    [KH_POLICY_REPORT_ID_MA] = {"report-id-ma", parse_32_bytes},
    [KH_POLICY_MEASUREMENT] = {"measurement", parse_48_bytes},
    [KH_POLICY_CHIP_ID] = {"chip-id", parse_chip_id},
    [KH_POLICY_COMMITTED_TCB] = {"committed-tcb", parse_comparison},
    [KH_POLICY_MIN_LAUNCH_TCB] = {"min-launch-tcb", parse_tcb},
    [KH_POLICY_MIN_REPORTED_TCB] = {"min-reported-tcb", parse_tcb},
    [KH_POLICY_COMMITTED_VERSION] = {"committed-version", parse_comparison},
    [KH_POLICY_MIN_COMMITTED_VERSION] = {"min-committed-version", parse_version},
    [KH_POLICY_PLATFORM_REQUIRE] = {"platform-require", parse_platform_bits},
    [KH_POLICY_PLATFORM_FORBID] = {"platform-forbid", parse_platform_bits},
    [KH_POLICY_ID_KEY_DIGEST] = {"id-key-digest", parse_48_bytes},
    [KH_POLICY_AUTHOR_KEY_DIGEST] = {"author-key-digest", parse_48_bytes},
    [KH_POLICY_LAUNCH_MITIGATIONS] = {"launch-mitigations", parse_hex64},
    [KH_POLICY_CURRENT_MITIGATIONS] = {"current-mitigations", parse_hex64},
    [KH_POLICY_VMPL] = {"vmpl", parse_vmpl},
    [KH_POLICY_CSP_ID] = {"csp-id", parse_text},
};

KhPolicy *
kh_policy_new(void)
{
    return g_new0(KhPolicy, 1);
}

static void
clear(KhExpectation *expectation)
{
    g_clear_pointer(&expectation->values, g_ptr_array_unref);
    g_clear_pointer(&expectation->text, g_free);
    expectation->given = FALSE;
}

void
kh_policy_free(KhPolicy *policy)
{
    for (int i = 0; i < KH_N_POLICY_KEYS; i++)
        clear(&policy->expectations[i]);
    g_free(policy);
}

/* DEBUG and MIGRATE_MA are refused always, and no bit can be both. */
static gboolean
check_bits(const KhPolicy *policy, KhPolicyKey require, KhPolicyKey forbid, GError **error)
{
    guint64 forbidden = policy->expectations[forbid].number;
    guint64 required = policy->expectations[require].number;

    if (require == KH_POLICY_POLICY_REQUIRE)
        forbidden |= KH_REPORT_POLICY_DEBUG | KH_REPORT_POLICY_MIGRATE_MA;
    if ((required & forbidden) == 0)
        return TRUE;
    return kh_error_set(error, KH_ERROR_INVALID_ARGUMENT,
                        "%s has a bit that %s has, or that is always refused", keys[require].name,
                        keys[forbid].name);
}

gboolean
kh_policy_set(KhPolicy *policy, KhPolicyKey key, const char *value, KhCheckSource source,
              GError **error)
{
    KhExpectation *expectation = &policy->expectations[key];

    if (expectation->given)
        return kh_error_set(error, KH_ERROR_INVALID_ARGUMENT, "%s is given twice", keys[key].name);
    if (value[0] == '\0')
        return kh_error_set(error, KH_ERROR_INVALID_ARGUMENT, "%s is empty", keys[key].name);
    if (!keys[key].parse(expectation, keys[key].name, value, error)) {
        clear(expectation);
        return FALSE;
    }
    expectation->given = TRUE;
    expectation->source = source;
    return check_bits(policy, KH_POLICY_POLICY_REQUIRE, KH_POLICY_POLICY_FORBID, error) &&
           check_bits(policy, KH_POLICY_PLATFORM_REQUIRE, KH_POLICY_PLATFORM_FORBID, error);
}

static int
find_key(const char *name)
{
    for (int i = 0; i < KH_N_POLICY_KEYS; i++)
        if (g_str_equal(keys[i].name, name))
            return i;
    return -1;
}

static gboolean
refuse_key(const char *name, GError **error)
{
    const char *known[KH_N_POLICY_KEYS + 1] = {NULL};
    g_autofree char *shown = kh_text_sanitize(name, SHOWN_MAX);
    const char *nearest;

    for (int i = 0; i < KH_N_POLICY_KEYS; i++)
        known[i] = keys[i].name;
    nearest = strlen(name) > SHOWN_MAX ? NULL : kh_nearest_word(name, known);
    return kh_error_set(error, KH_ERROR_INVALID_ARGUMENT, "the key \"%s\" is unknown%s%s%s", shown,
                        nearest != NULL ? "; did you mean \"" : "", nearest != NULL ? nearest : "",
                        nearest != NULL ? "\"?" : "");
}

/*
 * GKeyFile takes the last of two equal keys and joins groups of one name, without a word. So
 * each line's key or group is counted here, as GKeyFile reads them: comments and empty lines
 * left out, blanks around a key dropped.
 */
static gboolean
check_duplicates(const char *text, guint *n_keys, GError **error)
{
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    g_autoptr(GHashTable) seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);

    for (guint i = 0; lines[i] != NULL; i++) {
        g_autofree char *name = NULL;
        char *line = lines[i];

        while (g_ascii_isspace(*line))
            line++;
        if (line[0] == '\0' || line[0] == '#')
            continue;
        name = line[0] == '[' ? g_strndup(line, strcspn(line, "]\r"))
                              : g_strndup(line, strcspn(line, "=\r"));
        g_strstrip(name);
        if (!g_hash_table_add(seen, g_strdup(name))) {
            g_autofree char *shown = kh_text_sanitize(name + (name[0] == '['), SHOWN_MAX);

            return kh_error_set(error, KH_ERROR_INVALID_ARGUMENT, "the %s \"%s\" is there twice",
                                name[0] == '[' ? "group" : "key", shown);
        }
        *n_keys += name[0] != '[';
    }
    return TRUE;
}

static gboolean
check_groups(GKeyFile *file, GError **error)
{
    g_auto(GStrv) groups = g_key_file_get_groups(file, NULL);

    for (guint i = 0; groups[i] != NULL; i++)
        if (!g_str_equal(groups[i], KH_POLICY_GROUP)) {
            g_autofree char *shown = kh_text_sanitize(groups[i], SHOWN_MAX);

            return kh_error_set(
                error, KH_ERROR_INVALID_ARGUMENT,
                "the group \"%s\" is unknown; the only one is [" KH_POLICY_GROUP "]", shown);
        }
    if (groups[0] != NULL)
        return TRUE;
    return kh_error_set(error, KH_ERROR_INVALID_ARGUMENT,
                        "it is empty; a policy has a group [" KH_POLICY_GROUP "]");
}

/* As it is written: no value needs an escape, and GLib's reading of broken ones is no help. */
static gboolean
apply(KhPolicy *policy, GKeyFile *file, const char *name, GError **error)
{
    g_autofree char *value = g_key_file_get_value(file, KH_POLICY_GROUP, name, NULL);
    int key = find_key(name);

    if (key < 0)
        return refuse_key(name, error);
    if (value == NULL || strchr(value, '\\') != NULL)
        return refuse(name, value != NULL ? value : "", "a value without backslashes", error);
    return kh_policy_set(policy, (KhPolicyKey)key, g_strstrip(value), KH_SOURCE_POLICY, error);
}

gboolean
kh_policy_parse(KhPolicy *policy, const char *text, gsize length, GError **error)
{
    g_autoptr(GKeyFile) file = g_key_file_new();
    g_autoptr(GError) failure = NULL;
    g_autofree char *copy = g_strndup(length > 0 ? text : "", length);
    g_auto(GStrv) names = NULL;
    guint n_lines = 0;
    gsize n_keys = 0;

    if (length > KH_POLICY_FILE_MAX || strlen(copy) != length || !g_utf8_validate(copy, -1, NULL))
        return kh_error_set(error, KH_ERROR_INVALID_ARGUMENT,
                            "it is not UTF-8 text of at most 64 KiB");
    if (!check_duplicates(copy, &n_lines, error))
        return FALSE;
    /* Without the flag a "key[language]" would be left out without a word. */
    if (!g_key_file_load_from_data(file, copy, length, G_KEY_FILE_KEEP_TRANSLATIONS, &failure)) {
        g_autofree char *shown = kh_text_sanitize(failure->message, 4 * SHOWN_MAX);

        return kh_error_set(error, KH_ERROR_INVALID_ARGUMENT, "%s", shown);
    }
    if (!check_groups(file, error))
        return FALSE;
    names = g_key_file_get_keys(file, KH_POLICY_GROUP, &n_keys, NULL);
    if (n_keys != n_lines)
        return kh_error_set(error, KH_ERROR_INVALID_ARGUMENT,
                            "%u of its lines are keys, but only %" G_GSIZE_FORMAT " could be read",
                            n_lines, n_keys);
    if (n_keys == 0)
        return kh_error_set(error, KH_ERROR_INVALID_ARGUMENT,
                            "it has no key, so it asks for nothing");
    for (guint i = 0; names[i] != NULL; i++)
        if (!apply(policy, file, names[i], error))
            return FALSE;
    return TRUE;
}

gboolean
kh_policy_read(KhPolicy *policy, const char *path, GError **error)
{
    g_autoptr(GBytes) bytes = kh_bytes_read_file(path, KH_POLICY_FILE_MAX, FALSE, error);
    gconstpointer text;
    gsize length;

    if (bytes == NULL)
        return FALSE;
    text = g_bytes_get_data(bytes, &length);
    if (kh_policy_parse(policy, text, length, error))
        return TRUE;
    g_prefix_error(error, "The policy %s is refused: ", path);
    return FALSE;
}

const KhExpectation *
kh_policy_get(const KhPolicy *policy, KhPolicyKey key)
{
    return &policy->expectations[key];
}

gboolean
kh_policy_has(const KhPolicy *policy, KhPolicyKey key)
{
    return policy->expectations[key].given;
}

gboolean
kh_policy_allows(const KhPolicy *policy, KhPolicyKey key)
{
    return kh_policy_has(policy, key) && kh_policy_get(policy, key)->number != 0;
}

const char *
kh_policy_key_name(KhPolicyKey key)
{
    return keys[key].name;
}
