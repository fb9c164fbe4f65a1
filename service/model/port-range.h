/* SPDX-License-Identifier: MIT */
/* A range of TCP ports, as the setting port-range has it. */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

typedef struct {
    guint16 first, last; /* inclusive */
} KhPortRange;

/*
 * What an installed service has, unless its settings say otherwise: two ports for each of the
 * 10,000 instances that there may be, and none that the kernel gives to outgoing connections
 * (ip(7), ip_local_port_range: from 32768).
 */
#define KH_PORT_RANGE_DEFAULT ((KhPortRange){5050, 25049})

G_END_DECLS
