/* SPDX-License-Identifier: MIT */
/* The checks C1 to C9; see chain.h. Each has one function, called in that order. */
#include "chain.h"

#include <openssl/err.h>
#include <string.h>

#include "bytes.h"
#include "crl.h"
#include "signature.h"

/* The first intermediate of Genoa, which AMD has revoked and replaced. */
#define REVOKED_GENOA_SERIAL 0x20001

/* What each of AMD's names consists of, besides the common name. */
static const struct {
    int nid;
    const char *value;
} location[] = {
    {NID_organizationalUnitName, "Engineering"},
    {NID_countryName, "US"},
    {NID_localityName, "Santa Clara"},
    {NID_stateOrProvinceName, "CA"},
    {NID_organizationName, "Advanced Micro Devices"},
};

/* Whether @name has @value as its only attribute of the kind @nid. */
static gboolean
has_attribute(const X509_NAME *name, int nid, const char *value)
{
    int index = X509_NAME_get_index_by_NID(name, nid, -1);
    const ASN1_STRING *found;

    if (index < 0 || X509_NAME_get_index_by_NID(name, nid, index) >= 0)
        return FALSE;
    found = X509_NAME_ENTRY_get_data(X509_NAME_get_entry(name, index));
    return (gsize)ASN1_STRING_length(found) == strlen(value) &&
           memcmp(ASN1_STRING_get0_data(found), value, strlen(value)) == 0;
}

/* Whether it is AMD's, with that common name and nothing else. */
static gboolean
is_amd_name(const X509_NAME *name, const char *common_name)
{
    if (X509_NAME_entry_count(name) != (int)G_N_ELEMENTS(location) + 1)
        return FALSE;
    for (guint i = 0; i < G_N_ELEMENTS(location); i++)
        if (!has_attribute(name, location[i].nid, location[i].value))
            return FALSE;
    return has_attribute(name, NID_commonName, common_name);
}

/* The only URL of where its CRL is; NULL for none, or one with a NUL in it. Transfer full. */
static char *
crl_address(X509 *x509)
{
    g_autoptr(CRL_DIST_POINTS) points =
        X509_get_ext_d2i(x509, NID_crl_distribution_points, NULL, NULL);
    const DIST_POINT *point;
    const GENERAL_NAME *name;
    int type = -1;
    const ASN1_STRING *value;

    if (points == NULL || sk_DIST_POINT_num(points) != 1)
        return NULL;
    point = sk_DIST_POINT_value(points, 0);
    if (point->distpoint == NULL || point->distpoint->type != 0 ||
        sk_GENERAL_NAME_num(point->distpoint->name.fullname) != 1)
        return NULL;
    name = sk_GENERAL_NAME_value(point->distpoint->name.fullname, 0);
    value = GENERAL_NAME_get0_value(name, &type);
    if (type != GEN_URI ||
        memchr(ASN1_STRING_get0_data(value), 0, (size_t)ASN1_STRING_length(value)) != NULL)
        return NULL;
    return g_strndup((const char *)ASN1_STRING_get0_data(value), (gsize)ASN1_STRING_length(value));
}

static const char *
authority_fault(const KhCertificate *one, KhProduct product)
{
    g_autofree char *name = kh_role_common_name(one->role, product);
    g_autofree char *wanted =
        g_strdup_printf("https://kdsintf.amd.com/%s/v1/%s/crl",
                        one->role == KH_ROLE_ASVK ? "vlek" : "vcek", kh_product_name(product));
    g_autofree char *address = crl_address(one->x509);
    guint32 flags = X509_get_extension_flags(one->x509);

    ERR_clear_error();
    if (X509_get_version(one->x509) != X509_VERSION_3)
        return "it is not of X.509 version 3";
    if (!is_amd_name(X509_get_subject_name(one->x509), name))
        return "its subject is not the one that AMD's has";
    if ((flags & EXFLAG_INVALID) != 0)
        return "one of its extensions is ill-formed, or there twice";
    if ((flags & EXFLAG_CRITICAL) != 0)
        return "one of its critical extensions is unknown";
    if ((flags & EXFLAG_CA) == 0 || (flags & EXFLAG_KUSAGE) == 0 ||
        (X509_get_key_usage(one->x509) & KU_KEY_CERT_SIGN) == 0)
        return "it may not sign certificates";
    if (!kh_signature_key_is_rsa4096(X509_get0_pubkey(one->x509), NULL))
        return "its key is not RSA of 4096 bits";
    if (address == NULL || !g_str_equal(address, wanted))
        return "it does not name AMD's CRL of the product";
    return NULL;
}

