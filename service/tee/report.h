/* SPDX-License-Identifier: MIT */
/*
 * An attestation report of SEV-SNP, versions 2 to 5 (AMD 56860, "SEV Secure Nested Paging
 * Firmware ABI Specification", ATTESTATION_REPORT). It is kept as the bytes that were signed;
 * what is decoded here is for checks and for people. Used by the verifier.
 */
#pragma once

#include "tcb.h"

G_BEGIN_DECLS

#define KH_REPORT_SIZE 1184
#define KH_REPORT_SIGNED_SIZE 0x2a0
#define KH_REPORT_MOCK_SIZE 72
#define KH_REPORT_CHIP_ID_SIZE 64
/* Of a chip id, what Turin uses; the rest is zero. */
#define KH_REPORT_TURIN_ID_SIZE 8

/* Bits of the guest's policy. */
#define KH_REPORT_POLICY_RESERVED_ONE (G_GUINT64_CONSTANT(1) << 17)
#define KH_REPORT_POLICY_MIGRATE_MA (G_GUINT64_CONSTANT(1) << 18)
#define KH_REPORT_POLICY_DEBUG (G_GUINT64_CONSTANT(1) << 19)
#define KH_REPORT_POLICY_BITS 26

typedef enum {
    KH_SIGNING_KEY_VCEK = 0,
    KH_SIGNING_KEY_VLEK = 1,
    KH_SIGNING_KEY_NONE = 7,
} KhSigningKey;

/* The fields that are bytes. */
typedef enum {
    KH_REPORT_FAMILY_ID,
    KH_REPORT_IMAGE_ID,
    KH_REPORT_REPORT_DATA,
    KH_REPORT_MEASUREMENT,
    KH_REPORT_HOST_DATA,
    KH_REPORT_ID_KEY_DIGEST,
    KH_REPORT_AUTHOR_KEY_DIGEST,
    KH_REPORT_REPORT_ID,
    KH_REPORT_REPORT_ID_MA,
    KH_REPORT_CHIP_ID,
    KH_N_REPORT_FIELDS,
} KhReportField;

/* Its four security versions, weakest claim first. */
typedef enum {
    KH_REPORT_REPORTED_TCB,
    KH_REPORT_COMMITTED_TCB,
    KH_REPORT_CURRENT_TCB,
    KH_REPORT_LAUNCH_TCB,
    KH_N_REPORT_TCBS,
} KhReportTcb;

/* Of the firmware: major, minor, build in one comparable number. */
#define KH_FIRMWARE_VERSION(major, minor, build)                                                   \
    ((guint32)(major) << 16 | (guint32)(minor) << 8 | (guint32)(build))

typedef struct {
    guint8 raw[KH_REPORT_SIZE];
    guint32 version;
    guint32 guest_svn;
    guint64 policy;
    guint32 vmpl;
    guint32 signature_algorithm;
    guint64 platform_info;
    guint32 key_info;
    gboolean author_key;            /* an author key has signed the identity block's key */
    guint signing_key;              /* KhSigningKey, or a number that is none */
    guint8 family, model, stepping; /* 0 in version 2 */
    guint32 current_version, committed_version;
    guint64 launch_mitigations, current_mitigations; /* 0 before version 5 */
} KhReport;

/*
 * Decodes @length bytes. KH_ERROR_FAILED for any length but 1184; nothing else is refused
 * here, the checks do that. Transfer full: g_free().
 */
KhReport *kh_report_new(const guint8 *data, gsize length, GError **error);

/* Whether the layout of its version is known. */
gboolean kh_report_version_is_known(const KhReport *report);

/* A field's bytes, within the report. */
const guint8 *kh_report_field(const KhReport *report, KhReportField field, gsize *length);

/* "measurement", "report_data" …; static. */
const char *kh_report_field_name(KhReportField field);

KhTcb kh_report_tcb(const KhReport *report, KhReportTcb which, KhProduct product);

/* Its eight bytes, within the report. */
const guint8 *kh_report_tcb_raw(const KhReport *report, KhReportTcb which);

/* "reported_tcb" …; static. */
const char *kh_report_tcb_name(KhReportTcb which);

/* The product that the report names; KH_PRODUCT_UNKNOWN for version 2, which names none. */
KhProduct kh_report_product(const KhReport *report);

/* Whether only the first 8 bytes of the chip id are set; a masked one, all zero, is not so. */
gboolean kh_report_has_turin_chip_id(const KhReport *report);

/* The name of a bit of policy or platform info, "bit7" where it has none. Transfer full. */
char *kh_report_policy_bit_name(guint bit);
char *kh_report_platform_bit_name(guint bit);

/* The bit called @name, "bitN" too; -1 for none. The version bits of the policy are none. */
int kh_report_policy_bit(const char *name);
int kh_report_platform_bit(const char *name);

/* "1.55.29"; transfer full. */
char *kh_report_version_format(guint32 version);

G_END_DECLS
