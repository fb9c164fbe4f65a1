/* SPDX-License-Identifier: MIT */
/*
 * What a verifier expects of a report, by options or by a policy file: one group [report], one
 * key and value for each expectation. What is not understood is an error, never a check less.
 */
#pragma once

#include "checks.h"
#include "tcb.h"

G_BEGIN_DECLS

#define KH_POLICY_FILE_MAX (64 * 1024)
#define KH_POLICY_GROUP "report"

/* Each with the check that it belongs to. */
typedef enum {
    KH_POLICY_PRODUCT,               /* C6 */
    KH_POLICY_CRL_GRACE_DAYS,        /* C8 */
    KH_POLICY_REQUIRE_CRL,           /* C8 */
    KH_POLICY_ALLOW_MASKED_CHIP,     /* B3 */
    KH_POLICY_MIN_GUEST_SVN,         /* V1 */
    KH_POLICY_MAX_ABI,               /* V2 */
    KH_POLICY_POLICY_REQUIRE,        /* V2 */
    KH_POLICY_POLICY_FORBID,         /* V2 */
    KH_POLICY_REPORT_DATA,           /* V3 */
    KH_POLICY_HOST_DATA,             /* V4 */
    KH_POLICY_FAMILY_ID,             /* V5 */
    KH_POLICY_IMAGE_ID,              /* V6 */
    KH_POLICY_REPORT_ID,             /* V7 */
    KH_POLICY_REPORT_ID_MA,          /* V8 */
    KH_POLICY_MEASUREMENT,           /* V9 */
    KH_POLICY_CHIP_ID,               /* V10 */
    KH_POLICY_COMMITTED_TCB,         /* V11 */
    KH_POLICY_MIN_LAUNCH_TCB,        /* V12 */
    KH_POLICY_MIN_REPORTED_TCB,      /* V15 */
    KH_POLICY_COMMITTED_VERSION,     /* V16 */
    KH_POLICY_MIN_COMMITTED_VERSION, /* V16 */
    KH_POLICY_PLATFORM_REQUIRE,      /* V17 */
    KH_POLICY_PLATFORM_FORBID,       /* V17 */
    KH_POLICY_ID_KEY_DIGEST,         /* V18 */
    KH_POLICY_AUTHOR_KEY_DIGEST,     /* V18 */
    KH_POLICY_LAUNCH_MITIGATIONS,    /* V19 */
    KH_POLICY_CURRENT_MITIGATIONS,   /* V19 */
    KH_POLICY_VMPL,                  /* V20 */
    KH_POLICY_CSP_ID,                /* CSP */
    KH_N_POLICY_KEYS,
} KhPolicyKey;

/* A value in the form of its key; what is not of that form is unset. */
typedef struct {
    gboolean given;
    KhCheckSource source;
    guint64 number;    /* a number, bits, a version, a product, or a word: 0 is "equal" */
    KhTcb tcb;         /* the least */
    GPtrArray *values; /* of GBytes, one of which it must be */
    char *text;
} KhExpectation;

typedef struct _KhPolicy KhPolicy;

KhPolicy *kh_policy_new(void);
void kh_policy_free(KhPolicy *policy);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(KhPolicy, kh_policy_free)

/*
 * Adds the expectations in the text of a policy file. KH_ERROR_INVALID_ARGUMENT names an unknown
 * group or key, one that is there twice, or a value that is empty or ill-formed.
 */
gboolean kh_policy_parse(KhPolicy *policy, const char *text, gsize length, GError **error);

/* The same for the file @path, at most 64 KiB; KH_ERROR_NOT_FOUND too. */
gboolean kh_policy_read(KhPolicy *policy, const char *path, GError **error);

/* Adds one expectation, given as in the file. KH_ERROR_INVALID_ARGUMENT, also if it is there. */
gboolean kh_policy_set(KhPolicy *policy, KhPolicyKey key, const char *value, KhCheckSource source,
                       GError **error);

const KhExpectation *kh_policy_get(const KhPolicy *policy, KhPolicyKey key);

gboolean kh_policy_has(const KhPolicy *policy, KhPolicyKey key);

/* Whether a key of true or false is there and true. */
gboolean kh_policy_allows(const KhPolicy *policy, KhPolicyKey key);

/* "measurement"; static. */
const char *kh_policy_key_name(KhPolicyKey key);

G_END_DECLS
