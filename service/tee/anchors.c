/* SPDX-License-Identifier: MIT */
/* Roots and known intermediates; see anchors.h. */
#include "anchors.h"

#include <string.h>

#include "bytes.h"

/* SHA-256 of the DER. */
static const char *const amd_roots[] = {
    "69d063b45344d26a2e94e1f4210de49ef555308287d4c174445c95639a540bcd", /* ARK-Milan */
    "4c6598d19c18719c5dfd4a7d335f674e5bfe1d8f800cea2cf270c10d103db2f1", /* ARK-Genoa */
    "1f084161a44bb6d93778a904877d4819cafa5d05ef4193b2ded9dd9c73dd3f6a", /* ARK-Turin */
};

static const char *const amd_intermediates[] = {
    "67d303bd3905fd38db8b20e0793699870e7fa612eaad5dec358293fd8c0bac1b", /* SEV-Milan */
    "c5e081f59b7efab1fe2f8b505e159704e72f29cab7ef7cf628a05a42439082f5", /* SEV-VLEK-Milan */
    "5464738c1546aed5f2cecf1dc98c5c960a92e8913238a61711bc90ec6e828521", /* SEV-Genoa, 0x20002 */
    "197e610743a917d6b9bb982a5a9226ccc0a15b611be0619e626aca9151457372", /* SEV-VLEK-Genoa */
    "5b77ef5fe7a7a004fd9032668fba9d0fda22f88c4442069a479636a6ae3b3185", /* SEV-Turin */
    "104e10a8bd060a3c20a434261a57d0588fd65a88915b4f65b08bdecaf8df1a3c", /* SEV-VLEK-Turin */
};

/* Fingerprints one after the other. */
struct _KhAnchors {
    GByteArray *roots;
    GByteArray *intermediates;
    gboolean simulated;
};

static void
add_hex(GByteArray *list, const char *hex)
{
    guint8 sha256[KH_FINGERPRINT_SIZE];
    gboolean good = kh_bytes_from_hex(hex, "fingerprint", sha256, sizeof sha256, NULL);

    g_assert(good);
    g_byte_array_append(list, sha256, sizeof sha256);
}

KhAnchors *
kh_anchors_new_empty(gboolean simulated)
{
    KhAnchors *anchors = g_new0(KhAnchors, 1);

    anchors->roots = g_byte_array_new();
    anchors->intermediates = g_byte_array_new();
    anchors->simulated = simulated;
    for (guint i = 0; i < G_N_ELEMENTS(amd_intermediates); i++)
        add_hex(anchors->intermediates, amd_intermediates[i]);
    return anchors;
}

KhAnchors *
kh_anchors_new_amd(void)
{
    KhAnchors *anchors = kh_anchors_new_empty(FALSE);

    for (guint i = 0; i < G_N_ELEMENTS(amd_roots); i++)
        add_hex(anchors->roots, amd_roots[i]);
    return anchors;
}

void
kh_anchors_free(KhAnchors *anchors)
{
    g_byte_array_unref(anchors->roots);
    g_byte_array_unref(anchors->intermediates);
    g_free(anchors);
}

void
kh_anchors_add_root(KhAnchors *anchors, const guint8 sha256[KH_FINGERPRINT_SIZE])
{
    g_byte_array_append(anchors->roots, sha256, KH_FINGERPRINT_SIZE);
}

static gboolean
contains(const GByteArray *list, const guint8 *sha256)
{
    for (guint i = 0; i < list->len; i += KH_FINGERPRINT_SIZE)
        if (memcmp(list->data + i, sha256, KH_FINGERPRINT_SIZE) == 0)
            return TRUE;
    return FALSE;
}

gboolean
kh_anchors_trust(const KhAnchors *anchors, const guint8 sha256[KH_FINGERPRINT_SIZE])
{
    return contains(anchors->roots, sha256);
}

gboolean
kh_anchors_know(const KhAnchors *anchors, const guint8 sha256[KH_FINGERPRINT_SIZE])
{
    return contains(anchors->intermediates, sha256);
}

gboolean
kh_anchors_are_simulated(const KhAnchors *anchors)
{
    return anchors->simulated;
}
