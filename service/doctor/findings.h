/* SPDX-License-Identifier: MIT */
/*
 * What the doctor's checks have found: a list of check, status, what was found and how to
 * mend it. Filled by the checks of this folder, in their order.
 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

typedef enum {
    KH_FINDING_OK,
    KH_FINDING_WARN,
    KH_FINDING_FAIL,
} KhFindingStatus;

typedef struct {
    const char *check; /* static: "snp-device" */
    KhFindingStatus status;
    char *found;  /* harmless text, never empty */
    char *remedy; /* "" where there is nothing to mend */
} KhFinding;

/* Of KhFinding. */
typedef GPtrArray KhFindings;

KhFindings *kh_findings_new(void);

/* @format says what was found; for a remedy call kh_findings_mend() next. */
void kh_findings_add(KhFindings *self, const char *check, KhFindingStatus status,
                     const char *format, ...) G_GNUC_PRINTF(4, 5);

/* How to mend what was added last. */
void kh_findings_mend(KhFindings *self, const char *format, ...) G_GNUC_PRINTF(2, 3);

/* The finding of @check; NULL: there is none. */
const KhFinding *kh_findings_get(KhFindings *self, const char *check);

/* "ok", "warn" or "fail". Static. */
const char *kh_finding_status_name(KhFindingStatus status);

/* As a(ssss); floating. */
GVariant *kh_findings_to_variant(KhFindings *self);

G_END_DECLS
