/* SPDX-License-Identifier: MIT */
/* Fetches evidence and certificates, has them verified, prints what came of it; see attest.h. */
#include "attest.h"

#include "attest-keys.h"
#include "attest-options.h"
#include "attest-output.h"
#include "bytes.h"
#include "certificate-cache.h"
#include "crl.h"
#include "error.h"
#include "evidence.h"
#include "host-images.h"
#include "values.h"

/* The service gives a guest a minute; a person who is asked for a password takes longer. */
#define HOST_S 300
#define ROOT_SHOWN 8 /* bytes of its fingerprint */

/*
 * SEV_FEATURES that take nothing from a guest: SNP itself, and the swap of debug registers
 * (AMD64 manual volume 2, 24593, appendix B). With others, a virtual top of memory at 0 for one,
 * the measured code can run on data that the host reads and writes.
 */
#define HARMLESS_FEATURES G_GUINT64_CONSTANT(0x21)

/* What one run has; all of it owned. */
typedef struct {
    KhCli *cli;
    KhAttestOptions options;
    KhAnchors *anchors;
    KhPolicy *policy;
    KhKatanaExpectations katana;
    gint64 time;
    KhBootParts *parts; /* that are expected; NULL */
    char *cmdline;
    KhLaunch launch;
    KhEvidence *evidence;
    KhHostImages *images; /* NULL: no files are expected */
    KhCertificates *certificates;
    GBytes *crl, *fetched_crl;
    char *cache;      /* of another root's certificates; NULL */
    GPtrArray *notes; /* of char * */
} Attest;

static void
attest_clear(Attest *self)
{
    kh_attest_options_clear(&self->options);
    g_clear_pointer(&self->anchors, kh_anchors_free);
    g_clear_pointer(&self->policy, kh_policy_free);
    g_clear_pointer(&self->images, kh_host_images_free);
    g_clear_pointer(&self->parts, kh_boot_parts_free);
    g_free(self->cmdline);
    g_clear_pointer(&self->evidence, kh_evidence_free);
    g_clear_pointer(&self->certificates, kh_certificates_free);
    g_free(self->cache);
    g_clear_pointer(&self->crl, g_bytes_unref);
    g_clear_pointer(&self->fetched_crl, g_bytes_unref);
    g_clear_pointer(&self->notes, g_ptr_array_unref);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Attest, attest_clear)

static void G_GNUC_PRINTF(2, 3) note(Attest *self, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    g_ptr_array_add(self->notes, g_strdup_vprintf(format, arguments));
    va_end(arguments);
}

/* --- before the service is asked ----------------------------------------------------- */

/* Of its own: what hangs on another root takes no place of AMD's. */
static void
set_cache(Attest *self, const guint8 *root)
{
    g_autofree char *hex = kh_bytes_to_hex(root, ROOT_SHOWN);
    g_autofree char *name = g_strconcat("insecure-", hex, NULL);

    self->cache = kh_certificate_cache_place(name);
}

/* The root of --insecure-trust-ark in the place of all others. */
static gboolean
trust_other_root(Attest *self, GError **error)
{
    const char *path = self->options.trust_ark;
    g_autoptr(GBytes) bytes = kh_bytes_read_file(path, KH_CERTIFICATE_FILE_MAX, FALSE, error);
    g_autoptr(KhCertificates) one = kh_certificates_new();
    gsize length;
    const guint8 *data;

    if (bytes == NULL)
        return FALSE;
    data = g_bytes_get_data(bytes, &length);
    if (!kh_certificates_add(one, data, length, path, error))
        return FALSE;
    if (kh_certificates_get_length(one) != 1)
        return kh_error_set(
            error, KH_ERROR_INVALID_ARGUMENT,
            "%s has more than one certificate; it must have the root certificate only", path);
    set_cache(self, kh_certificates_get(one, 0)->sha256);
    kh_anchors_free(self->anchors);
    self->anchors = kh_anchors_new_empty(TRUE);
    kh_anchors_add_root(self->anchors, kh_certificates_get(one, 0)->sha256);
    return kh_certificates_add_from(self->certificates, one, error);
}

static gboolean
read_files(Attest *self, GError **error)
{
    const KhAttestOptions *options = &self->options;

    if (options->certs != NULL &&
        !kh_certificates_add_folder(self->certificates, options->certs, error))
        return FALSE;
    if (options->trust_ark != NULL && !trust_other_root(self, error))
        return FALSE;
    if (options->crl != NULL) {
        self->crl = kh_bytes_read_file(options->crl, KH_CRL_SIZE_MAX, FALSE, error);
        if (self->crl == NULL)
            return FALSE;
    }
    if (!kh_attest_options_have_files(options))
        return TRUE;
    if (kh_policy_has(self->policy, KH_POLICY_MEASUREMENT))
        return kh_error_set(error, KH_ERROR_INVALID_ARGUMENT,
                            "The policy file already gives the measurement; leave out the files");
    self->parts = kh_attest_options_load(&self->options, self->cli, &self->cmdline, error);
    return self->parts != NULL;
}

