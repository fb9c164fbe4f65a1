/* SPDX-License-Identifier: MIT */
/*
 * AMD's processor generations, as far as reports and certificates tell them apart. Used by
 * report, certificates and checks.
 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

typedef enum {
    KH_PRODUCT_UNKNOWN,
    KH_PRODUCT_MILAN,
    KH_PRODUCT_GENOA, /* Bergamo and Siena too: same roots, same name */
    KH_PRODUCT_TURIN,
    KH_PRODUCT_VENICE, /* known by its CPUID; AMD's chain for it is not public */
} KhProduct;

/* "Milan", as in AMD's certificates; "unknown". Static. */
const char *kh_product_name(KhProduct product);

/* The product called exactly @name, KH_PRODUCT_UNKNOWN for another word. */
KhProduct kh_product_from_name(const char *name);

/* Of the extension productName1: what stands before the first '-' ("Milan-B0"). */
KhProduct kh_product_from_stepping(const char *name);

/* Of CPUID's family and model, extended ones added. */
KhProduct kh_product_from_cpuid(guint8 family, guint8 model);

/* Whether its TCB_VERSION begins with the FMC, and its chip id has 8 bytes. */
gboolean kh_product_is_turin_like(KhProduct product);

G_END_DECLS