/* C1: root and intermediate look as AMD's do. */
static void
check_authorities(const KhChain *chain, const KhChainUse *use, KhChecks *checks)
{
    const KhCertificate *const both[] = {chain->intermediate, chain->root};
    g_autofree char *actual =
        g_strdup_printf("%s <- %s", chain->intermediate->subject, chain->root->subject);

    if (chain->root->role != KH_ROLE_ARK ||
        (chain->intermediate->role != KH_ROLE_ASK && chain->intermediate->role != KH_ROLE_ASVK)) {
        kh_checks_fail(checks, "C1", "SEV-<product> or SEV-VLEK-<product>, ARK-<product>", actual,
                       "the names are not those of AMD's intermediate and root");
        return;
    }
    for (guint i = 0; i < G_N_ELEMENTS(both); i++) {
        const char *fault = authority_fault(both[i], both[i]->product);

        if (fault != NULL) {
            kh_checks_fail(checks, "C1", NULL, actual, "%s (%s): %s", kh_role_name(both[i]->role),
                           both[i]->origin, fault);
            return;
        }
    }
    kh_checks_pass(checks, "C1", NULL, actual);
}

/* C2: the root is one that the verifier trusts, byte for byte. */
static void
check_anchor(const KhChain *chain, const KhChainUse *use, KhChecks *checks)
{
    g_autofree char *hex = kh_bytes_to_hex(chain->root->sha256, KH_FINGERPRINT_SIZE);

    if (kh_anchors_trust(use->anchors, chain->root->sha256))
        kh_checks_pass(checks, "C2", NULL, hex);
    else
        kh_checks_fail(checks, "C2", "the SHA-256 of a trusted root", hex,
                       "%s (%s) is not a root that is trusted", chain->root->subject,
                       chain->root->origin);
}

/* C3: each is signed by the one above it. */
static void
check_signatures(const KhChain *chain, const KhChainUse *use, KhChecks *checks)
{
    const KhCertificate *const path[] = {chain->leaf, chain->intermediate, chain->root,
                                         chain->root};

    for (guint i = 0; i + 1 < G_N_ELEMENTS(path); i++) {
        g_autoptr(GError) failure = NULL;

        if (!kh_certificate_names_issuer(path[i], path[i + 1])) {
            kh_checks_fail(checks, "C3", NULL, NULL, "%s (%s) does not name %s as its issuer",
                           kh_role_name(path[i]->role), path[i]->origin, path[i + 1]->subject);
            return;
        }
        if (!kh_signature_verify_certificate(path[i]->x509, path[i + 1]->x509, &failure)) {
            kh_checks_fail(checks, "C3", "RSASSA-PSS, SHA-384, by the certificate above", NULL,
                           "%s (%s) is not signed by %s (%s): %s", kh_role_name(path[i]->role),
                           path[i]->origin, kh_role_name(path[i + 1]->role), path[i + 1]->origin,
                           failure->message);
            return;
        }
    }
    kh_checks_pass(checks, "C3", NULL, NULL);
}