static gboolean
prepare(Attest *self, GError **error)
{
    if (!kh_attest_options_check(&self->options, error))
        return FALSE;
    self->policy = kh_attest_options_policy(&self->options, error);
    return self->policy != NULL && kh_attest_options_katana(&self->options, &self->katana, error) &&
           kh_time_parse(self->options.at, &self->time, error) && read_files(self, error);
}

/* --- the service --------------------------------------------------------------------- */

static GVariant *
evidence_options(const Attest *self)
{
    GVariantDict options = G_VARIANT_DICT_INIT(NULL);
    guint64 prev;

    if (self->katana.block.set)
        g_variant_dict_insert(&options, "block", "t", self->katana.block.number);
    if (!self->katana.prev_block.set)
        return g_variant_dict_end(&options);
    if (kh_felt_to_u64(&self->katana.prev_block.felt, &prev))
        g_variant_dict_insert(&options, "prev", "t", prev);
    else
        g_variant_dict_insert(&options, "genesis", "b", TRUE);
    return g_variant_dict_end(&options);
}

static void
take_features(Attest *self, guint64 features)
{
    if ((features & ~HARMLESS_FEATURES) != 0) {
        note(self,
             "the host claims the guest features 0x%" G_GINT64_MODIFIER
             "x, and some of them can expose the guest's memory; if they are intended, give them "
             "with --guest-features",
             features);
        return;
    }
    self->options.launch.guest_features = g_strdup_printf("0x%" G_GINT64_MODIFIER "x", features);
    note(self,
         "measured with the guest features %s, as the host claims; use --guest-features to give "
         "others",
         self->options.launch.guest_features);
}

/* Of the shape the host may say what the verifier does not; what boots is his own. */
static void
fill_shape(Attest *self)
{
    KhLaunchOptions *launch = &self->options.launch;
    const KhEvidence *evidence = self->evidence;

    if (launch->vcpus == NULL && evidence->vcpus != 0) {
        launch->vcpus = g_strdup_printf("%u", evidence->vcpus);
        note(self, "measured for %s vCPUs, as the host claims; use --vcpus to give another number",
             launch->vcpus);
    }
    if (launch->vcpu_type == NULL && launch->vcpu_sig == NULL && evidence->vcpu_type != NULL) {
        launch->vcpu_type = g_strdup(evidence->vcpu_type);
        note(self,
             "measured for the processor %s, as the host claims; use --vcpu-type to give another "
             "one",
             launch->vcpu_type);
    }
    if (launch->guest_features == NULL && evidence->has_features)
        take_features(self, evidence->features);
}

/* The expected measurement, from the files. */
static gboolean
measure(Attest *self, GError **error)
{
    guint8 digest[KH_LAUNCH_DIGEST_SIZE];
    g_autofree char *hex = NULL;

    if (self->parts == NULL)
        return TRUE;
    fill_shape(self);
    self->launch.parts = self->parts;
    self->launch.cmdline = self->cmdline;
    if (!kh_launch_options_shape(&self->options.launch, &self->launch.shape, error) ||
        !kh_launch_measure(&self->launch, digest, error))
        return FALSE;
    if (self->options.launch.vcpus == NULL)
        note(self, "measured for %u vCPUs; use --vcpus to give another number",
             self->launch.shape.vcpus);
    hex = kh_bytes_to_hex(digest, sizeof digest);
    return kh_policy_set(self->policy, KH_POLICY_MEASUREMENT, hex, KH_SOURCE_OPTION, error);
}

/* --- AMD's key service --------------------------------------------------------------- */

static gboolean
take_keys(Attest *self, KhAttestKeys *keys, GError **error)
{
    for (guint i = 0; i < keys->troubles->len; i++)
        note(self, "%s", (const char *)keys->troubles->pdata[i]);
    self->fetched_crl = g_steal_pointer(&keys->crl);
    /* One that was asked for and is withheld is no reason to do without. */
    if (self->crl == NULL && self->fetched_crl == NULL && !self->options.offline &&
        !kh_policy_has(self->policy, KH_POLICY_REQUIRE_CRL) &&
        !kh_policy_set(self->policy, KH_POLICY_REQUIRE_CRL, "true", KH_SOURCE_BUILT_IN, error))
        return FALSE;
    return kh_certificates_add_from(self->certificates, keys->certificates, error);
}

/* AMD's service has nothing for a root that is not AMD's. */
static gboolean
fetch_keys(Attest *self, GError **error)
{
    KhAttestKeysInput input = {.cli = self->cli,
                               .options = &self->options,
                               .anchors = self->anchors,
                               .policy = self->policy,
                               .time = self->time,
                               .folder = self->cache};
    const KhQuote *quote = self->evidence->quote;
    g_autofree KhReport *report = NULL;
    g_autoptr(KhCertificates) known = kh_certificates_new();
    g_autoptr(KhAttestKeys) keys = NULL;
    gconstpointer data;
    gsize length;

    if (self->options.certs != NULL || quote == NULL || kh_quote_is_mock(quote) ||
        (self->options.trust_ark != NULL && self->options.key_service == NULL))
        return TRUE;
    data = g_bytes_get_data(quote->bytes, &length);
    report = kh_report_new(data, length, NULL);
    if (report == NULL || !kh_report_version_is_known(report))
        return TRUE;
    kh_certificates_add_from(known, self->certificates, NULL);
    kh_certificates_add_from(known, self->evidence->certificates, NULL);
    input.known = known;
    keys = kh_attest_keys_fetch(&input, report, error);
    return keys != NULL && take_keys(self, keys, error);
}

