/* SPDX-License-Identifier: MIT */
/* Tests of what the key service's client believes: a chain of the tests' own, and AMD's. */
#include <openssl/pem.h>
#include <string.h>

#include "error.h"
#include "extensions.h"
#include "key-trust.h"
#include "tee-chain.h"
#include "tee-data.h"

typedef struct {
    KhTestKeys keys;
    KhAnchors *anchors;
    KhKeyTrust *trust;
    GBytes *chain, *vlek_chain, *vcek, *crl; /* of Milan */
    KhKeyItem item;                          /* of the VCEK */
} World;

/* --- making -------------------------------------------------------------------------- */

static GBytes *
make(KhTestCertificate *certificate)
{
    GBytes *der = kh_test_certificate_make(certificate);

    kh_test_certificate_clear(certificate);
    return der;
}

static void
append_pem(GString *text, GBytes *der)
{
    gsize size;
    const guint8 *data = g_bytes_get_data(der, &size);
    g_autofree char *base64 = g_base64_encode(data, size);

    g_string_append(text, "-----BEGIN CERTIFICATE-----\n");
    for (const char *at = base64; *at != '\0'; at += strnlen(at, 64))
        g_string_append_printf(text, "%.64s\n", at);
    g_string_append(text, "-----END CERTIFICATE-----\n");
}

static GBytes *
to_pair(GBytes *low, GBytes *root)
{
    GString *text = g_string_new(NULL);

    append_pem(text, low);
    append_pem(text, root);
    return g_string_free_to_bytes(text);
}

static GBytes *
make_pair(const KhTestKeys *keys, GBytes *root, gboolean vlek)
{
    KhTestCertificate low;
    g_autoptr(GBytes) der = NULL;

    kh_test_intermediate_init(&low, keys, KH_PRODUCT_MILAN, vlek);
    der = make(&low);
    return to_pair(der, root);
}

static void
trust_root(KhAnchors *anchors, GBytes *root)
{
    gsize size, length = KH_FINGERPRINT_SIZE;
    const guint8 *data = g_bytes_get_data(root, &size);
    guint8 sha256[KH_FINGERPRINT_SIZE];
    g_autoptr(GChecksum) sum = g_checksum_new(G_CHECKSUM_SHA256);

    g_checksum_update(sum, data, (gssize)size);
    g_checksum_get_digest(sum, sha256, &length);
    kh_anchors_add_root(anchors, sha256);
}

static KhKeyItem
item_of(KhKeyKind kind, KhProduct product)
{
    return (KhKeyItem){.kind = kind, .product = product, .tcb = kh_tcb_none()};
}

static KhKeyItem
item_of_leaf(KhProduct product, GBytes *der)
{
    g_autoptr(KhCertificates) one = kh_certificates_new();
    g_autoptr(KhExtensions) extensions = NULL;
    g_autoptr(GError) error = NULL;
    KhKeyItem item = item_of(KH_KEY_VCEK, product);
    gsize size;
    const guint8 *data = g_bytes_get_data(der, &size);

    kh_certificates_add(one, data, size, "test", &error);
    g_assert_no_error(error);
    extensions = kh_extensions_read(kh_certificates_get(one, 0), &error);
    g_assert_no_error(error);
    memcpy(item.chip_id, extensions->hardware_id, extensions->hardware_id_length);
    item.tcb = extensions->tcb;
    return item;
}

static void
make_world(World *world)
{
    KhTestCertificate root, leaf;
    KhTestCrl crl;
    g_autoptr(GBytes) root_der = NULL;

    kh_test_keys_make(&world->keys);
    kh_test_root_init(&root, &world->keys, KH_PRODUCT_MILAN);
    root_der = make(&root);
    kh_test_leaf_init(&leaf, &world->keys, KH_PRODUCT_MILAN, FALSE);
    world->vcek = make(&leaf);
    world->chain = make_pair(&world->keys, root_der, FALSE);
    world->vlek_chain = make_pair(&world->keys, root_der, TRUE);
    kh_test_crl_init(&crl, &world->keys, KH_PRODUCT_MILAN);
    world->crl = kh_test_crl_make(&crl);
    g_free(crl.issuer);
    world->anchors = kh_anchors_new_empty(FALSE);
    trust_root(world->anchors, root_der);
    world->trust = kh_key_trust_new(world->anchors);
    world->item = item_of_leaf(KH_PRODUCT_MILAN, world->vcek);
}

