/* SPDX-License-Identifier: MIT */
/* What AMD's key service gives out; see key-answer.h. AMD 57230, "VCEK certificate and KDS
 * interface specification", chapter 4. */
#include "key-answer.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <string.h>
#include <time.h>

#include "bytes.h"
#include "crl.h"
#include "error.h"
#include "openssl-autoptr.h"

#define CERTIFICATE_MAX (16 * 1024)

/* How much of a chip id is shown. */
#define SHOWN_ID_SIZE 8

/* --- names --------------------------------------------------------------------------- */

static gboolean
is_vlek(KhKeyKind kind)
{
    return kind == KH_KEY_VLEK || kind == KH_KEY_VLEK_CHAIN || kind == KH_KEY_VLEK_CRL;
}

static gboolean
is_chain(KhKeyKind kind)
{
    return kind == KH_KEY_VCEK_CHAIN || kind == KH_KEY_VLEK_CHAIN;
}

gboolean
kh_key_kind_is_crl(KhKeyKind kind)
{
    return kind == KH_KEY_VCEK_CRL || kind == KH_KEY_VLEK_CRL;
}

gsize
kh_key_answer_size_max(KhKeyKind kind)
{
    if (kh_key_kind_is_crl(kind))
        return KH_CRL_SIZE_MAX;
    return is_chain(kind) ? KH_CERTIFICATE_FILE_MAX : CERTIFICATE_MAX;
}

static gboolean
check_chip(const KhKeyItem *item, GError **error)
{
    gsize used =
        kh_product_is_turin_like(item->product) ? KH_REPORT_TURIN_ID_SIZE : KH_REPORT_CHIP_ID_SIZE;

    if (kh_bytes_are_zero(item->chip_id, sizeof item->chip_id))
        return kh_error_set(
            error, KH_ERROR_INVALID_ARGUMENT,
            "The report masks the id of its chip, by which a VCEK is asked for; give the "
            "certificate from the host");
    if (kh_bytes_are_zero(item->chip_id + used, sizeof item->chip_id - used))
        return TRUE;
    return kh_error_set(error, KH_ERROR_INVALID_ARGUMENT,
                        "The chip's id has more than the %" G_GSIZE_FORMAT " bytes of %s", used,
                        kh_product_name(item->product));
}

static gboolean
check_tcb(const KhKeyItem *item, GError **error)
{
    int first = kh_product_is_turin_like(item->product) ? KH_TCB_FMC : KH_TCB_BOOT_LOADER;

    for (int i = first; i < KH_N_TCB_PARTS; i++)
        if (item->tcb.part[i] < 0 || item->tcb.part[i] > G_MAXUINT8)
            return kh_error_set(error, KH_ERROR_INVALID_ARGUMENT,
                                "A VCEK of %s is asked for by its TCB, which lacks %s here",
                                kh_product_name(item->product), kh_tcb_part_name((KhTcbPart)i));
    return TRUE;
}

gboolean
kh_key_item_check(const KhKeyItem *item, GError **error)
{
    gboolean known = item->product == KH_PRODUCT_MILAN || item->product == KH_PRODUCT_GENOA ||
                     item->product == KH_PRODUCT_TURIN;

    if (item->kind == KH_KEY_VLEK)
        g_set_error(error, KH_ERROR, KH_ERROR_NOT_SUPPORTED,
                    "The key service gives a VLEK to its cloud provider alone; take the "
                    "certificate from the host");
    else if (!known)
        g_set_error(error, KH_ERROR, KH_ERROR_NOT_SUPPORTED,
                    "The key service has nothing for the processor %s; Milan, Genoa and Turin are "
                    "known",
                    kh_product_name(item->product));
    else
        return item->kind != KH_KEY_VCEK || (check_chip(item, error) && check_tcb(item, error));
    return FALSE;
}

char *
kh_key_item_describe(const KhKeyItem *item)
{
    const char *product = kh_product_name(item->product);
    const char *kind = is_vlek(item->kind) ? "VLEK" : "VCEK";
    g_autofree char *chip = kh_bytes_to_hex(item->chip_id, SHOWN_ID_SIZE);
    g_autofree char *tcb = kh_tcb_format(&item->tcb);

    if (is_chain(item->kind))
        return g_strdup_printf("%s chain of %s", kind, product);
    if (kh_key_kind_is_crl(item->kind))
        return g_strdup_printf("%s revocation list of %s", kind, product);
    return g_strdup_printf("%s of the %s chip %s… at %s", kind, product, chip, tcb);
}

/* "fmcSPL=1&blSPL=2…" and the like: the parts that the product has, in AMD's order. */
static char *
format_parts(const KhKeyItem *item, const char *format, const char *separator)
{
    static const char *const names[] = {"fmc", "bl", "tee", "snp", "ucode"};
    int first = kh_product_is_turin_like(item->product) ? KH_TCB_FMC : KH_TCB_BOOT_LOADER;
    GString *text = g_string_new(NULL);

    for (int i = first; i < KH_N_TCB_PARTS; i++)
        g_string_append_printf(text, "%s%s%s%d", i == first ? "" : separator, names[i], format,
                               item->tcb.part[i]);
    return g_string_free(text, FALSE);
}

static char *
chip_hex(const KhKeyItem *item)
{
    gboolean turin = kh_product_is_turin_like(item->product);

    return kh_bytes_to_hex(item->chip_id, turin ? KH_REPORT_TURIN_ID_SIZE : KH_REPORT_CHIP_ID_SIZE);
}

