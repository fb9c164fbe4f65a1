/* SPDX-License-Identifier: MIT */
/* From words to expectations; see attest-options.h. */
#include "attest-options.h"

#include <string.h>

#include "build-info.h"
#include "error.h"
#include "kernel-cmdline.h"
#include "sizes.h"

#define UUID_LENGTH 36

void
kh_attest_options_clear(KhAttestOptions *self)
{
    char **const all[] = {
        &self->measurement, &self->build_info, &self->sealed,      &self->chain_id,
        &self->fee_token,   &self->block,      &self->min_block,   &self->prev,
        &self->state_root,  &self->block_hash, &self->chip_id,     &self->fork_block,
        &self->min_tcb,     &self->certs,      &self->crl,         &self->policy,
        &self->trust_ark,   &self->at,         &self->key_service, &self->quote};

    for (gsize i = 0; i < G_N_ELEMENTS(all); i++)
        g_clear_pointer(all[i], g_free);
    kh_launch_options_clear(&self->launch);
}

static void
append_all(GArray *entries, const GOptionEntry *more)
{
    for (; more->long_name != NULL; more++)
        g_array_append_val(entries, *more);
}

static void
append_expectations(GArray *entries, KhAttestOptions *o)
{
    const GOptionEntry more[] = {
        {"measurement", 0, 0, G_OPTION_ARG_STRING, &o->measurement, "Expected launch measurement",
         "HEX"},
        {"build-info", 0, 0, G_OPTION_ARG_FILENAME, &o->build_info,
         "File with the published hashes of the expected boot components", "FILE"},
        {"sealed", 0, 0, G_OPTION_ARG_STRING, &o->sealed, "The disk is sealed and has this UUID",
         "UUID"},
        {"unsealed", 0, 0, G_OPTION_ARG_NONE, &o->unsealed, "The disk is not sealed", NULL},
        {"chain-id", 0, 0, G_OPTION_ARG_STRING, &o->chain_id, "Expected chain id", "ID"},
        {"fee-token", 0, 0, G_OPTION_ARG_STRING, &o->fee_token,
         "Expected fee token (default: STRK's address)", "FELT"},
        {"block", 0, 0, G_OPTION_ARG_STRING, &o->block, "Block to attest (default: the latest)",
         "N"},
        {"min-block", 0, 0, G_OPTION_ARG_STRING, &o->min_block,
         "Attest the latest block, which must be at least this one", "N"},
        {"prev", 0, 0, G_OPTION_ARG_STRING, &o->prev,
         "Block before the attested range, or none (default: the one before --block)", "N"},
        {"state-root", 0, 0, G_OPTION_ARG_STRING, &o->state_root,
         "Expected state root of the block", "FELT"},
        {"block-hash", 0, 0, G_OPTION_ARG_STRING, &o->block_hash, "Expected hash of the block",
         "FELT"},
        {"chip-id", 0, 0, G_OPTION_ARG_STRING, &o->chip_id, "Expected chip id of the processor",
         "HEX"},
        {"fork-block", 0, 0, G_OPTION_ARG_STRING, &o->fork_block,
         "Block at which the chain was forked", "N"},
        {"min-tcb", 0, 0, G_OPTION_ARG_STRING, &o->min_tcb,
         "Minimum versions of the processor's firmware, such as snp=24,microcode=219", "TCB"},
        {"policy", 0, 0, G_OPTION_ARG_FILENAME, &o->policy, "File with expected values", "FILE"},
        {NULL, 0, 0, G_OPTION_ARG_NONE, NULL, NULL, NULL},
    };

    append_all(entries, more);
}

static void
append_means(GArray *entries, KhAttestOptions *o)
{
    const GOptionEntry more[] = {
        {"quote", 0, 0, G_OPTION_ARG_FILENAME, &o->quote,
         "Verify this answer of Katana's to tee_generateQuote instead of asking the service",
         "FILE"},
        {"certs", 0, 0, G_OPTION_ARG_FILENAME, &o->certs,
         "Folder with certificates, instead of asking AMD's key service", "DIR"},
        {"crl", 0, 0, G_OPTION_ARG_FILENAME, &o->crl, "AMD's certificate revocation list", "FILE"},
        {"offline", 0, 0, G_OPTION_ARG_NONE, &o->offline, "Use cached certificates only", NULL},
        {"key-service", 0, 0, G_OPTION_ARG_STRING, &o->key_service,
         "Ask this address instead of AMD's key service", "URL"},
        {"at", 0, 0, G_OPTION_ARG_STRING, &o->at, "Verify as of this time instead of now", "TIME"},
        {"trust-host", 0, 0, G_OPTION_ARG_NONE, &o->trust_host,
         "Succeed though some answers rest on the host's word alone", NULL},
        {"insecure-mock", 0, 0, G_OPTION_ARG_NONE, &o->mock,
         "Accept a mock quote, which proves nothing", NULL},
        {"insecure-trust-ark", 0, 0, G_OPTION_ARG_FILENAME, &o->trust_ark,
         "Trust this root as if it were AMD's, which proves nothing", "FILE"},
        {NULL, 0, 0, G_OPTION_ARG_NONE, NULL, NULL, NULL},
    };

    append_all(entries, more);
}