/* --- the whole ----------------------------------------------------------------------- */

static int
verify(Attest *self)
{
    const KhEvidence *evidence = self->evidence;
    const char *id = evidence->id;
    const GArray *images = self->images == NULL ? NULL : self->images->images;
    const KhNeighbours neighbours = {.images = images == NULL ? NULL : (gpointer)images->data,
                                     .n_images = images == NULL ? 0 : images->len,
                                     .luks_uuid = id != NULL ? id : self->options.sealed};
    KhAttestationInput input = {
        .anchors = self->anchors,
        .certificates = self->certificates,
        .crl = self->crl,
        .newer_crl = self->fetched_crl,
        .time = self->time,
        .policy = self->policy,
        .katana = self->katana,
        .insecure_mock = self->options.mock,
        .sealed = self->options.sealed != NULL,
        .launch = self->parts == NULL ? NULL : &self->launch,
        .neighbours = &neighbours,
        .quote = evidence->quote,
        .quote_fault = evidence->quote_fault,
        .claims = {evidence->measurement, evidence->has_block_time, evidence->block_time},
    };
    g_autoptr(KhAttestation) result = kh_attestation_run(&input);
    const KhAttestOutput output = {evidence->name, &input, result, self->notes};

    if (self->cli->json)
        kh_attest_output_json(&output);
    else
        kh_attest_output_text(&output);
    return kh_verdict_exit_code(result->verdict, self->options.trust_host);
}

/* For the explanation of another measurement, if it comes to that. */
static void
find_images(Attest *self)
{
    if (self->parts == NULL)
        return;
    self->images = kh_host_images_fetch(self->cli, self->parts);
    if (self->images->other_firmware > 0)
        note(self, "%u of the host's images %s another firmware, with which nothing is compared",
             self->images->other_firmware, self->images->other_firmware == 1 ? "has" : "have");
}

static void
note_evidence(Attest *self)
{
    const KhQuote *quote = self->evidence->quote;

    if (self->evidence->simulated)
        note(self, "the host itself says that this machine is simulated");
    if (self->evidence->old_form)
        note(self, "this Katana attests only its latest block, whichever block is asked for");
    if (quote != NULL && kh_quote_is_mock(quote) && !self->options.mock)
        note(self,
             "the quote is a mock, which anybody can make; use --insecure-mock to look at it");
}

/* A host that does not answer is not waited for without end. */
static gboolean
ask_host(Attest *self, const char *name, GError **error)
{
    KhCli *cli = self->cli;
    gboolean late;

    kh_cli_set_deadline(cli, HOST_S * 1000);
    self->evidence = kh_evidence_fetch(cli, name, evidence_options(self), error);
    if (self->evidence != NULL)
        find_images(self);
    late = kh_cli_is_late(cli);
    kh_cli_set_deadline(cli, 0);
    if (!late)
        return self->evidence != NULL;
    g_clear_error(error);
    return kh_error_set(error, KH_ERROR_TIMED_OUT, "The service did not answer within %d s",
                        HOST_S);
}

static gboolean
find_evidence(Attest *self, const char *name, GError **error)
{
    if ((name == NULL) != (self->options.quote != NULL))
        return kh_error_set(error, KH_ERROR_INVALID_ARGUMENT,
                            "Give the NAME of an instance, or --quote FILE");
    if (name != NULL)
        return ask_host(self, name, error);
    self->evidence = kh_evidence_read(self->options.quote, error);
    return self->evidence != NULL;
}

/* The host's certificates come last: there are bounds, and the verifier's own matter more. */
static gboolean
attest(Attest *self, const char *name, GError **error)
{
    if (!find_evidence(self, name, error) || !measure(self, error) || !fetch_keys(self, error))
        return FALSE;
    kh_certificates_add_from(self->certificates, self->evidence->certificates, NULL);
    note_evidence(self);
    return TRUE;
}

int
kh_attest_run(KhCli *cli, KhAnchors *anchors)
{
    g_auto(Attest) self = {.cli = cli, .anchors = anchors};
    g_autofree GOptionEntry *entries = kh_attest_options_entries(&self.options);
    GError *error = NULL;
    g_auto(GStrv) names = kh_cli_parse(cli, entries, "NAME | --quote FILE", 0, 1, &error);

    self.certificates = kh_certificates_new();
    self.notes = g_ptr_array_new_with_free_func(g_free);
    if (names == NULL || !prepare(&self, &error) || !attest(&self, names[0], &error))
        return kh_cli_fail(cli, error);
    return verify(&self);
}