char *
kh_key_item_path(const KhKeyItem *item)
{
    const char *product = kh_product_name(item->product);
    const char *kind = is_vlek(item->kind) ? "vlek" : "vcek";
    g_autofree char *chip = chip_hex(item);
    g_autofree char *parts = format_parts(item, "SPL=", "&");

    if (is_chain(item->kind))
        return g_strdup_printf("/%s/v1/%s/cert_chain", kind, product);
    if (kh_key_kind_is_crl(item->kind))
        return g_strdup_printf("/%s/v1/%s/crl", kind, product);
    return g_strdup_printf("/%s/v1/%s/%s?%s", kind, product, chip, parts);
}

char *
kh_key_item_file_name(const KhKeyItem *item)
{
    const char *product = kh_product_name(item->product);
    const char *kind = is_vlek(item->kind) ? "vlek" : "vcek";
    g_autofree char *chip = chip_hex(item);
    g_autofree char *parts = format_parts(item, "", "-");

    if (is_chain(item->kind))
        return g_strdup_printf("%s-chain-%s.pem", kind, product);
    if (kh_key_kind_is_crl(item->kind))
        return g_strdup_printf("%s-crl-%s.der", kind, product);
    return g_strdup_printf("%s-%s-%s-%s.der", kind, product, chip, parts);
}

/* --- shapes -------------------------------------------------------------------------- */

static gboolean
is_certificate(const guint8 *data, gsize size)
{
    const guint8 *at = data;
    g_autoptr(X509) x509 = d2i_X509(NULL, &at, (long)size);

    return x509 != NULL && at == data + size;
}

static X509_CRL *
parse_crl(const guint8 *data, gsize size)
{
    const guint8 *at = data;
    g_autoptr(X509_CRL) crl = d2i_X509_CRL(NULL, &at, (long)size);

    return at == data + size ? g_steal_pointer(&crl) : NULL;
}

static gboolean
read_time(const ASN1_TIME *time, gint64 *seconds)
{
    struct tm tm;

    if (time == NULL || !ASN1_TIME_to_tm(time, &tm))
        return FALSE;
    *seconds = timegm(&tm);
    return TRUE;
}

static gboolean
is_crl(const guint8 *data, gsize size)
{
    g_autoptr(X509_CRL) crl = parse_crl(data, size);
    gint64 seconds;

    return crl != NULL && read_time(X509_CRL_get0_lastUpdate(crl), &seconds) &&
           read_time(X509_CRL_get0_nextUpdate(crl), &seconds);
}

/* The next block of PEM in @bio is a certificate. */
static gboolean
is_next_certificate(BIO *bio)
{
    char *name = NULL, *header = NULL;
    guint8 *data = NULL;
    long size = 0;
    gboolean good;

    if (!PEM_read_bio(bio, &name, &header, &data, &size))
        return FALSE;
    good = g_str_equal(name, PEM_STRING_X509) && header[0] == '\0' &&
           is_certificate(data, (gsize)size);
    OPENSSL_free(name);
    OPENSSL_free(header);
    OPENSSL_free(data);
    return good;
}

/* Whether @text, up to @end, is blank. */
static gboolean
is_blank(const char *text, const char *end)
{
    while (text < end && g_ascii_isspace(*text))
        text++;
    return text == end;
}

/* Two certificates, and only white space about them. */
static gboolean
is_pair(const guint8 *data, gsize size)
{
    static const char first[] = "-----BEGIN ";
    g_autoptr(BIO) bio = BIO_new_mem_buf(data, (int)size);
    const char *text = (const char *)data;
    char *rest = NULL;
    long n;

    while (size >= sizeof first && g_ascii_isspace(*text)) {
        text++;
        size--;
    }
    if (bio == NULL || size < sizeof first || memcmp(text, first, strlen(first)) != 0 ||
        !is_next_certificate(bio) || !is_next_certificate(bio))
        return FALSE;
    n = BIO_get_mem_data(bio, &rest);
    return is_blank(rest, rest + n);
}

gboolean
kh_key_answer_check(KhKeyKind kind, GBytes *bytes, GError **error)
{
    gsize size;
    const guint8 *data = g_bytes_get_data(bytes, &size);
    const char *wanted = "one certificate in DER";
    gboolean good = FALSE;

    if (kh_key_kind_is_crl(kind))
        wanted = "one revocation list in DER, which says when the next one comes";
    else if (is_chain(kind))
        wanted = "two certificates in PEM";
    if (size > 0 && size <= kh_key_answer_size_max(kind)) {
        if (kh_key_kind_is_crl(kind))
            good = is_crl(data, size);
        else
            good = is_chain(kind) ? is_pair(data, size) : is_certificate(data, size);
    }
    ERR_clear_error();
    if (!good)
        g_set_error(error, KH_ERROR, KH_ERROR_FAILED,
                    "The %" G_GSIZE_FORMAT " bytes are not what they should be, %s", size, wanted);
    return good;
}

void
kh_key_answer_get_updates(GBytes *crl, gint64 *this_update, gint64 *next_update)
{
    gsize size;
    const guint8 *data = g_bytes_get_data(crl, &size);
    g_autoptr(X509_CRL) parsed = parse_crl(data, size);

    *this_update = *next_update = 0;
    if (parsed == NULL)
        return;
    read_time(X509_CRL_get0_lastUpdate(parsed), this_update);
    read_time(X509_CRL_get0_nextUpdate(parsed), next_update);
}
