/* SPDX-License-Identifier: MIT */
/* Processor generations; see product.h. */
#include "product.h"

#include <string.h>

/* CPUID family and models of each generation, as AMD's own tools (virtee/sev) map them. */
static const struct {
    guint8 family, first, last;
    KhProduct product;
} models[] = {
    {0x19, 0x00, 0x0f, KH_PRODUCT_MILAN},  {0x19, 0x10, 0x1f, KH_PRODUCT_GENOA},
    {0x19, 0xa0, 0xaf, KH_PRODUCT_GENOA},  {0x1a, 0x00, 0x11, KH_PRODUCT_TURIN},
    {0x1a, 0x50, 0x57, KH_PRODUCT_VENICE}, {0x1a, 0x90, 0x9f, KH_PRODUCT_VENICE},
    {0x1a, 0xa0, 0xaf, KH_PRODUCT_VENICE}, {0x1a, 0xc0, 0xc7, KH_PRODUCT_VENICE},
};

static const char *const names[] = {"unknown", "Milan", "Genoa", "Turin", "Venice"};

const char *
kh_product_name(KhProduct product)
{
    return (guint)product < G_N_ELEMENTS(names) ? names[product] : names[0];
}

KhProduct
kh_product_from_name(const char *name)
{
    for (guint i = 1; i < G_N_ELEMENTS(names); i++)
        if (g_str_equal(name, names[i]))
            return (KhProduct)i;
    return KH_PRODUCT_UNKNOWN;
}

KhProduct
kh_product_from_stepping(const char *name)
{
    g_autofree char *generation = g_strndup(name, strcspn(name, "-"));

    return kh_product_from_name(generation);
}

KhProduct
kh_product_from_cpuid(guint8 family, guint8 model)
{
    for (guint i = 0; i < G_N_ELEMENTS(models); i++)
        if (models[i].family == family && model >= models[i].first && model <= models[i].last)
            return models[i].product;
    return KH_PRODUCT_UNKNOWN;
}

gboolean
kh_product_is_turin_like(KhProduct product)
{
    return product == KH_PRODUCT_TURIN || product == KH_PRODUCT_VENICE;
}
