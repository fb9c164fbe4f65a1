/* SPDX-License-Identifier: MIT */
/* From words to expectations; see attest-options.h. */
#include "attest-options.h"

#include <string.h>

#include "build-info.h"
#include "error.h"
#include "neighbour-cmdlines.h"
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
        {"measurement", 0, 0, G_OPTION_ARG_STRING, &o->measurement, "What must run there", "HEX"},
        {"build-info", 0, 0, G_OPTION_ARG_FILENAME, &o->build_info,
         "The published hashes of what must run there", "FILE"},
        {"sealed", 0, 0, G_OPTION_ARG_STRING, &o->sealed, "Its disk is sealed, and is this one",
         "UUID"},
        {"unsealed", 0, 0, G_OPTION_ARG_NONE, &o->unsealed, "Its disk is not sealed", NULL},
        {"chain-id", 0, 0, G_OPTION_ARG_STRING, &o->chain_id, "The chain's id", "ID"},
        {"fee-token", 0, 0, G_OPTION_ARG_STRING, &o->fee_token,
         "Its fee token (default: STRK's address)", "FELT"},
        {"block", 0, 0, G_OPTION_ARG_STRING, &o->block, "The block to attest (default: the latest)",
         "N"},
        {"min-block", 0, 0, G_OPTION_ARG_STRING, &o->min_block, "The latest, if it is not older",
         "N"},
        {"prev", 0, 0, G_OPTION_ARG_STRING, &o->prev,
         "The block before the range, or none (default: the one before the block)", "N"},
        {"state-root", 0, 0, G_OPTION_ARG_STRING, &o->state_root, "The block's state root", "FELT"},
        {"block-hash", 0, 0, G_OPTION_ARG_STRING, &o->block_hash, "The block's hash", "FELT"},
        {"chip-id", 0, 0, G_OPTION_ARG_STRING, &o->chip_id, "The processor", "HEX"},
        {"fork-block", 0, 0, G_OPTION_ARG_STRING, &o->fork_block,
         "The block that the chain was forked at", "N"},
        {"min-tcb", 0, 0, G_OPTION_ARG_STRING, &o->min_tcb,
         "The least versions of the processor's firmware, as snp=24,microcode=219", "TCB"},
        {"policy", 0, 0, G_OPTION_ARG_FILENAME, &o->policy, "A file of expectations", "FILE"},
        {NULL, 0, 0, G_OPTION_ARG_NONE, NULL, NULL, NULL},
    };

    append_all(entries, more);
}