/* C6 says whether it is the report's product; here it is the one that the leaf claims. */
static const char *
leaf_fault(const KhChain *chain, KhProduct fallback, GError **error)
{
    const KhCertificate *leaf = chain->leaf;
    KhProduct product = chain->extensions != NULL ? chain->extensions->product : fallback;
    KhRole above = leaf->role == KH_ROLE_VLEK ? KH_ROLE_ASVK : KH_ROLE_ASK;
    g_autofree char *name = kh_role_common_name(leaf->role, product);
    g_autofree char *issuer = kh_role_common_name(above, product);
    const X509_ALGOR *algorithm;

    X509_get0_signature(NULL, &algorithm, leaf->x509);
    if (X509_get_version(leaf->x509) != X509_VERSION_3)
        return "it is not of X.509 version 3";
    if (!kh_signature_is_pss384(algorithm, error) ||
        !kh_signature_key_is_p384(X509_get0_pubkey(leaf->x509), error))
        return (*error)->message;
    if (!is_amd_name(X509_get_subject_name(leaf->x509), name))
        return "its subject is not the one that AMD's has";
    if (!is_amd_name(X509_get_issuer_name(leaf->x509), issuer))
        return "its issuer is not AMD's intermediate of the product";
    if ((X509_get_extension_flags(leaf->x509) & EXFLAG_CA) != 0)
        return "it says that it may sign certificates";
    return NULL;
}

/* C4: the leaf looks as AMD's do. */
static void
check_leaf(const KhChain *chain, const KhChainUse *use, KhChecks *checks)
{
    g_autoptr(GError) failure = NULL;
    const char *fault = leaf_fault(chain, use->product, &failure);

    ERR_clear_error();
    if (fault == NULL)
        kh_checks_pass(checks, "C4", NULL, chain->leaf->subject);
    else
        kh_checks_fail(checks, "C4", NULL, chain->leaf->subject, "%s (%s): %s",
                       kh_role_name(chain->leaf->role), chain->leaf->origin, fault);
}

/* C5: AMD's extensions can be read, and none is missing or there twice. */
static void
check_extensions(const KhChain *chain, const KhChainUse *use, KhChecks *checks)
{
    if (chain->extensions != NULL)
        kh_checks_pass(checks, "C5", NULL, NULL);
    else
        kh_checks_fail(checks, "C5", NULL, NULL, "%s (%s): %s", kh_role_name(chain->leaf->role),
                       chain->leaf->origin, chain->extensions_error->message);
}

/* C6: report, certificate, intermediate and root are of one product. */
static void
check_product(const KhChain *chain, const KhChainUse *use, KhChecks *checks)
{
    const KhExpectation *asked = kh_policy_get(use->policy, KH_POLICY_PRODUCT);
    const char *wanted = kh_product_name(asked->given ? (KhProduct)asked->number : use->product);

    if (asked->given)
        kh_checks_set_source(checks, "C6", asked->source);
    if (use->product == KH_PRODUCT_UNKNOWN)
        kh_checks_fail(checks, "C6", NULL, NULL,
                       "the report's product is unknown: CPUID family 0x%02x, model 0x%02x",
                       use->report->family, use->report->model);
    else if (use->product == KH_PRODUCT_VENICE)
        kh_checks_fail(checks, "C6", NULL, "Venice", "AMD's chain for Venice is not known");
    else if (asked->given && (KhProduct)asked->number != use->product)
        kh_checks_fail(checks, "C6", wanted, kh_product_name(use->product),
                       "the report is of another product");
    else if (chain->extensions == NULL)
        kh_checks_skip(checks, "C6", "the certificate's product cannot be read, see C5");
    else if (chain->extensions->product != use->product)
        kh_checks_fail(checks, "C6", wanted, chain->extensions->product_name,
                       "the certificate is of another product");
    else if (chain->intermediate == NULL || chain->root == NULL)
        kh_checks_skip(checks, "C6", "the chain is incomplete, see C1");
    else if (chain->intermediate->product != use->product || chain->root->product != use->product)
        kh_checks_fail(checks, "C6", wanted, kh_product_name(chain->intermediate->product),
                       "the intermediate or the root is of another product");
    else
        kh_checks_pass(checks, "C6", wanted, chain->extensions->product_name);
}

/* ISO 8601, or "an unreadable time"; transfer full. */
static char *
format_time(const ASN1_TIME *time)
{
    struct tm parts;
    char text[32];

    if (ASN1_TIME_to_tm(time, &parts) != 1 ||
        strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts) == 0)
        return g_strdup("an unreadable time");
    return g_strdup(text);
}