static void
clear_world(World *world)
{
    kh_key_trust_free(world->trust);
    kh_anchors_free(world->anchors);
    g_bytes_unref(world->chain);
    g_bytes_unref(world->vlek_chain);
    g_bytes_unref(world->vcek);
    g_bytes_unref(world->crl);
    kh_test_keys_clear(&world->keys);
}

/* --- looking ------------------------------------------------------------------------- */

static void
assert_good(KhKeyTrust *trust, const KhKeyItem *item, GBytes *bytes)
{
    g_autoptr(GError) error = NULL;

    g_assert_true(kh_key_answer_check(item->kind, bytes, NULL));
    kh_key_trust_verify(item, bytes, trust, &error);
    g_assert_no_error(error);
}

static void
assert_bad(KhKeyTrust *trust, const KhKeyItem *item, GBytes *bytes, const char *says)
{
    g_autoptr(GError) error = NULL;

    g_assert_false(kh_key_trust_verify(item, bytes, trust, &error));
    g_assert_error(error, KH_ERROR, KH_ERROR_FAILED);
    if (strstr(error->message, says) == NULL)
        g_test_message("%s", error->message);
    g_assert_nonnull(strstr(error->message, says));
}

static GBytes *
make_other_leaf(World *world, EVP_PKEY *signer, int salt)
{
    KhTestCertificate leaf;

    kh_test_leaf_init(&leaf, &world->keys, KH_PRODUCT_MILAN, FALSE);
    leaf.signer = signer;
    leaf.salt = salt;
    return make(&leaf);
}

static void
other_leaves(World *world)
{
    g_autoptr(GBytes) by_root = make_other_leaf(world, world->keys.root, 48);
    g_autoptr(GBytes) short_salt = make_other_leaf(world, world->keys.intermediate, 32);
    KhTestCertificate vlek;
    g_autoptr(GBytes) vlek_der = NULL;
    KhKeyItem other = world->item;

    assert_bad(world->trust, &world->item, by_root, "is not signed by");
    assert_bad(world->trust, &world->item, short_salt, "is not signed by");
    kh_test_leaf_init(&vlek, &world->keys, KH_PRODUCT_MILAN, TRUE);
    vlek_der = make(&vlek);
    assert_bad(world->trust, &world->item, vlek_der, "not of a VCEK");
    other.chip_id[63] ^= 1;
    assert_bad(world->trust, &other, world->vcek, "another chip");
    other = world->item;
    other.tcb.part[KH_TCB_MICROCODE]--;
    assert_bad(world->trust, &other, world->vcek, "another TCB");
}

static void
own_chain(void)
{
    World world;
    KhKeyItem chain = item_of(KH_KEY_VCEK_CHAIN, KH_PRODUCT_MILAN);
    KhKeyItem vlek_chain = item_of(KH_KEY_VLEK_CHAIN, KH_PRODUCT_MILAN);
    KhKeyItem crl = item_of(KH_KEY_VCEK_CRL, KH_PRODUCT_MILAN);
    KhKeyItem genoa = item_of(KH_KEY_VCEK_CHAIN, KH_PRODUCT_GENOA);
    g_autoptr(KhAnchors) amd = kh_anchors_new_amd();
    g_autoptr(KhKeyTrust) strict = kh_key_trust_new(amd);

    make_world(&world);
    assert_bad(world.trust, &world.item, world.vcek, "chain first");
    assert_bad(world.trust, &crl, world.crl, "chain first");
    assert_bad(strict, &chain, world.chain, "not a root that is trusted");
    assert_bad(world.trust, &vlek_chain, world.chain, "not of the ASVK");
    assert_bad(world.trust, &chain, world.vlek_chain, "not of the ASK");
    assert_bad(world.trust, &genoa, world.chain, "root of Genoa");
    assert_good(world.trust, &chain, world.chain);
    assert_good(world.trust, &vlek_chain, world.vlek_chain);
    assert_good(world.trust, &chain, world.chain);
    assert_good(world.trust, &world.item, world.vcek);
    assert_good(world.trust, &crl, world.crl);
    g_assert_cmpuint(kh_certificates_get_length(kh_key_trust_get_certificates(world.trust)), ==, 4);
    other_leaves(&world);
    clear_world(&world);
}

