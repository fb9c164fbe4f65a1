/* SPDX-License-Identifier: MIT */
/* AMD's extensions; see extensions.h. */
#include "extensions.h"

#include <openssl/err.h>
#include <string.h>

#include "error.h"
#include "names.h"

#define AMD_ARC "1.3.6.1.4.1.3704.1."
#define TEXT_MAX 128
#define EXTENSIONS_MAX 64
#define OID_MAX 80

typedef enum {
    FORM_NUMBER,
    FORM_TEXT,
    FORM_HARDWARE_ID,
} Form;

typedef enum {
    EXT_STRUCT_VERSION,
    EXT_PRODUCT,
    EXT_BOOT_LOADER,
    EXT_TEE,
    EXT_SNP,
    EXT_SPL4,
    EXT_SPL5,
    EXT_SPL6,
    EXT_SPL7,
    EXT_MICROCODE,
    EXT_FMC,
    EXT_HARDWARE_ID,
    EXT_CSP_ID,
    N_EXTENSIONS,
} Which;

/* AMD 57230, the VCEK's extensions; the security version that a number is, -1 for none. */
static const struct {
    const char *oid, *name;
    Form form;
    gint8 part;
} known[N_EXTENSIONS] = {
    [EXT_STRUCT_VERSION] = {AMD_ARC "1", "structVersion", FORM_NUMBER, -1},
    [EXT_PRODUCT] = {AMD_ARC "2", "productName1", FORM_TEXT, -1},
    [EXT_BOOT_LOADER] = {AMD_ARC "3.1", "blSPL", FORM_NUMBER, KH_TCB_BOOT_LOADER},
    [EXT_TEE] = {AMD_ARC "3.2", "teeSPL", FORM_NUMBER, KH_TCB_TEE},
    [EXT_SNP] = {AMD_ARC "3.3", "snpSPL", FORM_NUMBER, KH_TCB_SNP},
    [EXT_SPL4] = {AMD_ARC "3.4", "spl4", FORM_NUMBER, -1},
    [EXT_SPL5] = {AMD_ARC "3.5", "spl5", FORM_NUMBER, -1},
    [EXT_SPL6] = {AMD_ARC "3.6", "spl6", FORM_NUMBER, -1},
    [EXT_SPL7] = {AMD_ARC "3.7", "spl7", FORM_NUMBER, -1},
    [EXT_MICROCODE] = {AMD_ARC "3.8", "ucodeSPL", FORM_NUMBER, KH_TCB_MICROCODE},
    [EXT_FMC] = {AMD_ARC "3.9", "fmcSPL", FORM_NUMBER, KH_TCB_FMC},
    [EXT_HARDWARE_ID] = {AMD_ARC "4", "hwID", FORM_HARDWARE_ID, -1},
    [EXT_CSP_ID] = {AMD_ARC "5", "cspID", FORM_TEXT, -1},
};

typedef const ASN1_OCTET_STRING *Found[N_EXTENSIONS];

void
kh_extensions_free(KhExtensions *extensions)
{
    g_free(extensions->product_name);
    g_free(extensions->csp_id);
    g_free(extensions);
}

static gboolean
fail(Which which, const char *what, GError **error)
{
    ERR_clear_error();
    return kh_error_set(error, KH_ERROR_FAILED, "the extension %s (%s) %s", known[which].name,
                        known[which].oid, what);
}

static int
which_of(const char *oid)
{
    for (int i = 0; i < N_EXTENSIONS; i++)
        if (g_str_equal(known[i].oid, oid))
            return i;
    return -1;
}

/* Files one extension; nobody's may be there twice, and none that is critical and unknown. */
static gboolean
file(X509_EXTENSION *extension, GHashTable *seen, Found found, GError **error)
{
    char oid[OID_MAX] = "";
    int length = OBJ_obj2txt(oid, sizeof oid, X509_EXTENSION_get_object(extension), TRUE);
    int which = which_of(oid);

    if (length <= 0 || length >= OID_MAX)
        return kh_error_set(error, KH_ERROR_FAILED, "an extension has an oversized identifier");
    if (!g_hash_table_add(seen, g_strdup(oid)))
        return kh_error_set(error, KH_ERROR_FAILED, "the extension %s%s%s%s is there twice",
                            which < 0 ? "" : known[which].name, which < 0 ? "" : " (", oid,
                            which < 0 ? "" : ")");
    if (which >= 0)
        found[which] = X509_EXTENSION_get_data(extension);
    else if (X509_EXTENSION_get_critical(extension) && !X509_supported_extension(extension))
        return kh_error_set(error, KH_ERROR_FAILED, "the critical extension %s is unknown", oid);
    return TRUE;
}

static gboolean
collect(const X509 *x509, Found found, GError **error)
{
    g_autoptr(GHashTable) seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    int n = X509_get_ext_count(x509);

    if (n > EXTENSIONS_MAX)
        return kh_error_set(error, KH_ERROR_FAILED, "it has %d extensions, more than %d", n,
                            EXTENSIONS_MAX);
    for (int i = 0; i < n; i++)
        if (!file(X509_get_ext(x509, i), seen, found, error))
            return FALSE;
    return TRUE;
}

