/* SPDX-License-Identifier: MIT */
/* Processor types; see cpu-types.h. */
#include "cpu-types.h"

#include "error.h"

/*
 * Family, model and stepping as CPUID function 1 has them in EAX (AMD publication 25481).
 * A version of a model changes features only, never these.
 */
#define NAPLES 0x00800f12
#define ROME 0x00830f10
#define MILAN 0x00a00f11
#define GENOA 0x00a10f10
#define TURIN 0x00b00f00

static const KhCpuType types[] = {
    {"EPYC", NAPLES},         {"EPYC-v1", NAPLES},      {"EPYC-v2", NAPLES},
    {"EPYC-IBPB", NAPLES},    {"EPYC-v3", NAPLES},      {"EPYC-v4", NAPLES},
    {"EPYC-Rome", ROME},      {"EPYC-Rome-v1", ROME},   {"EPYC-Rome-v2", ROME},
    {"EPYC-Rome-v3", ROME},   {"EPYC-Rome-v4", ROME},   {"EPYC-Milan", MILAN},
    {"EPYC-Milan-v1", MILAN}, {"EPYC-Milan-v2", MILAN}, {"EPYC-Genoa", GENOA},
    {"EPYC-Genoa-v1", GENOA}, {"EPYC-Turin", TURIN},
};

const KhCpuType *
kh_cpu_type_list(gsize *n)
{
    *n = G_N_ELEMENTS(types);
    return types;
}

const KhCpuType *
kh_cpu_type_find(const char *name)
{
    for (gsize i = 0; i < G_N_ELEMENTS(types); i++)
        if (g_ascii_strcasecmp(types[i].name, name) == 0)
            return &types[i];
    return NULL;
}

static char *
join_names(gboolean all, guint32 signature)
{
    GString *names = g_string_new(NULL);

    for (gsize i = 0; i < G_N_ELEMENTS(types); i++)
        if (all || types[i].signature == signature)
            g_string_append_printf(names, "%s%s", names->len > 0 ? ", " : "", types[i].name);
    return g_string_free(names, FALSE);
}

char *
kh_cpu_type_names(guint32 signature)
{
    return join_names(FALSE, signature);
}

const KhCpuType *
kh_cpu_type_parse(const char *name, GError **error)
{
    const KhCpuType *type = kh_cpu_type_find(name);
    g_autofree char *known = NULL, *shown = NULL;

    if (type != NULL)
        return type;
    known = join_names(TRUE, 0);
    shown = g_strescape(name, NULL);
    g_set_error(error, KH_ERROR, KH_ERROR_INVALID_ARGUMENT,
                "The processor type \"%s\" has no known measurement; give one of %s, or its "
                "CPUID signature",
                shown, known);
    return NULL;
}
