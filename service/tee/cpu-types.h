/* SPDX-License-Identifier: MIT */
/*
 * QEMU's names of AMD processors and the CPUID signature that the measurement holds of them.
 * Used by measure, create --tee and the search for a mismatch.
 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

typedef struct {
    const char *name;  /* as QEMU's -cpu spells it */
    guint32 signature; /* CPUID 1 EAX */
} KhCpuType;

/* The type called @name, in any case; NULL: none. Static. */
const KhCpuType *kh_cpu_type_find(const char *name);

/* The same; KH_ERROR_INVALID_ARGUMENT lists the names. */
const KhCpuType *kh_cpu_type_parse(const char *name, GError **error);

/* Every name with @signature, ", " between them; "" for none. Transfer full. */
char *kh_cpu_type_names(guint32 signature);

/* Every known type; static. */
const KhCpuType *kh_cpu_type_list(gsize *n);

G_END_DECLS