/* The INTEGER in @value, 0 to 255, and nothing after it. */
static gboolean
read_number(Which which, const ASN1_OCTET_STRING *value, guint8 *number, GError **error)
{
    const guint8 *data = ASN1_STRING_get0_data(value);
    const guint8 *end = data;
    int length = ASN1_STRING_length(value);
    g_autoptr(ASN1_INTEGER) integer = NULL;
    gint64 found = -1;

    if (length > 16)
        return fail(which, "is too long for a number of one byte", error);
    integer = d2i_ASN1_INTEGER(NULL, &end, length);
    if (integer == NULL || end != data + length)
        return fail(which, "is not an INTEGER", error);
    if (!ASN1_INTEGER_get_int64(&found, integer) || found < 0 || found > 255)
        return fail(which, "is not 0 to 255", error);
    *number = (guint8)found;
    return TRUE;
}

/* The IA5String in @value; transfer full. */
static char *
read_text(Which which, const ASN1_OCTET_STRING *value, GError **error)
{
    const guint8 *data = ASN1_STRING_get0_data(value);
    int length = ASN1_STRING_length(value);

    /* Its tag, its length in one byte, its characters. */
    if (length > TEXT_MAX - 1 + 2) {
        fail(which, "is longer than 127 characters", error);
        return NULL;
    }
    if (length < 3 || data[0] != V_ASN1_IA5STRING || data[1] != length - 2) {
        fail(which, "is not an IA5String", error);
        return NULL;
    }
    for (int i = 2; i < length; i++)
        if (data[i] == 0 || data[i] >= 0x80) {
            fail(which, "has characters that are not ASCII", error);
            return NULL;
        }
    return g_strndup((const char *)data + 2, (gsize)length - 2);
}

/* Raw bytes without a tag; a tag is told by the length only, as an id may begin like one. */
static gboolean
read_hardware_id(KhExtensions *self, const ASN1_OCTET_STRING *value, GError **error)
{
    const guint8 *data = ASN1_STRING_get0_data(value);
    gsize length = (gsize)ASN1_STRING_length(value);

    if ((length == 66 || length == 10) && data[0] == V_ASN1_OCTET_STRING && data[1] == length - 2) {
        data += 2;
        length -= 2;
    }
    if (length != 64 && length != 8)
        return fail(EXT_HARDWARE_ID, "has neither 64 nor 8 bytes", error);
    memcpy(self->hardware_id, data, length);
    self->hardware_id_length = length;
    return TRUE;
}

static gboolean
read_one(KhExtensions *self, Which which, const ASN1_OCTET_STRING *value, GError **error)
{
    char **text = which == EXT_PRODUCT ? &self->product_name : &self->csp_id;
    guint8 number = 0;

    switch (known[which].form) {
    case FORM_NUMBER:
        if (!read_number(which, value, &number, error))
            return FALSE;
        if (known[which].part >= 0)
            self->tcb.part[known[which].part] = number;
        return TRUE;
    case FORM_TEXT:
        *text = read_text(which, value, error);
        return *text != NULL;
    default:
        return read_hardware_id(self, value, error);
    }
}

/* A VCEK names its chip, a VLEK its provider; only Turin has an FMC. */
static gboolean
check_presence(KhRole role, Found found, const KhExtensions *self, GError **error)
{
    static const Which always[] = {
        EXT_STRUCT_VERSION, EXT_PRODUCT, EXT_BOOT_LOADER, EXT_TEE, EXT_SNP, EXT_MICROCODE};
    Which needed = role == KH_ROLE_VLEK ? EXT_CSP_ID : EXT_HARDWARE_ID;
    Which foreign = role == KH_ROLE_VLEK ? EXT_HARDWARE_ID : EXT_CSP_ID;
    gboolean turin = kh_product_is_turin_like(self->product);

    for (guint i = 0; i < G_N_ELEMENTS(always); i++)
        if (found[always[i]] == NULL)
            return fail(always[i], "is missing", error);
    if (found[needed] == NULL)
        return fail(needed, "is missing", error);
    if (found[foreign] != NULL)
        return fail(foreign, "is not allowed there", error);
    if ((found[EXT_FMC] != NULL) != turin)
        return fail(EXT_FMC, turin ? "is missing" : "is not allowed there", error);
    if (self->hardware_id_length != 0 && (self->hardware_id_length == 8) != turin)
        return fail(EXT_HARDWARE_ID, turin ? "does not have 8 bytes" : "does not have 64 bytes",
                    error);
    return TRUE;
}

KhExtensions *
kh_extensions_read(const KhCertificate *leaf, GError **error)
{
    g_autoptr(KhExtensions) self = g_new0(KhExtensions, 1);
    Found found = {NULL};

    self->tcb = kh_tcb_none();
    if (!collect(leaf->x509, found, error))
        return NULL;
    for (guint i = 0; i < N_EXTENSIONS; i++)
        if (found[i] != NULL && !read_one(self, (Which)i, found[i], error))
            return NULL;
    if (self->product_name != NULL) {
        g_autofree char *raw = g_steal_pointer(&self->product_name);

        self->product = kh_product_from_stepping(raw);
        self->product_name = kh_text_sanitize(raw, TEXT_MAX);
    }
    if (!check_presence(leaf->role, found, self, error))
        return NULL;
    return g_steal_pointer(&self);
}