static gboolean
check_period(const KhCertificate *one, const KhChainUse *use, KhChecks *checks)
{
    const ASN1_TIME *begin = X509_get0_notBefore(one->x509);
    const ASN1_TIME *end = X509_get0_notAfter(one->x509);
    int since = ASN1_TIME_cmp_time_t(begin, (time_t)use->time);
    int until = ASN1_TIME_cmp_time_t(end, (time_t)use->time);
    g_autoptr(GDateTime) now = g_date_time_new_from_unix_utc(use->time);
    g_autofree char *at = now == NULL ? NULL : g_date_time_format(now, "%FT%TZ");
    g_autofree char *first = format_time(begin);
    g_autofree char *last = format_time(end);
    g_autofree char *period = g_strdup_printf("%s to %s", first, last);

    ERR_clear_error();
    if ((since == 0 || since == -1) && (until == 0 || until == 1))
        return TRUE;
    kh_checks_fail(checks, "C7", period, at, "%s (%s) %s", kh_role_name(one->role), one->origin,
                   until == -1 ? "has expired" : "is not valid yet");
    return FALSE;
}

/* C7: all three are valid at the time of verification. */
static void
check_validity(const KhChain *chain, const KhChainUse *use, KhChecks *checks)
{
    g_autoptr(GDateTime) now = g_date_time_new_from_unix_utc(use->time);
    g_autofree char *at = now == NULL ? NULL : g_date_time_format(now, "%FT%TZ");

    if (check_period(chain->leaf, use, checks) && check_period(chain->intermediate, use, checks) &&
        check_period(chain->root, use, checks))
        kh_checks_pass(checks, "C7", NULL, at);
}

static gboolean
is_revoked_genoa(const KhCertificate *intermediate)
{
    return intermediate->product == KH_PRODUCT_GENOA &&
           ASN1_INTEGER_get(X509_get0_serialNumber(intermediate->x509)) == REVOKED_GENOA_SERIAL;
}

/*
 * Neither list may revoke it: an old one that somebody kept does not undo a newer one. One of
 * them must be current: where the verifier brings his own, that one.
 */
static void
check_lists(const KhChain *chain, const KhChainUse *use, KhChecks *checks)
{
    KhCrlUse list = {
        .root = chain->root,
        .intermediate = chain->intermediate,
        .time = use->time,
        .grace_days = (guint)kh_policy_get(use->policy, KH_POLICY_CRL_GRACE_DAYS)->number,
    };
    g_autoptr(GError) failure = NULL;
    gboolean good = use->crl == NULL || kh_crl_check(use->crl, &list, &failure);

    list.age = use->crl == NULL ? KH_CRL_CURRENT_OR_LATER : KH_CRL_OF_ANY_TIME;
    if (good && (use->newer_crl == NULL || kh_crl_check(use->newer_crl, &list, &failure)))
        kh_checks_pass(checks, "C8", NULL, chain->intermediate->subject);
    else
        kh_checks_fail(checks, "C8", NULL, chain->intermediate->subject, "%s list: %s",
                       good ? "the key service's" : "the given", failure->message);
}

/* C8: the intermediate is not revoked; one that is known needs no list. */
static void
check_revocation(const KhChain *chain, const KhChainUse *use, KhChecks *checks)
{
    if (kh_policy_has(use->policy, KH_POLICY_REQUIRE_CRL))
        kh_checks_set_source(checks, "C8",
                             kh_policy_get(use->policy, KH_POLICY_REQUIRE_CRL)->source);
    if (is_revoked_genoa(chain->intermediate))
        kh_checks_fail(checks, "C8", NULL, chain->intermediate->subject,
                       "AMD has revoked SEV-Genoa with the serial number 0x20001");
    else if (use->crl != NULL || use->newer_crl != NULL)
        check_lists(chain, use, checks);
    else if (kh_policy_allows(use->policy, KH_POLICY_REQUIRE_CRL))
        kh_checks_fail(checks, "C8", "a CRL", NULL, "a CRL is required, and none was given");
    else if (kh_anchors_know(use->anchors, chain->intermediate->sha256))
        kh_checks_exempt(checks, "C8", "no CRL was given, and the intermediate is a known one");
    else
        kh_checks_fail(checks, "C8", "a CRL", NULL,
                       "%s (%s) is not a known intermediate, and no CRL was given",
                       chain->intermediate->subject, chain->intermediate->origin);
}

