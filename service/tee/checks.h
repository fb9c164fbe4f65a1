/* SPDX-License-Identifier: MIT */
/*
 * The list of checks that a verification consists of. A check is there from the beginning and
 * skipped until something passes or fails it, so that one which was forgotten refuses. Filled
 * by the verifier, and by who adds checks of his own before he asks for the verdict.
 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

typedef enum {
    KH_CHECK_PASSED,
    KH_CHECK_FAILED,
    KH_CHECK_SKIPPED,
    KH_CHECK_NOT_APPLICABLE,
} KhCheckStatus;

/* Where what a check expects comes from. */
typedef enum {
    KH_SOURCE_BUILT_IN, /* AMD's specification and keys */
    KH_SOURCE_OPTION,   /* the verifier, who wrote it on the command line */
    KH_SOURCE_POLICY,   /* the verifier's policy file */
    KH_SOURCE_HOST,     /* claimed by the host, which proves nothing */
} KhCheckSource;

typedef struct {
    const char *id;    /* "B1"; static */
    const char *title; /* static */
    KhCheckStatus status;
    KhCheckSource source;
    gboolean required; /* its skipping refuses */
    gboolean settled;  /* passed, failed or not applicable */
    char *reason;      /* NULL for none */
    char *expected;    /* NULL for none */
    char *actual;      /* NULL for none */
} KhCheck;

typedef struct _KhChecks KhChecks;

/* One check of a table that kh_checks_add() takes; the strings are static. */
typedef struct {
    const char *id;
    const char *title;
    gboolean required;
} KhCheckRow;

KhChecks *kh_checks_new(void);
void kh_checks_free(KhChecks *checks);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(KhChecks, kh_checks_free)

/* Appends checks, skipped as "not reached". Ids are unique. */
void kh_checks_add(KhChecks *checks, const KhCheckRow *rows, guint n);

guint kh_checks_get_length(const KhChecks *checks);
const KhCheck *kh_checks_get(const KhChecks *checks, guint i);

/* The check called @id, which must be there. */
const KhCheck *kh_checks_find(const KhChecks *checks, const char *id);

/* Whether @id has passed. */
gboolean kh_checks_passed(const KhChecks *checks, const char *id);

/*
 * Settle a check. Texts are copied and made harmless for a terminal; @expected and @actual may
 * be NULL. A failure stays: what comes after it changes nothing. A failed check is required.
 */
void kh_checks_pass(KhChecks *checks, const char *id, const char *expected, const char *actual);
void kh_checks_fail(KhChecks *checks, const char *id, const char *expected, const char *actual,
                    const char *reason, ...) G_GNUC_PRINTF(5, 6);
void kh_checks_exempt(KhChecks *checks, const char *id, const char *reason, ...)
    G_GNUC_PRINTF(3, 4);

/* Says why a check that nothing has settled is skipped. */
void kh_checks_skip(KhChecks *checks, const char *id, const char *reason, ...) G_GNUC_PRINTF(3, 4);

/* Gives that reason to each check that is not settled and has none but the first one. */
void kh_checks_skip_rest(KhChecks *checks, const char *reason);

/* From now on @id must pass, or be not applicable. */
void kh_checks_require(KhChecks *checks, const char *id);

void kh_checks_set_source(KhChecks *checks, const char *id, KhCheckSource source);

/* "passed", "failed", "skipped", "not-applicable"; static. */
const char *kh_check_status_name(KhCheckStatus status);

/* "built-in", "option", "policy", "claimed by the host"; static. */
const char *kh_check_source_name(KhCheckSource source);

G_END_DECLS
