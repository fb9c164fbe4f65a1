/* SPDX-License-Identifier: MIT */
/* The list of checks; see checks.h. */
#include "checks.h"

#include "names.h"

#define TEXT_MAX 1024

static const char not_reached[] = "not reached";

struct _KhChecks {
    GPtrArray *all;
};

static void
free_check(gpointer data)
{
    KhCheck *check = data;

    g_free(check->reason);
    g_free(check->expected);
    g_free(check->actual);
    g_free(check);
}

KhChecks *
kh_checks_new(void)
{
    KhChecks *checks = g_new0(KhChecks, 1);

    checks->all = g_ptr_array_new_with_free_func(free_check);
    return checks;
}

void
kh_checks_free(KhChecks *checks)
{
    g_ptr_array_unref(checks->all);
    g_free(checks);
}

static KhCheck *
look_up(const KhChecks *checks, const char *id)
{
    for (guint i = 0; i < checks->all->len; i++) {
        KhCheck *check = checks->all->pdata[i];

        if (g_str_equal(check->id, id))
            return check;
    }
    return NULL;
}

static KhCheck *
find(const KhChecks *checks, const char *id)
{
    KhCheck *check = look_up(checks, id);

    g_assert(check != NULL);
    return check;
}

void
kh_checks_add(KhChecks *checks, const KhCheckRow *rows, guint n)
{
    for (guint i = 0; i < n; i++) {
        KhCheck *check = g_new0(KhCheck, 1);

        g_assert(look_up(checks, rows[i].id) == NULL);
        check->id = rows[i].id;
        check->title = rows[i].title;
        check->required = rows[i].required;
        check->status = KH_CHECK_SKIPPED;
        check->reason = g_strdup(not_reached);
        g_ptr_array_add(checks->all, check);
    }
}

guint
kh_checks_get_length(const KhChecks *checks)
{
    return checks->all->len;
}

const KhCheck *
kh_checks_get(const KhChecks *checks, guint i)
{
    return checks->all->pdata[i];
}

const KhCheck *
kh_checks_find(const KhChecks *checks, const char *id)
{
    return find(checks, id);
}

gboolean
kh_checks_passed(const KhChecks *checks, const char *id)
{
    return find(checks, id)->status == KH_CHECK_PASSED;
}

static void
set_text(char **field, const char *text)
{
    g_free(*field);
    *field = text == NULL ? NULL : kh_text_sanitize(text, TEXT_MAX);
}

/* FALSE: it has failed, and stays so. */
static gboolean
settle(KhCheck *check, KhCheckStatus status, const char *expected, const char *actual,
       const char *reason)
{
    if (check->status == KH_CHECK_FAILED)
        return FALSE;
    check->status = status;
    check->settled = TRUE;
    set_text(&check->expected, expected);
    set_text(&check->actual, actual);
    set_text(&check->reason, reason);
    return TRUE;
}

void
kh_checks_pass(KhChecks *checks, const char *id, const char *expected, const char *actual)
{
    settle(find(checks, id), KH_CHECK_PASSED, expected, actual, NULL);
}

void
kh_checks_fail(KhChecks *checks, const char *id, const char *expected, const char *actual,
               const char *reason, ...)
{
    KhCheck *check = find(checks, id);
    g_autofree char *text = NULL;
    va_list arguments;

    va_start(arguments, reason);
    text = g_strdup_vprintf(reason, arguments);
    va_end(arguments);
    if (settle(check, KH_CHECK_FAILED, expected, actual, text))
        check->required = TRUE;
}

void
kh_checks_exempt(KhChecks *checks, const char *id, const char *reason, ...)
{
    g_autofree char *text = NULL;
    va_list arguments;

    va_start(arguments, reason);
    text = g_strdup_vprintf(reason, arguments);
    va_end(arguments);
    settle(find(checks, id), KH_CHECK_NOT_APPLICABLE, NULL, NULL, text);
}

void
kh_checks_skip(KhChecks *checks, const char *id, const char *reason, ...)
{
    KhCheck *check = find(checks, id);
    g_autofree char *text = NULL;
    va_list arguments;

    va_start(arguments, reason);
    text = g_strdup_vprintf(reason, arguments);
    va_end(arguments);
    if (!check->settled)
        set_text(&check->reason, text);
}

void
kh_checks_skip_rest(KhChecks *checks, const char *reason)
{
    for (guint i = 0; i < checks->all->len; i++) {
        KhCheck *check = checks->all->pdata[i];

        if (!check->settled && g_str_equal(check->reason, not_reached))
            set_text(&check->reason, reason);
    }
}

void
kh_checks_require(KhChecks *checks, const char *id)
{
    find(checks, id)->required = TRUE;
}

void
kh_checks_set_source(KhChecks *checks, const char *id, KhCheckSource source)
{
    find(checks, id)->source = source;
}

const char *
kh_check_status_name(KhCheckStatus status)
{
    static const char *const names[] = {"passed", "failed", "skipped", "not-applicable"};

    return names[status];
}

const char *
kh_check_source_name(KhCheckSource source)
{
    static const char *const names[] = {"built-in", "option", "policy", "claimed by the host"};

    return names[source];
}
