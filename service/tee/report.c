/* SPDX-License-Identifier: MIT */
/* The layout of an attestation report; see report.h. Offsets are those of AMD 56860. */
#include "report.h"

#include <string.h>

#include "bytes.h"
#include "error.h"
#include "sizes.h"

static const struct {
    const char *name;
    guint16 offset, length;
} fields[KH_N_REPORT_FIELDS] = {
    [KH_REPORT_FAMILY_ID] = {"family_id", 0x010, 16},
    [KH_REPORT_IMAGE_ID] = {"image_id", 0x020, 16},
    [KH_REPORT_REPORT_DATA] = {"report_data", 0x050, 64},
    [KH_REPORT_MEASUREMENT] = {"measurement", 0x090, 48},
    [KH_REPORT_HOST_DATA] = {"host_data", 0x0c0, 32},
    [KH_REPORT_ID_KEY_DIGEST] = {"id_key_digest", 0x0e0, 48},
    [KH_REPORT_AUTHOR_KEY_DIGEST] = {"author_key_digest", 0x110, 48},
    [KH_REPORT_REPORT_ID] = {"report_id", 0x140, 32},
    [KH_REPORT_REPORT_ID_MA] = {"report_id_ma", 0x160, 32},
    [KH_REPORT_CHIP_ID] = {"chip_id", 0x1a0, KH_REPORT_CHIP_ID_SIZE},
};

static const struct {
    const char *name;
    guint16 offset;
} tcbs[KH_N_REPORT_TCBS] = {
    [KH_REPORT_REPORTED_TCB] = {"reported_tcb", 0x180},
    [KH_REPORT_COMMITTED_TCB] = {"committed_tcb", 0x1e0},
    [KH_REPORT_CURRENT_TCB] = {"current_tcb", 0x038},
    [KH_REPORT_LAUNCH_TCB] = {"launch_tcb", 0x1f0},
};

/* Indexed by the bit's number; NULL: no name. */
static const char *const policy_bits[KH_REPORT_POLICY_BITS] = {
    [16] = "smt",
    [18] = "migrate-ma",
    [19] = "debug",
    [20] = "single-socket",
    [21] = "cxl",
    [22] = "aes-256-xts",
    [23] = "rapl-disabled",
    [24] = "ciphertext-hiding",
    [25] = "page-swap-disabled",
};

static const char *const platform_bits[] = {
    "smt", "tsme", "ecc", "rapl-disabled", "ciphertext-hiding", "alias-check", NULL, "tio",
};

/* Stored build, minor, major. */
static guint32
version_at(const guint8 *data)
{
    return KH_FIRMWARE_VERSION(data[2], data[1], data[0]);
}

static void
decode_by_version(KhReport *report)
{
    const guint8 *raw = report->raw;

    if (report->version >= 3) {
        report->family = raw[0x188];
        report->model = raw[0x189];
        report->stepping = raw[0x18a];
    }
    if (report->version >= 5) {
        report->launch_mitigations = kh_bytes_read64(raw + 0x1f8);
        report->current_mitigations = kh_bytes_read64(raw + 0x200);
    }
}

static void
decode(KhReport *report)
{
    const guint8 *raw = report->raw;

    report->version = kh_bytes_read32(raw);
    report->guest_svn = kh_bytes_read32(raw + 0x004);
    report->policy = kh_bytes_read64(raw + 0x008);
    report->vmpl = kh_bytes_read32(raw + 0x030);
    report->signature_algorithm = kh_bytes_read32(raw + 0x034);
    report->platform_info = kh_bytes_read64(raw + 0x040);
    report->key_info = kh_bytes_read32(raw + 0x048);
    report->author_key = report->key_info & 1;
    report->signing_key = report->key_info >> 2 & 7;
    report->current_version = version_at(raw + 0x1e8);
    report->committed_version = version_at(raw + 0x1ec);
    decode_by_version(report);
}

KhReport *
kh_report_new(const guint8 *data, gsize length, GError **error)
{
    KhReport *report;

    if (length != KH_REPORT_SIZE) {
        g_set_error(error, KH_ERROR, KH_ERROR_FAILED,
                    "The report has %s%" G_GSIZE_FORMAT " bytes; a report of SEV-SNP has %d%s",
                    length > KH_REPORT_SIZE ? "at least " : "", length, KH_REPORT_SIZE,
                    length == KH_REPORT_MOCK_SIZE && memcmp(data, "MOCK", 4) == 0
                        ? "; this is a mock quote, which proves nothing"
                        : "");
        return NULL;
    }
    report = g_new0(KhReport, 1);
    memcpy(report->raw, data, length);
    decode(report);
    return report;
}

gboolean
kh_report_version_is_known(const KhReport *report)
{
    return report->version >= 2 && report->version <= 5;
}

const guint8 *
kh_report_field(const KhReport *report, KhReportField field, gsize *length)
{
    if (length != NULL)
        *length = fields[field].length;
    return report->raw + fields[field].offset;
}

const char *
kh_report_field_name(KhReportField field)
{
    return fields[field].name;
}

const guint8 *
kh_report_tcb_raw(const KhReport *report, KhReportTcb which)
{
    return report->raw + tcbs[which].offset;
}

KhTcb
kh_report_tcb(const KhReport *report, KhReportTcb which, KhProduct product)
{
    return kh_tcb_decode(kh_report_tcb_raw(report, which), product);
}

const char *
kh_report_tcb_name(KhReportTcb which)
{
    return tcbs[which].name;
}

KhProduct
kh_report_product(const KhReport *report)
{
    if (report->version < 3)
        return KH_PRODUCT_UNKNOWN;
    return kh_product_from_cpuid(report->family, report->model);
}

gboolean
kh_report_has_turin_chip_id(const KhReport *report)
{
    const guint8 *id = kh_report_field(report, KH_REPORT_CHIP_ID, NULL);

    return !kh_bytes_are_zero(id, KH_REPORT_TURIN_ID_SIZE) &&
           kh_bytes_are_zero(id + KH_REPORT_TURIN_ID_SIZE,
                             KH_REPORT_CHIP_ID_SIZE - KH_REPORT_TURIN_ID_SIZE);
}

static char *
bit_name(const char *const *names, guint count, guint bit)
{
    if (bit < count && names[bit] != NULL)
        return g_strdup(names[bit]);
    return g_strdup_printf("bit%u", bit);
}

char *
kh_report_policy_bit_name(guint bit)
{
    return bit_name(policy_bits, G_N_ELEMENTS(policy_bits), bit);
}

char *
kh_report_platform_bit_name(guint bit)
{
    return bit_name(platform_bits, G_N_ELEMENTS(platform_bits), bit);
}

static int
bit_of(const char *const *names, guint count, const char *name)
{
    guint64 bit;

    for (guint i = 0; i < count; i++)
        if (names[i] != NULL && g_str_equal(names[i], name))
            return (int)i;
    if (g_str_has_prefix(name, "bit") && kh_number_parse(name + 3, name, 0, 63, &bit, NULL))
        return (int)bit;
    return -1;
}

int
kh_report_policy_bit(const char *name)
{
    int bit = bit_of(policy_bits, G_N_ELEMENTS(policy_bits), name);

    return bit < 16 ? -1 : bit;
}

int
kh_report_platform_bit(const char *name)
{
    return bit_of(platform_bits, G_N_ELEMENTS(platform_bits), name);
}

char *
kh_report_version_format(guint32 version)
{
    return g_strdup_printf("%u.%u.%u", version >> 16 & 0xff, version >> 8 & 0xff, version & 0xff);
}