/* C9: the report says that such a key signed it, and the right intermediate stands above. */
static void
check_kind(const KhChain *chain, const KhChainUse *use, KhChecks *checks)
{
    KhRole wanted = use->report->signing_key == KH_SIGNING_KEY_VLEK ? KH_ROLE_VLEK : KH_ROLE_VCEK;
    KhRole above = chain->leaf->role == KH_ROLE_VLEK ? KH_ROLE_ASVK : KH_ROLE_ASK;

    if (use->report->signing_key > KH_SIGNING_KEY_VLEK)
        kh_checks_skip(checks, "C9", "the report names no key that signs, see B4");
    else if (chain->leaf->role != wanted)
        kh_checks_fail(checks, "C9", kh_role_name(wanted), kh_role_name(chain->leaf->role),
                       "the report says that another kind of key signed it");
    else if (chain->intermediate == NULL)
        kh_checks_skip(checks, "C9", "the chain is incomplete, see C1");
    else if (chain->intermediate->role != above)
        kh_checks_fail(checks, "C9", kh_role_name(above), kh_role_name(chain->intermediate->role),
                       "the intermediate is of the other kind");
    else
        kh_checks_pass(checks, "C9", kh_role_name(wanted), kh_role_name(chain->leaf->role));
}

/* The first file that was no certificate, as an addition to a sentence. Transfer full. */
static char *
ignored_text(const KhChain *chain)
{
    const GPtrArray *ignored = kh_certificates_get_ignored(chain->certificates);

    if (ignored->len == 0)
        return g_strdup("");
    return g_strdup_printf("; left out: %s%s", (const char *)ignored->pdata[0],
                           ignored->len > 1 ? ", and others" : "");
}

static void
fail_without_issuer(const KhChain *chain, KhChecks *checks)
{
    static const char *const ids[] = {"C2", "C3", "C7", "C8"};
    const KhCertificate *below = chain->intermediate != NULL ? chain->intermediate : chain->leaf;
    g_autofree char *issuer = kh_certificate_format_name(X509_get_issuer_name(below->x509));
    g_autofree char *ignored = ignored_text(chain);

    kh_checks_fail(checks, "C1", issuer, NULL,
                   "no %s was given: none of %u certificates is the issuer of %s%s",
                   chain->intermediate != NULL ? "root" : "intermediate",
                   kh_certificates_get_length(chain->certificates), below->origin, ignored);
    for (guint i = 0; i < G_N_ELEMENTS(ids); i++)
        kh_checks_skip(checks, ids[i], "the chain is incomplete, see C1");
}

void
kh_chain_check(const KhChain *chain, const KhChainUse *use, KhChecks *checks)
{
    static const char *const ids[] = {"C1", "C2", "C3", "C5", "C6", "C7", "C8", "C9"};

    if (chain->leaf == NULL) {
        g_autofree char *ignored = ignored_text(chain);

        kh_checks_fail(checks, "C4", "VCEK or VLEK", NULL,
                       "none of %u certificates is a VCEK or VLEK%s",
                       kh_certificates_get_length(chain->certificates), ignored);
        for (guint i = 0; i < G_N_ELEMENTS(ids); i++)
            kh_checks_skip(checks, ids[i], "there is no VCEK or VLEK, see C4");
        return;
    }
    check_leaf(chain, use, checks);
    check_extensions(chain, use, checks);
    check_product(chain, use, checks);
    check_kind(chain, use, checks);
    if (chain->intermediate == NULL || chain->root == NULL) {
        fail_without_issuer(chain, checks);
        return;
    }
    check_authorities(chain, use, checks);
    check_anchor(chain, use, checks);
    check_signatures(chain, use, checks);
    check_validity(chain, use, checks);
    check_revocation(chain, use, checks);
}