/* --- AMD's own ----------------------------------------------------------------------- */

static GBytes *
read_bytes(const char *name)
{
    g_autofree char *path = tee_data_path(name);
    char *text;
    gsize length;

    if (path == NULL)
        return NULL;
    g_assert_true(g_file_get_contents(path, &text, &length, NULL));
    return g_bytes_new_take(text, length);
}

static const struct {
    KhProduct product;
    const char *chain, *vlek_chain, *vcek, *crl;
} real[] = {
    {KH_PRODUCT_MILAN, "roots/milan_ask_ark.pem", "roots/milan_asvk_ark.pem",
     "certs/milan_vcek_mstav.der", "crl/milan.der"},
    {KH_PRODUCT_GENOA, "roots/genoa_ask_ark.pem", "roots/genoa_asvk_ark.pem",
     "certs/genoa_oc_vcek_oak.der", "crl/genoa.der"},
    {KH_PRODUCT_TURIN, "roots/turin_ask_ark.pem", "roots/turin_asvk_ark.pem",
     "certs/turin_oc_vcek_oak.der", NULL},
};

static void
try_real(gsize i, KhKeyTrust *trust)
{
    g_autoptr(GBytes) chain = read_bytes(real[i].chain);
    g_autoptr(GBytes) vlek_chain = read_bytes(real[i].vlek_chain);
    g_autoptr(GBytes) vcek = read_bytes(real[i].vcek);
    g_autoptr(GBytes) crl = real[i].crl == NULL ? NULL : read_bytes(real[i].crl);
    KhKeyItem item = item_of(KH_KEY_VCEK_CHAIN, real[i].product);
    KhKeyItem leaf = item_of_leaf(real[i].product, vcek);

    assert_bad(trust, &leaf, vcek, "chain first");
    assert_good(trust, &item, chain);
    item.kind = KH_KEY_VLEK_CHAIN;
    assert_good(trust, &item, vlek_chain);
    assert_good(trust, &leaf, vcek);
    item.kind = KH_KEY_VCEK_CRL;
    if (crl != NULL)
        assert_good(trust, &item, crl);
}

static void
amds_own(void)
{
    g_autoptr(KhAnchors) amd = kh_anchors_new_amd();
    g_autoptr(KhKeyTrust) trust = kh_key_trust_new(amd);
    g_autofree char *there = tee_data_path(real[0].chain);
    g_autoptr(GBytes) other = NULL;
    g_autoptr(GBytes) forged = NULL;
    g_autoptr(GBytes) genoa_crl = NULL;
    KhKeyItem item = item_of(KH_KEY_VCEK_CRL, KH_PRODUCT_MILAN);
    KhKeyItem leaf;

    if (there == NULL)
        return;
    for (gsize i = 0; i < G_N_ELEMENTS(real); i++)
        try_real(i, trust);
    other = read_bytes("certs/genoa_vcek_mstav.der");
    leaf = item_of_leaf(KH_PRODUCT_GENOA, other);
    assert_good(trust, &leaf, other);
    leaf.product = KH_PRODUCT_MILAN;
    assert_bad(trust, &leaf, other, "of Genoa");
    genoa_crl = read_bytes("crl/genoa.der");
    assert_bad(trust, &item, genoa_crl, "is not of");
    forged = read_bytes("certs/milan_vcek_trustee_invalid_new.der");
    leaf = item_of_leaf(KH_PRODUCT_MILAN, forged);
    assert_bad(trust, &leaf, forged, "");
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/key-trust/own-chain", own_chain);
    g_test_add_func("/key-trust/amds-own", amds_own);
    return g_test_run();
}