static void
append_means(GArray *entries, KhAttestOptions *o)
{
    const GOptionEntry more[] = {
        {"quote", 0, 0, G_OPTION_ARG_FILENAME, &o->quote,
         "Katana's answer to tee_generateQuote, instead of asking a service", "FILE"},
        {"certs", 0, 0, G_OPTION_ARG_FILENAME, &o->certs,
         "Certificates, instead of asking AMD's key service", "DIR"},
        {"crl", 0, 0, G_OPTION_ARG_FILENAME, &o->crl, "AMD's list of revoked certificates", "FILE"},
        {"offline", 0, 0, G_OPTION_ARG_NONE, &o->offline, "Only what the cache has", NULL},
        {"key-service", 0, 0, G_OPTION_ARG_STRING, &o->key_service,
         "Another address of AMD's key service", "URL"},
        {"at", 0, 0, G_OPTION_ARG_STRING, &o->at, "Verify as of then, not of now", "TIME"},
        {"trust-host", 0, 0, G_OPTION_ARG_NONE, &o->trust_host,
         "A consistent story of the host's is success", NULL},
        {"insecure-mock", 0, 0, G_OPTION_ARG_NONE, &o->mock,
         "Look at a mock quote, which proves nothing", NULL},
        {"insecure-trust-ark", 0, 0, G_OPTION_ARG_FILENAME, &o->trust_ark,
         "Take this root for AMD's, which proves nothing", "FILE"},
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

static gboolean
refuse(GError **error, const char *text)
{
    g_set_error_literal(error, KH_ERROR, KH_ERROR_INVALID_ARGUMENT, text);
    return FALSE;
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
    return refuse(error, "--sealed is followed by the disk's UUID, in lower case");
}

static gboolean
check_launch(const KhAttestOptions *self, GError **error)
{
    const KhLaunchOptions *launch = &self->launch;
    gboolean files = kh_attest_options_have_files(self);

    if (files && self->measurement != NULL)
        return refuse(error, "--measurement says it already: leave files and shape out");
    if (!files && has_shape(self))
        return refuse(error, "The shape belongs to --build-info, --katana-repo or --ovmf");
    if (self->sealed != NULL && (self->unsealed || launch->cmdline != NULL))
        return refuse(error, "--sealed excludes --unsealed and --cmdline");
    if (self->unsealed && launch->cmdline != NULL)
        return refuse(error, "--unsealed excludes --cmdline");
    if (self->build_info == NULL)
        return self->sealed == NULL || check_uuid(self->sealed, error);
    if (launch->kernel != NULL || launch->initrd != NULL || launch->cmdline != NULL ||
        launch->katana_repo != NULL)
        return refuse(error, "--build-info takes --ovmf of the files, and no --cmdline");
    if (self->sealed == NULL && !self->unsealed)
        return refuse(error, "With --build-info give --sealed UUID or --unsealed: the host is not "
                             "asked for that");
    return self->sealed == NULL || check_uuid(self->sealed, error);
}

gboolean
kh_attest_options_check(const KhAttestOptions *self, GError **error)
{
    if (self->fee_token != NULL && self->chain_id == NULL)
        return refuse(error, "--fee-token needs --chain-id: they are hashed together");
    if (self->block != NULL && self->min_block != NULL)
        return refuse(error, "--block and --min-block exclude each other");
    if (self->certs != NULL && (self->offline || self->key_service != NULL))
        return refuse(error, "--certs excludes --offline and --key-service: nothing is fetched");
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

static gboolean
parse_felt(const char *text, const char *option, KhExpectedFelt *expected, GError **error)
{
    if (text == NULL)
        return TRUE;
    expected->set = TRUE;
    expected->source = KH_SOURCE_OPTION;
    if (kh_felt_parse(text, &expected->felt, error))
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
parse_chain_id(const char *text, KhExpectedFelt *expected, GError **error)
{
    if (text == NULL)
        return TRUE;
    expected->set = TRUE;
    expected->source = KH_SOURCE_OPTION;
    if (kh_felt_from_chain_id(text, &expected->felt, error))
        return TRUE;
    g_prefix_error(error, "--chain-id: ");
    return FALSE;
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
    return parse_chain_id(self->chain_id, &expected->chain_id, error) &&
           parse_felt(self->fee_token, "--fee-token", &expected->fee_token, error) &&
           parse_number(self->block, "--block", &expected->block, error) &&
           parse_number(self->min_block, "--min-block", &expected->min_block, error) &&
           parse_felt(self->block_hash, "--block-hash", &expected->block_hash, error) &&
           parse_felt(self->state_root, "--state-root", &expected->state_root, error) &&
           parse_prev(self->prev, &expected->prev_block, error) &&
           parse_number(self->fork_block, "--fork-block", &expected->fork_block, error);
}

KhBootParts *
kh_attest_options_load(KhAttestOptions *self, KhCli *cli, char **cmdline, GError **error)
{
    const char *plain = KH_DEFAULT_CMDLINE;
    KhBootParts *parts = self->build_info != NULL
                             ? kh_build_info_load(self->build_info, self->launch.ovmf, error)
                             : kh_launch_options_load(&self->launch, cli, &plain, error);

    if (self->sealed != NULL)
        *cmdline = g_strconcat(KH_DEFAULT_CMDLINE " " KH_SEALED_OPTION, self->sealed, NULL);
    else
        *cmdline = g_strdup(self->unsealed ? KH_DEFAULT_CMDLINE : plain);
    if (parts == NULL || parts->has_kernel)
        return parts;
    kh_boot_parts_free(parts);
    refuse(error, "A firmware alone starts anything: give --kernel FILE and --initrd FILE too");
    return NULL;
}