GOptionEntry *
kh_attest_options_entries(KhAttestOptions *self)
{
    GArray *entries = g_array_new(TRUE, TRUE, sizeof(GOptionEntry));
    g_autofree GOptionEntry *launch = kh_launch_options_entries(&self->launch);

    append_expectations(entries, self);
    append_all(entries, launch);
    append_means(entries, self);
    return (GOptionEntry *)(gpointer)g_array_free(entries, FALSE);
}

gboolean
kh_attest_options_have_files(const KhAttestOptions *self)
{
    const KhLaunchOptions *launch = &self->launch;

    return self->build_info != NULL || launch->ovmf != NULL || launch->kernel != NULL ||
           launch->initrd != NULL || launch->cmdline != NULL || launch->katana_repo != NULL;
}

/* Options that describe a launch and would be passed over without one. */
static gboolean
has_shape(const KhAttestOptions *self)
{
    const KhLaunchOptions *launch = &self->launch;

    return launch->vcpus != NULL || launch->vcpu_type != NULL || launch->vcpu_sig != NULL ||
           launch->vmm != NULL || launch->guest_features != NULL || self->sealed != NULL ||
           self->unsealed;
}

static gboolean
check_uuid(const char *text, GError **error)
{
    if (strlen(text) == UUID_LENGTH && strspn(text, "0123456789abcdef-") == UUID_LENGTH &&
        g_uuid_string_is_valid(text))
        return TRUE;
    return kh_error_set(error, KH_ERROR_INVALID_ARGUMENT,
                        "--sealed needs the UUID of the disk, in lower case");
}

static gboolean
check_launch(const KhAttestOptions *self, GError **error)
{
    const KhLaunchOptions *launch = &self->launch;
    gboolean files = kh_attest_options_have_files(self);

    if (files && self->measurement != NULL)
        return kh_error_set(
            error, KH_ERROR_INVALID_ARGUMENT,
            "--measurement already gives the measurement; leave out files and launch options");
    if (!files && has_shape(self))
        return kh_error_set(error, KH_ERROR_INVALID_ARGUMENT,
                            "Launch options need --build-info, --katana-repo or --ovmf");
    if (self->sealed != NULL && (self->unsealed || launch->cmdline != NULL))
        return kh_error_set(error, KH_ERROR_INVALID_ARGUMENT,
                            "--sealed cannot be combined with --unsealed or --cmdline");
    if (self->unsealed && launch->cmdline != NULL)
        return kh_error_set(error, KH_ERROR_INVALID_ARGUMENT,
                            "--unsealed cannot be combined with --cmdline");
    if (self->build_info == NULL)
        return self->sealed == NULL || check_uuid(self->sealed, error);
    if (launch->kernel != NULL || launch->initrd != NULL || launch->cmdline != NULL ||
        launch->katana_repo != NULL)
        return kh_error_set(
            error, KH_ERROR_INVALID_ARGUMENT,
            "--build-info can be combined with --ovmf, but not with other files or --cmdline");
    if (self->sealed == NULL && !self->unsealed)
        return kh_error_set(error, KH_ERROR_INVALID_ARGUMENT,
                            "With --build-info, give --sealed UUID or --unsealed too: the host's "
                            "word is not taken for that");
    return self->sealed == NULL || check_uuid(self->sealed, error);
}

gboolean
kh_attest_options_check(const KhAttestOptions *self, GError **error)
{
    if (self->fee_token != NULL && self->chain_id == NULL)
        return kh_error_set(error, KH_ERROR_INVALID_ARGUMENT,
                            "--fee-token needs --chain-id: they are hashed together");
    if (self->block != NULL && self->min_block != NULL)
        return kh_error_set(error, KH_ERROR_INVALID_ARGUMENT,
                            "--block and --min-block cannot be combined");
    if (self->certs != NULL && (self->offline || self->key_service != NULL))
        return kh_error_set(error, KH_ERROR_INVALID_ARGUMENT,
                            "--certs cannot be combined with --offline or --key-service, because "
                            "nothing is fetched");
    return check_launch(self, error);
}

