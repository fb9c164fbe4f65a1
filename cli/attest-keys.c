/* SPDX-License-Identifier: MIT */
/* Asks AMD's key service in the main loop; see attest-keys.h. */
#include "attest-keys.h"

#include "error.h"
#include "key-fetch.h"

#define SLOW_S 5
/* Its pauses alone can take two minutes. */
#define DEADLINE_S 300

/* A report of version 2 does not say its product; these two look alike. */
#define OLD_VERSION 2

/* One wait for the service. */
typedef struct {
    KhCli *cli;
    GCancellable *deadline;
    GAsyncResult *result;
    guint slow, late;
} Wait;

static void
wait_clear(Wait *self)
{
    g_clear_handle_id(&self->slow, g_source_remove);
    g_clear_handle_id(&self->late, g_source_remove);
    g_clear_object(&self->result);
    g_clear_object(&self->deadline);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Wait, wait_clear)

void
kh_attest_keys_free(KhAttestKeys *self)
{
    kh_certificates_free(self->certificates);
    g_clear_pointer(&self->crl, g_bytes_unref);
    g_ptr_array_unref(self->troubles);
    g_free(self);
}

/* It allows one certificate in some ten seconds, and says so to whoever asks too soon. */
static gboolean
on_slow(gpointer data)
{
    Wait *wait = data;

    wait->slow = 0;
    kh_cli_note(wait->cli,
                "still waiting for AMD's key service; use --offline or --certs to do without it");
    return G_SOURCE_REMOVE;
}

static gboolean
on_late(gpointer data)
{
    Wait *wait = data;

    wait->late = 0;
    g_cancellable_cancel(wait->deadline);
    return G_SOURCE_REMOVE;
}

static KhKeyFetch *
fetch(const KhAttestKeysInput *input, KhKeyService *service, KhKeyTrust *trust,
      const KhReport *report, KhProduct product, GError **error)
{
    g_auto(Wait) wait = {.cli = input->cli, .deadline = g_cancellable_new()};
    KhKeyFetch *fetched;

    wait.slow = g_timeout_add_seconds(SLOW_S, on_slow, &wait);
    wait.late = g_timeout_add_seconds(DEADLINE_S, on_late, &wait);
    kh_key_fetch_async(service, trust, report, product, wait.deadline, kh_cli_keep_result,
                       &wait.result);
    kh_cli_wait_for_result(&wait.result);
    fetched = kh_key_fetch_finish(wait.result, error);
    if (fetched == NULL && wait.late == 0) {
        g_clear_error(error);
        g_set_error(error, KH_ERROR, KH_ERROR_TIMED_OUT,
                    "AMD's key service did not answer within %d s; use --offline or --certs to do "
                    "without it",
                    DEADLINE_S);
    }
    return fetched;
}

static gboolean
has_leaf(const KhCertificates *certificates)
{
    for (guint i = 0; i < kh_certificates_get_length(certificates); i++)
        if (kh_certificates_get(certificates, i)->role == KH_ROLE_VCEK)
            return TRUE;
    return FALSE;
}

/* Of a report that does not say it: that of the certificates at hand; *guessed: there is none. */
static KhProduct
choose_product(const KhAttestKeysInput *input, const KhReport *report, gboolean *guessed)
{
    g_autoptr(KhChain) chain = kh_chain_choose(input->known, report, input->anchors, input->time);

    *guessed = report->version == OLD_VERSION && chain->leaf == NULL &&
               report->signing_key == KH_SIGNING_KEY_VCEK &&
               !kh_policy_has(input->policy, KH_POLICY_PRODUCT);
    return kh_verifier_product(report, input->policy, chain);
}

/* The keys of @product. */
static KhAttestKeys *
fetch_product(const KhAttestKeysInput *input, KhKeyService *service, const KhReport *report,
              KhProduct product, GError **error)
{
    g_autoptr(KhKeyTrust) trust = kh_key_trust_new(input->anchors);
    g_autoptr(KhKeyFetch) fetched = fetch(input, service, trust, report, product, error);
    KhAttestKeys *keys;

    if (fetched == NULL)
        return NULL;
    keys = g_new0(KhAttestKeys, 1);
    keys->certificates = kh_certificates_new();
    kh_certificates_add_from(keys->certificates, kh_key_trust_get_certificates(trust), NULL);
    keys->crl = g_steal_pointer(&fetched->crl);
    keys->troubles = g_ptr_array_ref(fetched->troubles);
    return keys;
}

KhAttestKeys *
kh_attest_keys_fetch(const KhAttestKeysInput *input, const KhReport *report, GError **error)
{
    const KhKeyServiceOptions options = {.url = input->options->key_service,
                                         .folder = input->folder,
                                         .offline = input->options->offline,
                                         .now = input->time};
    g_autoptr(KhKeyService) service = kh_key_service_new(&options, error);
    gboolean guessed;
    KhProduct product = choose_product(input, report, &guessed);
    g_autoptr(KhAttestKeys) keys = NULL;
    g_autoptr(KhAttestKeys) others = NULL;

    if (service == NULL)
        return NULL;
    keys = fetch_product(input, service, report, product, error);
    if (keys == NULL || has_leaf(keys->certificates) || !guessed || product != KH_PRODUCT_MILAN)
        return g_steal_pointer(&keys);
    others = fetch_product(input, service, report, KH_PRODUCT_GENOA, NULL);
    return others != NULL && has_leaf(others->certificates) ? g_steal_pointer(&others)
                                                            : g_steal_pointer(&keys);
}
