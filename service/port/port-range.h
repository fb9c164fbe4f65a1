/* SPDX-License-Identifier: MIT */
/* A range of TCP ports, as the setting port-range has it. */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

typedef struct {
    guint16 first, last; /* inclusive */
} KhPortRange;

/* What an installed service has, unless its settings say otherwise. */
#define KH_PORT_RANGE_DEFAULT ((KhPortRange){5050, 6049})

G_END_DECLS