static gboolean
add(KhPolicy *policy, KhPolicyKey key, const char *option, const char *value, GError **error)
{
    if (value == NULL || kh_policy_set(policy, key, value, KH_SOURCE_OPTION, error))
        return TRUE;
    g_prefix_error(error, "%s: ", option);
    return FALSE;
}

KhPolicy *
kh_attest_options_policy(const KhAttestOptions *self, GError **error)
{
    g_autoptr(KhPolicy) policy = kh_policy_new();

    if (self->policy != NULL && !kh_policy_read(policy, self->policy, error))
        return NULL;
    if (add(policy, KH_POLICY_MEASUREMENT, "--measurement", self->measurement, error) &&
        add(policy, KH_POLICY_CHIP_ID, "--chip-id", self->chip_id, error) &&
        add(policy, KH_POLICY_MIN_REPORTED_TCB, "--min-tcb", self->min_tcb, error))
        return g_steal_pointer(&policy);
    return NULL;
}

typedef gboolean (*FeltParse)(const char *text, KhFelt *felt, GError **error);

static gboolean
parse_felt(const char *text, const char *option, FeltParse parse, KhExpectedFelt *expected,
           GError **error)
{
    if (text == NULL)
        return TRUE;
    expected->set = TRUE;
    expected->source = KH_SOURCE_OPTION;
    if (parse(text, &expected->felt, error))
        return TRUE;
    g_prefix_error(error, "%s: ", option);
    return FALSE;
}

static gboolean
parse_number(const char *text, const char *option, KhExpectedNumber *expected, GError **error)
{
    if (text == NULL)
        return TRUE;
    expected->set = TRUE;
    expected->source = KH_SOURCE_OPTION;
    return kh_number_parse(text, option, 0, G_MAXINT64, &expected->number, error);
}

static gboolean
parse_prev(const char *text, KhExpectedFelt *expected, GError **error)
{
    guint64 number;

    if (text == NULL)
        return TRUE;
    expected->set = TRUE;
    expected->source = KH_SOURCE_OPTION;
    kh_felt_max(&expected->felt);
    if (g_str_equal(text, "none"))
        return TRUE;
    if (!kh_number_parse(text, "--prev", 0, G_MAXINT64, &number, error))
        return FALSE;
    kh_felt_from_u64(number, &expected->felt);
    return TRUE;
}

gboolean
kh_attest_options_katana(const KhAttestOptions *self, KhKatanaExpectations *expected,
                         GError **error)
{
    memset(expected, 0, sizeof *expected);
    return parse_felt(self->chain_id, "--chain-id", kh_felt_from_chain_id, &expected->chain_id,
                      error) &&
           parse_felt(self->fee_token, "--fee-token", kh_felt_parse, &expected->fee_token, error) &&
           parse_number(self->block, "--block", &expected->block, error) &&
           parse_number(self->min_block, "--min-block", &expected->min_block, error) &&
           parse_felt(self->block_hash, "--block-hash", kh_felt_parse, &expected->block_hash,
                      error) &&
           parse_felt(self->state_root, "--state-root", kh_felt_parse, &expected->state_root,
                      error) &&
           parse_prev(self->prev, &expected->prev_block, error) &&
           parse_number(self->fork_block, "--fork-block", &expected->fork_block, error);
}

KhBootParts *
kh_attest_options_load(KhAttestOptions *self, KhCli *cli, char **cmdline, GError **error)
{
    const char *given = NULL;
    KhBootParts *parts = self->build_info != NULL
                             ? kh_build_info_load(self->build_info, self->launch.ovmf, error)
                             : kh_launch_options_load(&self->launch, cli, &given, error);

    *cmdline = self->sealed != NULL || self->unsealed || given == NULL
                   ? kh_kernel_cmdline(self->sealed)
                   : g_strdup(given);
    if (parts == NULL || parts->has_kernel)
        return parts;
    kh_boot_parts_free(parts);
    kh_error_set(
        error, KH_ERROR_INVALID_ARGUMENT,
        "A firmware alone would start any kernel; give --kernel FILE and --initrd FILE too");
    return NULL;
}
