/* SPDX-License-Identifier: MIT */
/* What the checks have found; see findings.h. */
#include "findings.h"

#include "names.h"

#define TEXT_MAX 1024

static void
finding_free(gpointer data)
{
    KhFinding *finding = data;

    g_free(finding->found);
    g_free(finding->remedy);
    g_free(finding);
}

KhFindings *
kh_findings_new(void)
{
    return g_ptr_array_new_with_free_func(finding_free);
}

G_GNUC_PRINTF(1, 0)
static char *
compose(const char *format, va_list arguments)
{
    g_autofree char *text = g_strdup_vprintf(format, arguments);

    return kh_text_sanitize(text, TEXT_MAX);
}

void
kh_findings_add(KhFindings *self, const char *check, KhFindingStatus status, const char *format,
                ...)
{
    KhFinding *finding = g_new0(KhFinding, 1);
    va_list arguments;

    va_start(arguments, format);
    finding->check = check;
    finding->status = status;
    finding->found = compose(format, arguments);
    finding->remedy = g_strdup("");
    va_end(arguments);
    g_ptr_array_add(self, finding);
}

void
kh_findings_mend(KhFindings *self, const char *format, ...)
{
    KhFinding *last = self->pdata[self->len - 1];
    va_list arguments;

    va_start(arguments, format);
    g_free(last->remedy);
    last->remedy = compose(format, arguments);
    va_end(arguments);
}

const KhFinding *
kh_findings_get(KhFindings *self, const char *check)
{
    for (guint i = 0; i < self->len; i++) {
        const KhFinding *finding = self->pdata[i];

        if (g_str_equal(finding->check, check))
            return finding;
    }
    return NULL;
}

const char *
kh_finding_status_name(KhFindingStatus status)
{
    static const char *const names[] = {"ok", "warn", "fail"};

    return names[status];
}

GVariant *
kh_findings_to_variant(KhFindings *self)
{
    g_auto(GVariantBuilder) list = G_VARIANT_BUILDER_INIT(G_VARIANT_TYPE("a(ssss)"));

    for (guint i = 0; i < self->len; i++) {
        const KhFinding *finding = self->pdata[i];

        g_variant_builder_add(&list, "(ssss)", finding->check,
                              kh_finding_status_name(finding->status), finding->found,
                              finding->remedy);
    }
    return g_variant_builder_end(&list);
}
