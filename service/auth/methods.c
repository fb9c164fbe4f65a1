/* SPDX-License-Identifier: MIT */
/* The table of methods; see methods.h. */
#include "methods.h"

static const KhMethod methods[] = {
#include "method-actions.inc"
};

const KhMethod *
kh_method_find(const char *interface, const char *method)
{
    for (guint i = 0; i < G_N_ELEMENTS(methods); i++)
        if (g_strcmp0(methods[i].interface, interface) == 0 &&
            g_strcmp0(methods[i].method, method) == 0)
            return &methods[i];
    return NULL;
}
